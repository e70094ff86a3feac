"""Does depth right after the first layer help?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a table in their repository.
Published finding: yes: 51.4 with five further 1x1 layers, 55.1 with five further 3x3 layers, 47.1 with none.
Cost: 10 trials per seed of 64 epochs.

Convolutions of 96 channels with ReLU are added between the first non-linearity and pool1. There are no published files.
Not documented: how the residual form pairs nine layers (here four pairs with identity skips, the ninth without). Its
number was taken at 276,000 updates.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import Patch
from raysweep.study import Study, Variant


def _further(layers: int, kernel: int) -> Patch:
    return {"network.stem_layers": layers, "network.stem_layers_kernel": kernel}


STUDY = Study(
    name="conv1_depth",
    question="Does depth right after the first layer help?",
    paper="Mishkin et al. 2017, repository",
    finding="Yes, 3x3 layers more than 1x1 ones.",
    baseline="nin0",
    variants=(
        Variant("nin0", {"network.stem_layers": 0}, "no further layer"),
        *(Variant(f"nin{count}", _further(count, 1), f"{count} further 1x1 layers") for count in (1, 3, 5, 7, 9)),
        Variant("nin9_res", _further(9, 1) | {"network.stem_residual": True}, "9 further 1x1 layers with skips"),
        *(Variant(f"c3x3_{count}", _further(count, 3), f"{count} further 3x3 layers") for count in (1, 3, 5)),
    ),
)
