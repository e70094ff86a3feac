"""Which pooling?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on pooling.
Published finding: the sum of maximum and average is best: 48.3 against 47.1 of the maximum.
Cost: 9 trials a seed of 64 epochs.

All three poolings change. Stochastic pooling draws by size in training and weighs by size at test. `general` stands in
the published table without a number; its two forms are gated pooling (here) and tree pooling, see `pooling_general`.
"""

from __future__ import annotations

from raysweep.study import Study, Variant


def _pool(name: str) -> dict[str, str]:
    return {"network.pooling": name}


STUDY = Study(
    name="pooling",
    question="Which pooling?",
    paper="Mishkin et al. 2017, pooling",
    finding="The sum of maximum and average gains most.",
    baseline="max",
    variants=(
        Variant("max", {"network.pooling": "max"}, "maximum"),
        Variant("average", _pool("average"), "mean"),
        Variant("max_plus_average", _pool("max_plus_average"), "sum of maximum and mean"),
        Variant("stochastic", _pool("stochastic"), "one value drawn by its size; weighted mean at test"),
        Variant(
            "stochastic_nodropout", _pool("stochastic") | {"network.dropout": 0.0}, "stochastic pooling without dropout"
        ),
        Variant(
            "strided_conv",
            _pool("strided_conv"),
            "no pooling, three convolutions of stride 2",
            as_published="stride 2 in conv2, conv3 and conv5, where the text says conv2, conv3 and conv4",
        ),
        Variant("strided_conv_clean", _pool("strided_conv_234"), "no pooling, stride 2 in conv2, conv3 and conv4"),
        Variant("general", _pool("gated"), "maximum and mean mixed by a learned gate"),
        Variant("tree", _pool("tree"), "two learned averages mixed by a learned gate"),
    ),
)
