"""How short can training be with batch normalisation?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a table in their repository.
Published finding: 105,000 updates at twice the rate reach 50.5, 320,000 with steps 52.7.
Cost: 4 trials per seed of 21 to 64 epochs.

Normalisation is after ReLU, without scale and bias; dropout is 0.2.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import BN_DROP02, EXP_160K, LINEAR, updates
from raysweep.study import Study, Times, Variant

STUDY = Study(
    name="lr_policy_bn",
    question="How short can training be with batch normalisation?",
    paper="Mishkin et al. 2017, repository",
    finding="A third of the length costs two to three points.",
    baseline="step",
    variants=(
        Variant("step", BN_DROP02, "steps, full length"),
        Variant("linear_105k", BN_DROP02 | LINEAR | updates(105), "linear decay, a third of the length"),
        Variant(
            "linear_105k_lr002",
            BN_DROP02 | LINEAR | updates(105) | {"solver.lr": Times(2.0)},
            "linear decay, a third of the length, twice the rate",
        ),
        Variant("exp_160k", BN_DROP02 | EXP_160K, "exponential, half the length, 3.5 times the rate"),
    ),
)
