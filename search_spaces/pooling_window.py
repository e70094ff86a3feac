"""Which pooling window?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on pooling.
Published finding: larger maps help: 48.8 for 3x3 with a border, 48.4 for 2x2, 47.1 for 3x3 without a border.
Cost: 3 trials per seed of 64 epochs.

All three poolings change, with Caffe's rounding. The map before fc6 also grows (3x3, 4x4, 5x5), and fc6 with it, so the
study does not isolate the effect of the window.
"""

from __future__ import annotations

from raysweep.study import Study, Variant

STUDY = Study(
    name="pooling_window",
    question="Which pooling window?",
    paper="Mishkin et al. 2017, pooling",
    finding="3x3 with a border, then 2x2: windows that leave larger maps.",
    baseline="k3s2",
    variants=(
        Variant("k3s2", {"network.pool_kernel": 3, "network.pool_pad": 0}, "3x3, stride 2"),
        Variant("k2s2", {"network.pool_kernel": 2, "network.pool_pad": 0}, "2x2, stride 2, without overlap"),
        Variant("k3s2_pad1", {"network.pool_kernel": 3, "network.pool_pad": 1}, "3x3, stride 2, a border of 1"),
    ),
)
