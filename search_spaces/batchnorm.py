"""Batch normalisation: before or after the non-linearity, with or without scale and bias?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on batch normalisation.
Published finding: after the non-linearity without scale and bias is best (49.9 against 47.1 without normalisation).
Cost: 5 trials per seed of 64 epochs.

Caffe's layer normalises the outputs of conv1..conv5, fc6, fc7: epsilon 1e-5, running sums decayed by 0.95, running
variance with the factor m / (m - 1), biases of the layers kept. The authors' slide compares before *with* to after
*without* scale and bias; comparable are `before` and `after`, and the two `_scale_bias` forms. The same names are
published for GoogLeNet (`--network googlenet`); `bn_init` has those runs as published, with their schedule and test.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import BN
from raysweep.study import Study, Variant

STUDY = Study(
    name="batchnorm",
    question="Batch normalisation before or after the non-linearity, with or without scale and bias?",
    paper="Mishkin et al. 2017, batch normalisation",
    finding="After the non-linearity, without scale and bias, gains most.",
    baseline="none",
    variants=(
        Variant("none", {"network.norm": "none", "network.conv_bias": True}, "no normalisation"),
        Variant("before", {"network.norm": "batch", "network.norm_position": "before"}, "before, no scale and bias"),
        Variant(
            "before_scale_bias",
            {"network.norm": "batch_affine", "network.norm_position": "before"},
            "before the non-linearity, with a learned scale and bias per channel",
        ),
        Variant("after", BN, "after the non-linearity, no scale and bias"),
        Variant(
            "after_scale_bias",
            BN | {"network.norm": "batch_affine"},
            "after, with a learned scale and bias per channel",
        ),
    ),
)
