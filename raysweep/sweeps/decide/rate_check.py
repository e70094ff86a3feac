"""Is it the learning rate? Winners and losers among variants that change optimisation, at half and twice the rate."""

from __future__ import annotations

from raysweep.deciding.spread import Runs, gain_interval
from raysweep.deciding.verdicts import Outcome
from raysweep.patch import Times, diff
from raysweep.recipe import Recipe
from raysweep.store.decision_log import RATE_MARK
from raysweep.sweeps.decide.judged import Judged, goal_of, judged, size, winners
from raysweep.sweeps.decide.lab import LEVEL, RATE, Batch, Gain, Lab, Step, each, gain_row, gain_text
from raysweep.sweeps.decide.study_races import StudyRaces
from raysweep.sweeps.decide.trials import Entry

STEP = "rate"
FACTORS = (0.5, 2.0)
MOST = 6
"""Variants to check, those of the largest gains and losses first."""
OPTIMISATION = (
    *("solver.", "schedule.", "training.", "init.", "network.norm", "network.activation", "network.fc_activation"),
    *("network.bias", "network.conv_bias", "network.lrn", "network.dropout", "network.survival"),
)
"""The beginnings of the fields that change what rate is best."""


def check_rates(lab: Lab, races: StudyRaces, reserved_s: float) -> Step[list[str]]:
    """Train decided variants at other rates; returns those whose verdicts depend on the rate, as `study/variant`."""
    losers = judged(races, (Outcome.WORSE, Outcome.DID_NOT_TRAIN)) if goal_of(races) == "all" else []
    asked = [
        one
        for one in sorted([*winners(races), *losers], key=size, reverse=True)
        if changes_optimisation(one.entry.recipe, one.baseline.recipe)
    ]
    turning = []
    for one in asked[:MOST]:
        tried = {factor: _at_rate(lab, one, factor) for factor in FACTORS}
        runs = list(each(tried.values(), [0]))
        if one.spread is None or not lab.has_time(runs, reserved_s):
            lab.say("note", f"{STEP}: no time is left to try {one.study}/{one.variant} at other learning rates")
            break
        batch = Batch(lab, runs)
        yield batch
        if _compare(lab, one, {factor: batch.summary(entry) for factor, entry in tried.items()}):
            turning.append(f"{one.study}/{one.variant}")
    return turning


def changes_optimisation(recipe: Recipe, baseline: Recipe) -> bool:
    """Whether a recipe differs from its baseline in something that changes what learning rate is best."""
    return any(path.startswith(OPTIMISATION) for path in diff(recipe, baseline))


def _at_rate(lab: Lab, one: Judged, factor: float) -> Entry:
    return lab.changed(one.entry, {RATE: Times(factor)}, f"{one.study}_rate", f"{one.variant}_x{factor:g}")


def _compare(lab: Lab, one: Judged, found: dict[float, Runs | None]) -> bool:
    """Record the gain at each rate; whether one of them turns the verdict."""
    turned = False
    for factor, runs in found.items():
        gain = gain_over(runs, one)
        turns = does_turn(one.verdict.outcome, gain)
        turned |= turns
        name = f"{one.study}/{one.variant}"
        ending = f": {one.verdict.outcome} {RATE_MARK}" if turns else f", {one.verdict.outcome} stays"
        own = {"study": one.study, "variant": one.variant, "factor": factor, "turns": turns}
        lab.log(STEP, f"{name} at {factor:g} x its rate {gain_text(gain)}{ending}", own | gain_row(gain))
    return turned


def gain_over(runs: Runs | None, one: Judged) -> Gain | None:
    """The gain of runs over those of the variant's baseline; None if none trained."""
    if runs is None or one.spread is None:
        return None
    return gain_interval(runs, one.reference, one.spread, LEVEL)


def does_turn(outcome: Outcome, gain: Gain | None) -> bool:
    """Whether the result at another rate contradicts a verdict: the other sign, or it trains after all."""
    if outcome is Outcome.DID_NOT_TRAIN:
        return gain is not None
    if outcome is Outcome.WORSE:
        return gain is not None and gain[0] > 0
    return gain is None or gain[0] < 0
