"""How much weight decay and dropout?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a table in their repository.
Published finding: less dropout is better (49.7 with 0.3, 47.1 with 0.5); less weight decay is worse.
Cost: 8 trials per seed of 64 epochs.

The published rows of weight decay 1e-4 and 1e-5 have the same two numbers, so one of them may be an error.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import Patch, published
from raysweep.study import Study, Times, Variant

_DROP05: Patch = {"network.dropout": 0.5}


def _decay(factor: float) -> Patch:
    return _DROP05 | {"solver.weight_decay": Times(factor)}


STUDY = Study(
    name="regularization",
    question="How much weight decay and dropout?",
    paper="Mishkin et al. 2017, repository",
    finding="Dropout of 0.2 to 0.3 and the usual weight decay.",
    baseline="wd5e4_l2_drop05",
    variants=(
        Variant("wd5e4_l2_drop05", _DROP05, "decay 0.0005 (L2), dropout 0.5"),
        Variant("wd1e4_l2_drop05", _decay(1 / 5), "a fifth of the decay"),
        Variant("wd1e5_l2_drop05", _decay(1 / 50), "a fiftieth of the decay"),
        *published(
            "wd1e5_l1_drop05",
            _decay(1 / 50) | {"solver.decay_norm": "l1"},
            _decay(1 / 5),
            "a fiftieth of the decay, L1",
            "a fifth of the decay: the only L1 file has 0.0001",
        ),
        Variant("wd5e4_l2_drop03", {"network.dropout": 0.3}, "dropout 0.3"),
        Variant("wd5e4_l2_drop02", {"network.dropout": 0.2}, "dropout 0.2"),
        Variant("wd5e4_l2_drop01", {"network.dropout": 0.1}, "dropout 0.1"),
    ),
)
