"""Which learning-rate policy?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on learning rate.
Published finding: linear decay to zero is best: 49.3 against 47.1 with steps; at half the length it still has 46.6.
Cost: 14 trials per seed, 10 of them of 64 epochs.

The base rate is 0.01 except in the exponential forms: those start at 0.035 and multiply by 0.915 every 2,000 of 160,000
updates, which `exp` stretches to the full length. Beyond the paper, the study has the linear cosine decay of Bello et
al. 2017 (TensorFlow's equation: half a period, alpha 0, beta 0.001), the cosine and its warm restarts (Loshchilov &
Hutter 2017, three cycles, each twice as long as the one before) and one cycle (Smith & Topin 2018; peak at the base
rate).
"""

from __future__ import annotations

from typing import Any

from raysweep.search_spaces._shared import EXP_160K, LINEAR, Patch, updates
from raysweep.study import Study, Variant


def _schedule(name: str, **fields: Any) -> Patch:
    return {"schedule.name": name} | {f"schedule.{field}": value for field, value in fields.items()}


_EXP_320K = {path: value for path, value in EXP_160K.items() if path != "training.epochs"}

STUDY = Study(
    name="lr_policy",
    question="Which learning-rate policy?",
    paper="Mishkin et al. 2017, learning rate policy",
    finding="Linear decay to zero gains most.",
    baseline="step",
    variants=(
        Variant("step", {"schedule.name": "step"}, "a tenth every 100,000 of 320,000 updates"),
        Variant("square", _schedule("poly", power=2.0), "(1 - t)^2"),
        Variant("sqrt", _schedule("poly", power=0.5), "(1 - t)^0.5"),
        Variant("linear", LINEAR, "1 - t"),
        Variant("linear_160k", LINEAR | updates(160), "1 - t, half the length"),
        Variant("linear_105k", LINEAR | updates(105), "1 - t, a third of the length"),
        Variant("exp", _EXP_320K, "3.5 times the rate, multiplied by 0.915 every 1/80"),
        Variant("exp_160k", EXP_160K, "the same at half the length"),
        Variant("linear_cosine", _schedule("linear_cosine"), "linear decay times half a cosine"),
        Variant("linear_cosine_160k", _schedule("linear_cosine") | updates(160), "the same at half the length"),
        Variant("cosine", _schedule("cosine"), "half a cosine, decaying to zero"),
        Variant("cosine_160k", _schedule("cosine") | updates(160), "half a cosine, half the length"),
        Variant("warm_restarts", _schedule("warm_restarts"), "three cosines, each twice as long as the one before"),
        Variant("one_cycle", _schedule("one_cycle"), "linear warm-up for 30 %, then cosine decay"),
    ),
)
