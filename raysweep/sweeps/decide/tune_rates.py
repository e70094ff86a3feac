"""A learning rate of its own for each variant that changes optimisation, chosen on held-out images."""

from __future__ import annotations

from raysweep.identity import line_id
from raysweep.patch import Times
from raysweep.planning import possible
from raysweep.sweeps.decide.lab import FRESH_SEED, RATE, Batch, Lab, Step, each
from raysweep.sweeps.decide.rate_check import changes_optimisation
from raysweep.sweeps.decide.trials import Entry

STEP = "tune"
FACTORS = (0.5, 1.0, 2.0)


def tune_rates(lab: Lab) -> Step[None]:
    """Try each variant at half and twice its rate, and record the best factor of each in the logs.

    The runs have a seed that no race uses, so that no variant is judged by the run that its rate was chosen for.
    """
    known = tuned(lab)
    if lab.num_results:
        return
    baseline = lab.baseline()
    asked = [
        lab.entry(one.recipe, one.members)
        for one in possible(lab.request.plan())
        if line_id(one.recipe) not in known and changes_optimisation(one.recipe, baseline.recipe)
    ]
    entries = {entry: {factor: _at(lab, entry, factor) for factor in FACTORS} for entry in asked}
    batch = Batch(lab, each([one for tried in entries.values() for one in tried.values()], [FRESH_SEED]))
    yield batch
    for entry, tried in entries.items():
        _choose(lab, entry, {factor: runs.mean for factor, one in tried.items() if (runs := batch.summary(one))})


def _choose(lab: Lab, entry: Entry, scores: dict[float, float]) -> None:
    factor = max(scores, key=lambda one: scores[one], default=1.0)
    member = entry.members[0]
    found = ", ".join(f"x{one:g}: {score:.1f} %" for one, score in scores.items()) or "none trains"
    text = f"{member.study}/{member.variant} at {factor:g} x its rate ({found})"
    lab.log(STEP, text, {"line": line_id(entry.recipe), "variant": member.variant, "factor": factor})


def _at(lab: Lab, entry: Entry, factor: float) -> Entry:
    member = entry.members[0]
    return lab.changed(entry, {RATE: Times(factor)}, "tuning", f"{member.study}_{member.variant}_x{factor:g}")


def tuned(lab: Lab) -> dict[str, float]:
    """Line of a recipe -> the factor chosen for its rate."""
    return {row["line"]: row["factor"] for row in lab.logged(STEP)}
