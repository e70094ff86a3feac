"""Which combination of all the choices?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), the list of hyper-parameters and "best of all".
Published finding: the choices were tried one at a time; ELU, the learned colour space, maximum plus average pooling,
linear decay and pyramid pooling put together gained more than any of them alone.
Cost: as many trials as `--trials` says, each of the length of the baseline; with `--scheduler asha` most stop early.

The whole table as one space. The side of the images and the number of epochs are those of the baseline. What is chosen
here:
- numbers are searched as factors on the baseline's, so that the space means the same on any protocol;
- a share of the images is trained on for as many epochs, not as many updates: schedulers compare epochs;
- stochastic pooling draws by the values themselves, so it is there only where none can be negative;
- colour spaces other than RGB come without mean and scale and with batch normalisation of the input, as published.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from raysweep.space import Choice, Like, LogUniform, Parameter, Space, Uniform
from raysweep.study import Times
from search_spaces._shared import CONV_WIDTHS, INPUT_BN, MAXOUT_SAME_COMPLEXITY, RAW_PIXELS


def _field(path: str, *values: Any) -> dict[str, dict[str, Any]]:
    """Options of one field, named after their values; the first is the baseline's."""
    first, *others = map(str, values)
    return {first: {}} | {name: {path: value} for name, value in zip(others, values[1:], strict=True)}


def _add(names: Iterable[str], path: str, also: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: {path: name} | also for name in names}


_ACTIVATIONS = (
    *("relu", "linear", "sigmoid", "tanh", "scaled_tanh", "vlrelu", "rrelu", "prelu", "elu", "elu_alpha05"),
    *("elu_lrelu_mean", "softplus_shifted", "selu", "frelu", "felu", "maxout", "apl2", "apl5", "oplu"),
)
_COLOURS = _add(("hsv", "ycrcb", "lab", "clahe"), "data.preprocess", INPUT_BN)
_GRAY: dict[str, Any] = {"data.preprocess": "gray", "data.mean": (117.64,)}
_LOCAL_MEAN: dict[str, Any] = {"data.preprocess": "local_mean", "data.mean": (128.0,) * 3}
_INPUT_NETS = (
    *("none", "grayscale", "tanh_10_3", "vlrelu_3_3", "vlrelu_10_3", "vlrelu_10_3_plus_rgb"),
    *("vlrelu_16_3", "maxout_10_3"),
)
_LOG_NETS = _add(("vlrelu_log_10_3", "vlrelu_log_log256_10_3"), "network.input_net", RAW_PIXELS)
_POOLINGS = ("max", "average", "max_plus_average", "gated", "tree")
_POOLED: dict[str, tuple[str, ...]] = {"downsampling": ("pooling",)}
_NORMALISED = ("batch", "batch_affine", "batch_scale")
_NOT_NEGATIVE: dict[str, tuple[str, ...]] = {"network.activation": ("relu", "sigmoid"), "network.norm": ("none",)}
_C3_HEADS = ("c3_c1_clf_avepool", "c3_c1_avepool_clf", "c3_c1_clf_avemaxpool")
_INITS = ("lsuv", "gaussian", "glorot", "xavier", "he", "orthonormal", "orthonormal_he", "lsuv_gaussian")
_SCHEDULES = ("step", "linear", "poly", "cosine", "linear_cosine", "warm_restarts", "one_cycle")
_BATCHES = {"x0.25": 0.25, "x0.5": 0.5, "x2": 2.0, "x4": 4.0}
_STEM_LAYERS: dict[str, dict[str, Any]] = {
    f"{count}_of_{side}x{side}": {"network.stem_layers": count, "network.stem_layers_kernel": side}
    for side, counts in ((1, (1, 3, 5, 9)), (3, (1, 3)))
    for count in counts
}

_NON_LINEARITY = (
    Parameter(
        "network.activation",
        Choice(
            _field("network.activation", *_ACTIVATIONS)
            | {"arcsinh": {"network.activation": "arcsinh", "solver.clip_norm": 20.0}}
        ),
        "non-linearity; arcsinh with the gradient's norm at most 20",
    ),
    Parameter(
        "maxout_width",
        Choice({"same_width": {}, "same_complexity": {"network.widths": MAXOUT_SAME_COMPLEXITY["network.widths"]}}),
        "width of each of the two layers of maxout",
        when={"network.activation": ("maxout",)},
    ),
    Parameter(
        "classifier_activation",
        Choice(
            {
                "same": {},
                "maxout": {"network.fc_activation": "maxout", "network.widths": (*CONV_WIDTHS, 1448, 1448)},
            }
        ),
        "non-linearity of the fully connected layers",
        unless={"network.activation": ("maxout",)},
    ),
    Parameter("network.norm", Choice(_field("network.norm", "none", *_NORMALISED)), "normalisation"),
    Parameter(
        "network.norm_position",
        Choice(_field("network.norm_position", "after", "before")),
        "normalisation before or after the non-linearity",
        when={"network.norm": _NORMALISED},
    ),
)

_DOWNSAMPLING = (
    Parameter(
        "downsampling",
        Choice({"pooling": {}, "strided_conv": {"network.pooling": "strided_conv"}}, {"pooling": 5.0}),
        "what makes the maps smaller",
    ),
    Parameter(
        "network.pooling",
        Choice(_field("network.pooling", *_POOLINGS)),
        "pooling of values that may be negative",
        when=_POOLED,
        unless=_NOT_NEGATIVE,
    ),
    Parameter(
        "pooling_not_negative",
        Choice(_field("network.pooling", *_POOLINGS, "stochastic")),
        "pooling of values that are never negative",
        when=_POOLED | _NOT_NEGATIVE,
    ),
    Parameter(
        "pooling_window",
        Choice({"3x3": {}, "2x2": {"network.pool_kernel": 2}, "3x3_pad_1": {"network.pool_pad": 1}}),
        "window of the poolings, stride 2",
        when=_POOLED,
    ),
    Parameter(
        "network.lrn",
        Choice(_field("network.lrn", False, True)),
        "local response normalisation after the first two poolings",
        when=_POOLED | {"network.norm": ("none",)},
    ),
)

_IMAGES = (
    Parameter(
        "colour",
        Choice(
            {"rgb": {}, "rgb_raw": INPUT_BN, "gray": _GRAY}
            | _COLOURS
            | {"histeq": {"data.preprocess": "histeq"}, "local_mean": _LOCAL_MEAN},
            {"rgb": 4.0},
        ),
        "colour space and pre-processing, with the mean, scale and input normalisation that go with it",
    ),
    Parameter(
        "network.input_net",
        Choice(_field("network.input_net", *_INPUT_NETS) | _LOG_NETS, {"none": 4.0}),
        "learned colour space between image and first layer; the logarithms are of raw pixels",
        when={"colour": ("rgb",)},
    ),
    Parameter(
        "data.train_fraction",
        Choice({"all": {}} | {f"x{f:g}": {"data.train_fraction": Times(f)} for f in (0.5, 0.25)}, {"all": 6.0}),
        "share of the training images",
    ),
    Parameter(
        "data.label_noise",
        Choice(_field("data.label_noise", 0.0, 0.05, 0.1, 0.15, 0.32), {"0.0": 12.0}),
        "share of wrong training labels",
    ),
)

_NETWORK = (
    Parameter("network.head", Choice(_field("network.head", "fc", "spp2_fc", "spp3_fc", *_C3_HEADS)), "classifier"),
    Parameter("network.width", LogUniform(0.25, 1.5), "width of every layer but the classifier"),
    Parameter("network.groups", Choice(_field("network.groups", True, False)), "two groups in conv2, conv4, conv5"),
    Parameter(
        "padding",
        Choice({"same": {}, "none": {"network.conv_pad": False}}, {"same": 3.0}),
        "padding of the convolutions; without it half the stride of the first",
    ),
    Parameter(
        "stem_layers", Choice({"none": {}, **_STEM_LAYERS}, {"none": 3.0}), "further convolutions after the first one"
    ),
    Parameter(
        "network.stem_residual",
        Choice(_field("network.stem_residual", False, True)),
        "identity skips over pairs of those",
        when={"stem_layers": ("9_of_1x1",)},
    ),
    Parameter(
        "bias",
        Choice(
            {"lr_x2": {}, "none": {"network.bias": False}}
            | {f"lr_x{2 * f:g}": {"solver.bias_lr_mult": Times(f)} for f in (0.5, 2.5)}
        ),
        "biases, and their learning rate relative to that of the weights",
    ),
    Parameter("network.dropout", Uniform(0.0, 1.6), "dropout in the classifier"),
)

_TRAINING = (
    Parameter(
        "solver.name",
        Choice(_field("solver.name", "sgd", "nesterov")),
        "momentum or Nesterov's; solvers that scale each weight by itself need rates of their own",
    ),
    Parameter("init.method", Choice(_field("init.method", *_INITS)), "initial weights"),
    Parameter("schedule.name", Choice(_field("schedule.name", *_SCHEDULES)), "learning rate over time"),
    Parameter(
        "schedule.power",
        LogUniform(0.5, 2.0),
        "exponent of the polynomial schedule",
        when={"schedule.name": ("poly",)},
    ),
    Parameter(
        "schedule.warmup_fraction",
        LogUniform(0.25, 1.5),
        "part of the training in which the rate rises",
        when={"schedule.name": ("one_cycle",)},
    ),
    Parameter(
        "training.batch_size",
        Choice({"x1": {}} | {name: {"training.batch_size": Times(f)} for name, f in _BATCHES.items()}),
        "images per update, for the same number of images in all",
    ),
    Parameter(
        "batch_lr",
        Choice({"constant": {}, "scaled": {"solver.lr": Like("training.batch_size")}}),
        "learning rate as it is, or scaled like the batch",
        when={"training.batch_size": tuple(_BATCHES)},
    ),
    Parameter("solver.lr", LogUniform(0.1, 10.0), "base learning rate"),
    Parameter("solver.weight_decay", LogUniform(0.02, 10.0), "decay of the weights"),
)

SPACE = Space(
    name="joint",
    question="Which combination of all the choices?",
    paper="Mishkin et al. 2017, list of hyper-parameters",
    finding="The best choices together gain more than any of them alone.",
    parameters=(*_NON_LINEARITY, *_DOWNSAMPLING, *_IMAGES, *_NETWORK, *_TRAINING),
)
