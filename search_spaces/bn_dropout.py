"""How much dropout with batch normalisation?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a table in their repository.
Published finding: with normalisation, a dropout of 0.2 is better than 0.5: 52.7 against 49.9.
Cost: 3 trials per seed of 64 epochs.

Normalisation is after ReLU, without scale and bias; dropout follows fc6 and fc7.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import BN, BN_DROP02
from raysweep.study import Study, Variant

STUDY = Study(
    name="bn_dropout",
    question="How much dropout with batch normalisation?",
    paper="Mishkin et al. 2017, repository",
    finding="Less than without normalisation: 0.2 is better than 0.5 and than none.",
    baseline="drop05",
    variants=(
        Variant("drop05", BN | {"network.dropout": 0.5}, "dropout 0.5"),
        Variant("drop02", BN_DROP02, "dropout 0.2"),
        Variant("drop00", BN | {"network.dropout": 0.0}, "no dropout"),
    ),
)
