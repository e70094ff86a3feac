"""Combine what is better, and compare the recipe that results with the baseline on images not used so far."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from raysweep.cost import find_cost
from raysweep.errors import RaysweepError
from raysweep.planning import changes as settings_changed
from raysweep.sweeps.decide.judged import Judged, winners
from raysweep.sweeps.decide.lab import FINAL_SEEDS, FRESH_SEED, Batch, Lab, Step, each, gain_row, gain_text
from raysweep.sweeps.decide.study_races import StudyRaces
from raysweep.sweeps.decide.trials import Entry, Run
from raysweep.units import rough_duration

COMBINE, FINAL = "combine", "final"
SEEDS = 3
"""Runs with and without a further change."""
FINAL_LEVEL = 0.05
ON_TEST = {"data.holdout": 0.0}
"""All training images to train on, and the test split to test on."""


@dataclass
class Combined:
    """The changes kept so far: variants and the fields that they set."""

    names: list[str] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)

    def with_(self, one: Judged) -> Combined:
        """The same with those of another variant."""
        return Combined([*self.names, one.variant], self.changes | own_changes(one))

    @property
    def title(self) -> str:
        """The variants in words."""
        return " + ".join(self.names)


def own_changes(one: Judged) -> dict[str, Any]:
    """What a variant changes of its baseline."""
    return settings_changed(one.entry.recipe, one.baseline.recipe)


def combine(lab: Lab, races: StudyRaces, doubtful: Collection[str]) -> Step[Combined]:
    """Add what is better, that with the largest gain for its multiply-accumulates first, and keep what still helps.

    Variants in `doubtful`, as `study/variant`, are left out.
    """
    baseline, kept = lab.baseline(), Combined()
    for one in in_order(winners(races)):
        if reason := objection(one, kept, baseline, doubtful):
            lab.log(
                COMBINE, f"{one.study}/{one.variant} is left out: {reason}", {"variant": one.variant, "kept": False}
            )
        elif not kept.names:
            kept = kept.with_(one)
        else:
            kept = yield from _try(lab, baseline, kept, one)
    return kept


def in_order(better: Sequence[Judged]) -> list[Judged]:
    """The variants by their gain for each multiply-accumulate, the largest first."""
    return sorted(better, key=lambda one: -one.verdict.gain / max(1, find_cost(one.entry.recipe).macs))


def objection(one: Judged, kept: Combined, baseline: Entry, doubtful: Collection[str]) -> str:
    """Why a variant is not tried; empty if it is."""
    if one.baseline.recipe != baseline.recipe:
        return "it was compared with another baseline"
    if f"{one.study}/{one.variant}" in doubtful:
        return "its gain depends on the learning rate or on the length of training"
    if shared := sorted(own_changes(one).keys() & kept.changes.keys()):
        return f"it changes {', '.join(shared)}, as {kept.title} does"
    return ""


def _try(lab: Lab, baseline: Entry, kept: Combined, one: Judged) -> Step[Combined]:
    more = kept.with_(one)
    try:
        without, with_it = (_entry(lab, baseline, which) for which in (kept, more))
        find_cost(with_it.recipe)
    except RaysweepError as error:
        text = f"{one.variant} cannot be combined with {kept.title}: {error}"
        lab.log(COMBINE, text, {"variant": one.variant, "kept": False})
        return kept
    runs = list(each([without, with_it], range(SEEDS)))
    if not lab.has_time(runs, final_s(lab, baseline, with_it)):
        lab.log(
            COMBINE, f"no time is left to add {one.variant} to {kept.title}", {"variant": one.variant, "kept": False}
        )
        return kept
    batch = Batch(lab, runs)
    yield batch
    gain = batch.gain(with_it, without)
    helps = gain is not None and gain[0] > 0
    text = f"{one.variant} added to {kept.title}: {gain_text(gain)}"
    ending = "kept" if helps else "left out"
    own = {"variant": one.variant, "kept": helps}
    lab.log(COMBINE, f"{text}, {ending}", own | gain_row(gain))
    return more if helps else kept


def _entry(lab: Lab, baseline: Entry, combined: Combined) -> Entry:
    return lab.changed(baseline, combined.changes, "combination", "+".join(combined.names))


def final_s(lab: Lab, *entries: Entry) -> float:
    """Seconds by the clock of the final comparison."""
    return lab.clock_s(_final_runs(lab.changed(one, ON_TEST, "final", "") for one in entries))


def _final_runs(entries: Iterable[Entry]) -> list[Run]:
    return list(each(entries, range(FRESH_SEED, FRESH_SEED + FINAL_SEEDS)))


def compare_finally(lab: Lab, races: StudyRaces, combined: Combined) -> Step[None]:
    """Train the combined recipe and the baseline on all training images, and compare them on the test split."""
    if not any(race.runs.get(race.question.baseline) for race in races.races.races.values()):
        lab.log(FINAL, "the baseline did not train: nothing can be compared with it", {"variants": []})
        return
    if not combined.names:
        lab.log(FINAL, "nothing is better than the baseline: keep it", {"variants": []})
        return
    baseline = lab.baseline()
    entries = {
        name: lab.changed(baseline, changes | ON_TEST, "final", name)
        for name, changes in (("baseline", {}), (combined.title, combined.changes))
    }
    runs = _final_runs(entries.values())
    if not lab.has_time(runs):
        more = f"needs about {rough_duration(lab.clock_s(runs))}, for which no time is left"
        lab.log(FINAL, f"{combined.title}: the comparison on the test split {more}", {"variants": combined.names})
        return
    batch = Batch(lab, runs, keep=True)
    yield batch
    _conclude(lab, batch, combined, *entries.values())


def _conclude(lab: Lab, batch: Batch, combined: Combined, baseline: Entry, best: Entry) -> None:
    gain, before, after = batch.gain(best, baseline, FINAL_LEVEL), batch.summary(baseline), batch.summary(best)
    if not (gain and before and after):
        lab.log(FINAL, f"{combined.title}: did not train on all images", {"variants": combined.names})
        return
    time = batch.seconds_of(best) / max(batch.seconds_of(baseline), 1e-9)
    half = gain[2] - gain[0]
    trial = max((row for (one, _), row in batch.rows.items() if one == best), key=lambda row: row["top1"] or 0)["trial"]
    means = f"{before.mean:.1f} -> {after.mean:.1f} %"
    text = f"{combined.title}: {means} ({gain[0]:+.1f} +- {half:.1f}), {time:.2f} x the time"
    numbers = {"baseline": round(before.mean, 4), "top1": round(after.mean, 4), **gain_row(gain)}
    own = {"variants": combined.names, "time": round(time, 3), "trial": trial, "runs": after.n}
    lab.log(FINAL, text, own | numbers, "verdict")
