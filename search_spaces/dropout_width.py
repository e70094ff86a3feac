"""Is dropout a way to train a wider layer?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a table in their repository.
Published finding: no: with 1433 active units a width of 2048 is best (49.7); 4096 has 46.5, 6144 has 44.7.
Cost: 6 trials per seed of 64 epochs.

fc6 and fc7 have various widths, each with the dropout that leaves 1433 units active; for comparison, dropout 0.5.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import Patch, fc_widths
from raysweep.study import Study, Variant


def _fc(width: int, dropout: float) -> Patch:
    return fc_widths(width) | {"network.dropout": dropout}


STUDY = Study(
    name="dropout_width",
    question="Is dropout a way to train a wider layer?",
    paper="Mishkin et al. 2017, repository",
    finding="No: less dropout in a narrower layer is better.",
    baseline="fc2048_drop05",
    variants=(
        Variant("fc2048_drop05", {"network.dropout": 0.5}, "2048 wide, dropout 0.5"),
        Variant("fc2048_drop03", {"network.dropout": 0.3}, "2048 wide, dropout 0.3"),
        Variant("fc4096_drop065", _fc(4096, 0.65), "4096 wide, dropout 0.65"),
        Variant("fc6144_drop077", _fc(6144, 0.77), "6144 wide, dropout 0.77"),
        Variant("fc4096_drop05", _fc(4096, 0.5), "4096 wide, dropout 0.5"),
        Variant("fc1433_drop00", _fc(1433, 0.0), "1433 wide, no dropout"),
    ),
)
