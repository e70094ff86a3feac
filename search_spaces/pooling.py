"""Which pooling?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on pooling.
Published finding: the sum of maximum and average is best: 48.3 against 47.1 with the maximum.
Cost: 9 trials per seed of 64 epochs.

All three poolings change. Stochastic pooling draws a value by size in training and averages by size at test. `general`
has no number in the published table; its two forms are gated pooling (here) and tree pooling, see `pooling_general`.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import pool, published
from raysweep.study import Study, Variant

STUDY = Study(
    name="pooling",
    question="Which pooling?",
    paper="Mishkin et al. 2017, pooling",
    finding="The sum of maximum and average gains most.",
    baseline="max",
    variants=(
        Variant("max", pool("max"), "maximum"),
        Variant("average", pool("average"), "mean"),
        Variant("max_plus_average", pool("max_plus_average"), "sum of maximum and mean"),
        Variant("stochastic", pool("stochastic"), "one value drawn by its size; weighted mean at test"),
        Variant("stochastic_nodropout", pool("stochastic") | {"network.dropout": 0.0}, "stochastic, without dropout"),
        *published(
            "strided_conv",
            pool("strided_conv_234"),
            pool("strided_conv"),
            "no pooling, three convolutions of stride 2",
            "stride 2 in conv2, conv3 and conv5; the text says conv2, conv3 and conv4",
        ),
        Variant("general", pool("gated"), "maximum and mean mixed by a learned gate"),
        Variant("tree", pool("tree"), "two learned averages mixed by a learned gate"),
    ),
)
