"""Wider, or more groups, at equal cost?

Paper: Xie et al. 2017 (arXiv 1611.05431), table 3.
Published finding: 32 groups of 4 channels (77.8) beat one group of 64 (76.1) at the cost of ResNet-50 on ImageNet.
Cost: 3 trials a seed of 64 epochs.

ResNet-50, ResNeXt-50, and for comparison 3x3 convolutions twice as wide at more than twice the cost. Not built: the
steps of 2, 4 and 8 groups between them.
"""

from __future__ import annotations

from raysweep.study import Study, Variant

STUDY = Study(
    name="cardinality",
    question="Wider, or more groups, at equal cost?",
    paper="Xie et al. 2017",
    finding="More groups.",
    baseline="resnet50",
    variants=(
        Variant("resnet50", {"network.name": "resnet50"}, "one group of 64 channels"),
        Variant("resnext50_32x4d", {"network.name": "resnext50_32x4d"}, "32 groups of 4 channels"),
        Variant("wide_resnet50_2", {"network.name": "wide_resnet50_2"}, "one group of 128 channels"),
    ),
)
