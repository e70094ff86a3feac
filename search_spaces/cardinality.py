"""Wider, or more groups, at equal cost?

Paper: Xie et al. 2017 (arXiv 1611.05431), table 3.
Published finding: at the cost of ResNet-50 on ImageNet, 32 groups of 4 channels (77.8) beat one group of 64 (76.1).
Cost: 6 trials per seed of 64 epochs.

ResNet-50's 3x3 convolutions have 1 to 32 groups, with the widths of the paper's table 2. For comparison, one variant
has 3x3 convolutions twice as wide, at more than twice the cost.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import net
from raysweep.study import Study, Variant

_GROUPS = {2: 40, 4: 24, 8: 14, 32: 4}
"""Number of channels of a group, by the number of groups."""

STUDY = Study(
    name="cardinality",
    question="Wider, or more groups, at equal cost?",
    paper="Xie et al. 2017",
    finding="More groups.",
    baseline="resnet50",
    variants=(
        Variant("resnet50", net("resnet50"), "one group of 64 channels"),
        *(
            Variant(name := f"resnext50_{groups}x{width}d", net(name), f"{groups} groups of {width} channels")
            for groups, width in _GROUPS.items()
        ),
        Variant("wide_resnet50_2", net("wide_resnet50_2"), "one group of 128 channels"),
    ),
)
