"""Controls: questions whose answers are known. If one comes out wrong, training is too short to ask others."""

from __future__ import annotations

from collections.abc import Mapping

from raysweep.cost import find_cost
from raysweep.errors import InapplicableError
from raysweep.fitting import FIXED_SHARE
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.request import Request
from raysweep.study import find_study
from raysweep.sweeps.decide.fit_to_hours import EPOCHS, FRACTION
from raysweep.sweeps.decide.lab import FINAL_SEEDS, Batch, Lab, Step, each, gain_row, gain_text
from raysweep.sweeps.decide.trials import Entry
from raysweep.units import as_set

STEP = "control"
SEEDS = (2, 4)
"""Runs of each control: first two, then four of those that do not pass."""
PASSED, FAILED, OPEN = "passed", "failed", "not shown"


def ensure_length(lab: Lab) -> Step[None]:
    """Double the length of training until all controls pass, as far as time allows; else record a warning."""
    while True:
        outcomes = yield from check_controls(lab)
        text = warning(outcomes)
        if not text or not (longer := _longer(lab)):
            break
        lab.request = longer
        lab.keep_choices([f"{text}; length doubled: {as_set(lab.chosen)}"])
    if text:
        lab.log("warning", text)


def check_controls(lab: Lab) -> Step[dict[str, str]]:
    """Train the controls of the baseline; returns the outcome of each by name."""
    baseline, entries = lab.baseline(), control_entries(lab)
    outcomes: dict[str, str] = {}
    for seeds in SEEDS:
        open_ = [name for name in entries if outcomes.get(name) != PASSED]
        if not open_ or (outcomes and not lab.has_time(each([entries[name] for name in open_], range(seeds)))):
            break
        batch = Batch(lab, each([baseline, *(entries[name] for name in open_)], range(seeds)))
        yield batch
        outcomes |= {name: outcome(batch, entries[name], baseline) for name in open_}
        for name in open_:
            if outcomes[name] == PASSED or seeds == SEEDS[-1]:
                gain = batch.gain(entries[name], baseline)
                own = {"control": name, "outcome": outcomes[name], "updates": baseline.recipe.length.iterations}
                text = f"{name} {gain_text(gain, 'cannot be compared')}: {outcomes[name]}"
                lab.log(STEP, text, own | gain_row(gain))
    return outcomes


def control_entries(lab: Lab) -> dict[str, Entry]:
    """The controls that apply to the baseline and change it."""
    baseline, study = lab.baseline(), find_study("controls")
    found = {}
    for variant in study.variants:
        recipe = patch(baseline.recipe, variant.patch)
        if recipe != baseline.recipe and _applies(recipe):
            found[variant.name] = lab.variant(study.name, variant.name, recipe, baseline)
    return found


def _applies(recipe: Recipe) -> bool:
    try:
        find_cost(recipe)
    except InapplicableError:
        return False
    return True


def outcome(batch: Batch, entry: Entry, baseline: Entry) -> str:
    """Whether a control is worse than the baseline, as it must be; one that does not train at all is."""
    if batch.summary(baseline) is None:
        return FAILED
    if batch.values(entry) and batch.summary(entry) is None:
        return PASSED
    gain = batch.gain(entry, baseline)
    if gain is None:
        return OPEN
    return PASSED if gain[2] < 0 else FAILED if gain[0] >= 0 else OPEN


def _longer(lab: Lab) -> Request | None:
    """The request at twice the length; None if the user fixed it, races have begun, or time is short."""
    path, value = _doubled(lab.baseline().recipe)
    if path in lab.given or lab.num_results:
        return None
    request = lab.request.with_settings({path: value})
    runs = lab.first_runs + SEEDS[0] * len(control_entries(lab)) + 2 * FINAL_SEEDS
    needed_s = runs * lab.seconds(lab.baseline(request)) / lab.budget.workers
    return request if lab.budget.part(FIXED_SHARE).has_time_for(needed_s) else None


def _doubled(recipe: Recipe) -> tuple[str, float]:
    """Twice the images if more than half are left out, else twice the epochs."""
    fraction = recipe.data.train_fraction
    return (FRACTION, fraction * 2) if fraction <= 0.5 else (EPOCHS, recipe.training.epochs * 2)


def warning(outcomes: Mapping[str, str]) -> str:
    """What controls that do not pass say of all verdicts; empty if all pass."""
    wrong = [name for name, found in outcomes.items() if found == FAILED]
    unclear = [name for name, found in outcomes.items() if found == OPEN]
    texts = [f"{', '.join(wrong)} should be worse than the baseline and came out equal or better"] if wrong else []
    texts += [f"{', '.join(unclear)} could not be shown to be worse"] if unclear else []
    if not texts:
        return ""
    return f"{'; '.join(texts)}: training is too short to trust what follows; verdicts say who learns fastest"
