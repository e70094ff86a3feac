"""Which combination of all the choices?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), the list of hyper-parameters and "best of all".
Published finding: the choices were tried one at a time; together, ELU, the learned colour space, maximum plus average
pooling, linear decay and pyramid pooling gained more than any one of them.
Cost: `--trials` trials, each of the length of the baseline; with `--scheduler asha` most stop early.

The whole table is one space. The side of the images and the number of epochs are the baseline's. Choices made here:
- Numbers are searched as factors on the baseline's values, so that the space means the same on any protocol.
- A share of the images is trained on for the same epochs, not the same updates, since schedulers compare epochs.
- Stochastic pooling draws by the values themselves, so it is offered only where no value can be negative.
- Colour spaces other than RGB come without mean and scale and with batch normalisation of the input, as published.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from raysweep.search_spaces._shared import (
    CONV_WIDTHS,
    INPUT_BN,
    MAXOUT_SAME_COMPLEXITY,
    RAW_PIXELS,
    Patch,
    act,
    input_net,
    pool,
)
from raysweep.space import Choice, Like, LogUniform, Parameter, Space, Uniform
from raysweep.study import Times

Options = dict[str, Patch]


def _values(path: str, values: Iterable[Any]) -> Options:
    """Options of one field, named after their values; the first is the baseline's."""
    return {str(value): {path: value} if number else {} for number, value in enumerate(values)}


def _field(
    path: str, values: Iterable[Any], summary: str, more: Options | None = None, often: float = 1.0, **where: Any
) -> Parameter:
    """A parameter that chooses a value of one field, or `more`; the first, the baseline's, is drawn more `often`."""
    return _choice(path, _values(path, values) | (more or {}), summary, often, **where)


def _choice(name: str, options: Options, summary: str, often: float = 1.0, **where: Any) -> Parameter:
    """A parameter that chooses one of these options; the first, the baseline's, is drawn more `often`."""
    return Parameter(name, Choice(options, {} if often == 1 else {next(iter(options)): often}), summary, **where)


def _times(path: str, *factors: float) -> Options:
    return {f"x{factor:g}": {path: Times(factor)} for factor in factors}


def _colours(*names: str, also: Patch) -> Options:
    return {name: {"data.preprocess": name} | also for name in names}


_ACTIVATIONS = (
    *("relu", "linear", "sigmoid", "tanh", "scaled_tanh", "vlrelu", "rrelu", "prelu", "elu", "elu_alpha05"),
    *("elu_lrelu_mean", "softplus_shifted", "selu", "frelu", "felu", "maxout", "apl2", "apl5", "oplu"),
)
_COLOURS = {
    **{"rgb": {}, "rgb_raw": INPUT_BN},
    **_colours("gray", also={"data.mean": (117.64,)}),
    **_colours("hsv", "ycrcb", "lab", "clahe", also=INPUT_BN),
    **_colours("histeq", also={}),
    **_colours("local_mean", also={"data.mean": (128.0,) * 3}),
}
_INPUT_NETS = (
    *("none", "grayscale", "tanh_10_3", "vlrelu_3_3", "vlrelu_10_3", "vlrelu_10_3_plus_rgb"),
    *("vlrelu_16_3", "maxout_10_3"),
)
_LOG_NETS = {name: input_net(name) | RAW_PIXELS for name in ("vlrelu_log_10_3", "vlrelu_log_log256_10_3")}
_POOLINGS = ("max", "average", "max_plus_average", "gated", "tree")
_POOLED: dict[str, tuple[str, ...]] = {"downsampling": ("pooling",)}
_NORMALISED = ("batch", "batch_affine", "batch_scale")
_NOT_NEGATIVE: dict[str, tuple[str, ...]] = {"network.activation": ("relu", "sigmoid"), "network.norm": ("none",)}
_HEADS = ("fc", "spp2_fc", "spp3_fc", "c3_c1_clf_avepool", "c3_c1_avepool_clf", "c3_c1_clf_avemaxpool")
_INITS = ("lsuv", "gaussian", "glorot", "xavier", "he", "orthonormal", "orthonormal_he", "lsuv_gaussian")
_SCHEDULES = ("step", "linear", "poly", "cosine", "linear_cosine", "warm_restarts", "one_cycle")
_BATCHES = _times("training.batch_size", 0.25, 0.5, 2.0, 4.0)
_STEM_LAYERS: Options = {
    f"{count}_of_{side}x{side}": {"network.stem_layers": count, "network.stem_layers_kernel": side}
    for side, counts in ((1, (1, 3, 5, 9)), (3, (1, 3)))
    for count in counts
}

_NON_LINEARITY = (
    _field(
        "network.activation",
        _ACTIVATIONS,
        "non-linearity; arcsinh with a gradient norm of at most 20",
        more={"arcsinh": act("arcsinh") | {"solver.clip_norm": 20.0}},
    ),
    _choice(
        "maxout_width",
        {"same_width": {}, "same_complexity": {"network.widths": MAXOUT_SAME_COMPLEXITY["network.widths"]}},
        "width of each of the two layers of maxout",
        when={"network.activation": ("maxout",)},
    ),
    _choice(
        "classifier_activation",
        {"same": {}, "maxout": {"network.fc_activation": "maxout", "network.widths": (*CONV_WIDTHS, 1448, 1448)}},
        "non-linearity of the fully connected layers",
        unless={"network.activation": ("maxout",)},
    ),
    _field("network.norm", ("none", *_NORMALISED), "normalisation"),
    _field(
        "network.norm_position",
        ("after", "before"),
        "normalisation before or after the non-linearity",
        when={"network.norm": _NORMALISED},
    ),
)

_DOWNSAMPLING = (
    _choice("downsampling", {"pooling": {}, "strided_conv": pool("strided_conv")}, "what reduces the maps", often=5.0),
    _field("network.pooling", _POOLINGS, "pooling if values may be negative", when=_POOLED, unless=_NOT_NEGATIVE),
    _choice(
        "pooling_not_negative",
        _values("network.pooling", (*_POOLINGS, "stochastic")),
        "pooling if values are never negative",
        when=_POOLED | _NOT_NEGATIVE,
    ),
    _choice(
        "pooling_window",
        {"3x3": {}, "2x2": {"network.pool_kernel": 2}, "3x3_pad_1": {"network.pool_pad": 1}},
        "window of the poolings, with stride 2",
        when=_POOLED,
    ),
    _field(
        "network.lrn",
        (False, True),
        "local response normalisation after the first two poolings",
        when=_POOLED | {"network.norm": ("none",)},
    ),
)

_IMAGES = (
    _choice("colour", _COLOURS, "colour space and pre-processing, with mean, scale and input normalisation", often=4.0),
    _field(
        "network.input_net",
        _INPUT_NETS,
        "learned colour space between image and first layer; the logarithms are of raw pixels",
        more=_LOG_NETS,
        often=4.0,
        when={"colour": ("rgb",)},
    ),
    _choice(
        "data.train_fraction",
        {"all": {}} | _times("data.train_fraction", 0.5, 0.25),
        "share of the training images",
        often=6.0,
    ),
    _field("data.label_noise", (0.0, 0.05, 0.1, 0.15, 0.32), "share of wrong training labels", often=12.0),
)

_NETWORK = (
    _field("network.head", _HEADS, "classifier"),
    Parameter("network.width", LogUniform(0.25, 1.5), "width of every layer but the classifier"),
    _field("network.groups", (True, False), "two groups in conv2, conv4, conv5"),
    _choice(
        "padding",
        {"same": {}, "none": {"network.conv_pad": False}},
        "padding of the convolutions; without it the first stride is halved",
        often=3.0,
    ),
    _choice("stem_layers", {"none": {}, **_STEM_LAYERS}, "further convolutions after the first one", often=3.0),
    _field(
        "network.stem_residual",
        (False, True),
        "identity skips over pairs of the further convolutions",
        when={"stem_layers": ("9_of_1x1",)},
    ),
    _choice(
        "bias",
        {"lr_x2": {}, "none": {"network.bias": False}}
        | {f"lr_x{2 * factor:g}": {"solver.bias_lr_mult": Times(factor)} for factor in (0.5, 2.5)},
        "biases, and their learning rate relative to that of the weights",
    ),
    Parameter("network.dropout", Uniform(0.0, 1.6), "dropout in the classifier"),
)

_TRAINING = (
    _field("solver.name", ("sgd", "nesterov"), "momentum or Nesterov's; adaptive solvers need rates of their own"),
    _field("init.method", _INITS, "initial weights"),
    _field("schedule.name", _SCHEDULES, "learning-rate schedule"),
    Parameter(
        "schedule.power", LogUniform(0.5, 2.0), "exponent of the polynomial schedule", when={"schedule.name": ("poly",)}
    ),
    Parameter(
        "schedule.warmup_fraction",
        LogUniform(0.25, 1.5),
        "share of the training in which the rate rises",
        when={"schedule.name": ("one_cycle",)},
    ),
    _choice("training.batch_size", {"x1": {}} | _BATCHES, "images per update, for the same number of images in total"),
    _choice(
        "batch_lr",
        {"constant": {}, "scaled": {"solver.lr": Like("training.batch_size")}},
        "learning rate constant, or scaled with the batch",
        when={"training.batch_size": tuple(_BATCHES)},
    ),
    Parameter("solver.lr", LogUniform(0.1, 10.0), "base learning rate"),
    Parameter("solver.weight_decay", LogUniform(0.02, 10.0), "decay of the weights"),
)

SPACE = Space(
    name="joint",
    question="Which combination of all the choices?",
    paper="Mishkin et al. 2017, list of hyper-parameters",
    finding="The best choices together gain more than any one of them.",
    parameters=(*_NON_LINEARITY, *_DOWNSAMPLING, *_IMAGES, *_NETWORK, *_TRAINING),
)
