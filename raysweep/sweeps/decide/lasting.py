"""Does it last? The best few and the baseline at twice the length."""

from __future__ import annotations

from raysweep.patch import Times
from raysweep.store.decision_log import FADES, HOLDS, LONGER, TURNS
from raysweep.sweeps.decide.judged import winners
from raysweep.sweeps.decide.lab import Batch, Lab, Step, each, gain_row, gain_text
from raysweep.sweeps.decide.study_races import StudyRaces

STEP = "lasting"
MOST = 3
SEEDS = 2
TWICE = {"training.epochs": Times(2.0)}


def check_lasting(lab: Lab, races: StudyRaces, reserved_s: float) -> Step[None]:
    """Train the best variants and their baselines at twice the length, and record whether gains hold."""
    best = winners(races)[:MOST]
    if not best:
        return
    while best:
        bases = dict.fromkeys(one.baseline for one in best)
        longer = {one.entry: lab.changed(one.entry, TWICE, f"{one.study}_longer", one.variant) for one in best}
        longer |= {base: lab.changed(base, TWICE, f"{best[0].study}_longer", "baseline") for base in bases}
        runs = list(each(dict.fromkeys(longer.values()), range(SEEDS)))
        if lab.has_time(runs, reserved_s):
            break
        best.pop()
    else:
        lab.say("note", f"{STEP}: no time is left to try what is better {LONGER}")
        return
    batch = Batch(lab, runs)
    yield batch
    for one in best:
        gain = batch.gain(longer[one.entry], longer[one.baseline])
        found = outcome(one.verdict.gain, gain[0] if gain else None)
        text = f"{one.study}/{one.variant} {LONGER} {gain_text(gain)}"
        own = {"study": one.study, "variant": one.variant, "outcome": found}
        before = f"{one.verdict.gain:+.1f} at this length"
        lab.log(STEP, f"{text} ({before}): {found}", own | gain_row(gain))


def outcome(gain: float, longer: float | None) -> str:
    """Whether a gain holds at twice the length: at least half of it is left. It turns if it has the other sign."""
    if longer is None or longer < 0:
        return TURNS
    return HOLDS if longer >= gain / 2 else FADES
