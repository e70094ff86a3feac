"""Which non-linearity?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on activation functions.
Published finding: full-width maxout is best (51.7 against ReLU's 47.1) at twice the cost. At equal cost the best is ELU
in the convolutions with maxout in the classifier (49.9). ELU and PReLU gain at the same width.
Cost: 26 trials per seed of 64 epochs; on ImageNet at 128 px the baseline takes 5.1e16 multiply-accumulates (3 passes).

The non-linearity follows conv1..conv5, fc6 and fc7. Where the published files are not conclusive:
- rrelu: the file's bounds (10, 30) have no documented meaning; here the slope is U(0.1, 0.5) in training and 0.3 at
  test, as in the authors' talk.
- oplu: there is one published number and no network file; here adjacent channels are sorted in pairs, larger first.
- sigmoid: it is in the authors' list, but has no published number without batch normalisation.
- elu_lrelu_mean: it is described in words only.
- elu_alpha05: the published file has half the batch for the same number of updates, so half the epochs;
  elu_alpha05_clean changes only the non-linearity.
- maxout: the widths of the _same_complexity form are the file's (conv5 is 172, not 256 / sqrt 2 = 181).
"""

from __future__ import annotations

from raysweep.search_spaces._shared import (
    HALF_BATCH_SAME_UPDATES,
    HALF_EPOCHS_NOTE,
    MAXOUT_SAME_COMPLEXITY,
    act,
    fc_widths,
    pool,
    published,
)
from raysweep.study import Study, Variant

_LINEAR = act("linear")
_FC_MAXOUT = {"network.fc_activation": "maxout"} | fc_widths(1448)

STUDY = Study(
    name="activation",
    question="Which non-linearity?",
    paper="Mishkin et al. 2017, activation functions",
    finding="Maxout gains most at twice the cost; ELU with maxout in the classifier gains most at equal cost.",
    baseline="relu",
    variants=(
        Variant("relu", act("relu"), "max(x, 0)"),
        Variant("relu_lrn", {"network.lrn": True}, "ReLU with local response normalisation after pool1 and pool2"),
        Variant("linear", _LINEAR, "no non-linearity; max pooling stays"),
        Variant(
            "linear_nopool", act("linear") | pool("strided_conv"), "linear, stride 2 in conv2, conv3, conv5; no pooling"
        ),
        Variant("sigmoid", act("sigmoid"), "1 / (1 + exp(-x))"),
        Variant("tanh", act("tanh"), "tanh(x)"),
        Variant("scaled_tanh", act("scaled_tanh"), "1.759 tanh(0.6667 x)"),
        Variant("arcsinh", act("arcsinh") | {"solver.clip_norm": 20.0}, "asinh(x), gradient norm at most 20"),
        Variant("vlrelu", act("vlrelu"), "leaky ReLU with slope 0.3"),
        Variant("rrelu", act("rrelu"), "leaky ReLU with random slope U(0.1, 0.5), 0.3 at test"),
        Variant("prelu", act("prelu"), "leaky ReLU with a learned slope per channel, initially 0.3"),
        Variant("elu", act("elu"), "x or exp(x) - 1"),
        *published("elu_alpha05", act("elu_alpha05"), HALF_BATCH_SAME_UPDATES, "ELU with alpha 0.5", HALF_EPOCHS_NOTE),
        Variant("elu_lrelu_mean", act("elu_lrelu_mean"), "mean of ELU and leaky ReLU with slope 0.05"),
        Variant("softplus_shifted", act("softplus_shifted"), "ln(1 + exp(x)) - ln 2"),
        Variant("selu", act("selu"), "1.0507 times ELU with alpha 1.67326"),
        Variant("frelu", act("frelu"), "ReLU plus a learned bias per channel, initially -0.2"),
        Variant("felu", act("felu"), "ELU plus a learned bias per channel, initially -0.1"),
        Variant("maxout_same_complexity", MAXOUT_SAME_COMPLEXITY, "maximum of two layers, about 1 / sqrt 2 as wide"),
        Variant("maxout_same_width", act("maxout"), "maximum of two layers of full width, twice the cost"),
        Variant("conv_relu_fc_maxout", _FC_MAXOUT, "ReLU in the convolutions, maxout of 1448 in fc6, fc7"),
        Variant("conv_elu_fc_maxout", act("elu") | _FC_MAXOUT, "ELU in the convolutions, maxout of 1448 in fc6, fc7"),
        Variant("apl2", act("apl2"), "ReLU plus 2 learned hinges per unit position"),
        Variant(
            "apl5",
            act("apl5") | {"training.accumulate": 2},
            "ReLU plus 5 learned hinges per unit position; the batch in two halves",
        ),
        Variant("oplu", act("oplu"), "adjacent channels sorted in pairs, larger first"),
    ),
)
