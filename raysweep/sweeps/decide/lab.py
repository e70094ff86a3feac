"""What the steps of `raysweep decide` share: the request with what was chosen, time, logs, and the trials they make."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from raysweep.cost import find_cost
from raysweep.deciding.budget import Budget
from raysweep.deciding.spread import Runs, Spread, gain_interval, shared_spread
from raysweep.fitting import makespan
from raysweep.identity import line_id
from raysweep.pace import Pace
from raysweep.patch import Patch, patch
from raysweep.planning import Member, possible
from raysweep.recipe import Recipe
from raysweep.request import Request
from raysweep.study import Study
from raysweep.sweeps.decide.trials import Entry, Run, Trials, score
from raysweep.train.task import TrialTask

if TYPE_CHECKING:
    from raysweep.data.image_sets import ImageSets
    from raysweep.store.decision_log import DecisionLog

FRESH_SEED = 10_000
"""First seed of trials that choose something or confirm it: no race uses them, so no choice favours its own runs."""
FINAL_SEEDS = 5
"""Runs of each side of the final comparison."""
LEVEL = 0.1
"""Two-sided level of the intervals of controls and checks: an error of 5 % on the side that matters."""
RATE = "solver.lr"
EMPTY: Mapping[str, Any] = MappingProxyType({})
Gain = tuple[float, float, float]
"""Estimate and interval, points."""


class Work(Protocol):
    """A part of a step: hands out trials and learns how they ended."""

    @property
    def waiting(self) -> Mapping[str, Any]:
        """The trials in progress."""

    def next(self) -> TrialTask | None:
        """The next trial. None if it depends on a trial in progress, or if the part is over."""

    def end(self, trial: str, status: str, error: str = "") -> None:
        """Report the end of a trial."""

    def most_left(self) -> int:
        """The largest number of trials in progress and to come."""

    def expected_left(self, ended: Set[str]) -> int:
        """The number of trials in progress and expected to come, without those in `ended`."""


T = TypeVar("T")
Step = Generator[Work, None, T]
"""A step: yields the parts whose trials it needs, goes on when all of them have ended, and returns what it found."""


@dataclass
class Lab:
    """The place where the steps work. `request` has all that was chosen so far, and every step may change it."""

    request: Request
    study: Study
    """The study whose baseline is calibrated and controlled."""
    sets: ImageSets
    trials: Trials
    logs: Mapping[str, DecisionLog]
    budget: Budget
    pace: Pace
    given: Mapping[str, Any]
    """The settings that the user asked for: these are not changed."""
    first_runs: int
    """Number of runs before anything can be said of any variant."""
    say: Callable[[str, str], None] = lambda kind, text: None
    """Receives `verdict` or `note`, and a line of text."""
    failed: dict[str, str] = field(default_factory=dict)
    """Trial that failed -> study and variant."""
    ratios: list[float] = field(default_factory=list)
    """Actual over predicted seconds of the trials made."""

    def baseline(self, request: Request | None = None) -> Entry:
        """The baseline of the first study, under this request or the current one."""
        study = self.study.only([])
        (planned,) = possible(replace(request or self.request, studies=(study,), variants=(), store=None).plan())
        return self.entry(planned.recipe, planned.members)

    def entry(self, recipe: Recipe, members: tuple[Member, ...]) -> Entry:
        """A recipe with its images, and what its trials stand for.

        Raises:
            RaysweepError: its images do not fit it, or are missing.
        """
        recipe = self.sets.bind(recipe)
        return Entry(recipe, members, str(self.sets.folder_of(recipe.data).resolve()))

    def variant(self, study: str, name: str, recipe: Recipe, baseline: Entry) -> Entry:
        """A recipe as a variant of a study that only these steps have."""
        return self.entry(recipe, (Member(study, name, "", 0, "baseline", line_id(baseline.recipe)),))

    def changed(self, entry: Entry, changes: Patch, study: str, variant: str) -> Entry:
        """The same recipe with further changes, as a variant of such a study."""
        return self.variant(study, variant, patch(entry.recipe, changes), entry)

    def predicted_s(self, entry: Entry) -> float:
        """Seconds of one trial by the pace of this machine."""
        return self.pace.trial_s(entry.recipe, find_cost(entry.recipe))

    def seconds(self, entry: Entry) -> float:
        """Seconds of one trial: the prediction, times what trials so far have taken of theirs."""
        return self.predicted_s(entry) * (sum(self.ratios) / len(self.ratios) if self.ratios else 1.0)

    def clock_s(self, runs: Iterable[Run]) -> float:
        """Seconds by the clock that these runs take; those that have ended in the store take none."""
        seconds = [self.seconds(entry) for entry, seed in runs if not self.trials.ended(entry, seed)]
        return makespan(sorted(seconds, reverse=True), self.budget.workers)

    def has_time(self, runs: Iterable[Run], reserved_s: float = 0.0) -> bool:
        """Whether these runs end within the budget and leave `reserved_s` of it."""
        return self.budget.has_time_for(self.clock_s(runs) + reserved_s)

    @property
    def num_results(self) -> int:
        """The number of results that the races have in their logs; with any, length and rate are what they are."""
        return sum(1 for log in self.logs.values() for _ in log.of_kind("seed"))

    @property
    def chosen(self) -> dict[str, Any]:
        """The settings that were chosen and not given."""
        own = self.request.settings
        return {path: value for path, value in own.items() if path not in self.given or self.given[path] != value}

    def keep_choices(self, why: Sequence[str]) -> None:
        """Record the settings that were chosen, with the reasons, in all logs.

        Raises:
            RaysweepError: a log cannot be written.
        """
        for log in self.logs.values():
            rows = list(log.of_kind("fit"))
            if not rows or rows[-1]["fit"] != self.chosen:
                log.add({"fit": self.chosen, "why": list(why)})

    def logged(self, step: str) -> list[dict[str, Any]]:
        """What the logs of all studies say of a step; what several of them say stands here once."""
        found: list[dict[str, Any]] = []
        for row in (one for log in self.logs.values() for one in log.of_kind("step") if one["step"] == step):
            if (plain := _without_clock(row)) not in found:
                found.append(plain)
        return found

    def log(self, step: str, text: str, values: Mapping[str, Any] = EMPTY, kind: str = "note") -> None:
        """Print what a step has found, with the step's name, and record it in the logs that lack it.

        Raises:
            RaysweepError: a log cannot be written.
        """
        row = {"step": step, **values, "text": text}
        lacking = [log for log in self.logs.values() if row not in map(_without_clock, log.of_kind("step"))]
        for log in lacking:
            log.add(row | {"clock_s": round(self.budget.used_s, 1)})
        if lacking:
            self.say(kind, f"{step}: {text}")


def _without_clock(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "clock_s"}


class Batch:
    """Runs of which a step needs all: hands them out, and keeps their values, in points of top-1."""

    def __init__(self, lab: Lab, runs: Iterable[Run], keep: bool = False) -> None:
        self.lab, self.keep = lab, keep
        self.runs = list(dict.fromkeys(runs))
        self.rows: dict[Run, Mapping[str, Any]] = {}
        for run in self.runs:
            if row := lab.trials.ended(*run):
                self.rows[run] = row
        self.wanted = [run for run in self.runs if run not in self.rows]
        self.waiting: dict[str, Run] = {}
        lab.trials.record(self.runs)

    def next(self) -> TrialTask | None:
        """The next trial; None if all have been handed out."""
        if not self.wanted:
            return None
        run = self.wanted.pop(0)
        task = self.lab.trials.task(*run, keep=self.keep)
        self.waiting[task.trial] = run
        return task

    def end(self, trial: str, status: str, error: str = "") -> None:
        """Take note of the end of a trial."""
        if (run := self.waiting.pop(trial, None)) is None:
            return
        if row := self.lab.trials.ended(*run):
            self.rows[run] = row
            taken_s = self.lab.pace.start_s + row["wall_s"]
            self.lab.ratios.append(taken_s / max(self.lab.predicted_s(run[0]), 1e-9))
        else:
            task = self.lab.trials.tasks[trial]
            self.lab.failed[trial] = f"{task.study}/{task.variant}"

    def most_left(self) -> int:
        """The number of trials in progress and to come."""
        return len(self.wanted) + len(self.waiting)

    def expected_left(self, ended: Set[str] = frozenset()) -> int:
        """The same, without trials that have ended."""
        return len(self.wanted) + len(self.waiting.keys() - ended)

    def values(self, entry: Entry) -> list[float | None]:
        """The results of a recipe in the order of its seeds, without those that failed; None: did not train."""
        return [score(self.rows[run], entry.recipe) for run in self.runs if run[0] == entry and run in self.rows]

    def summary(self, entry: Entry) -> Runs | None:
        """The results of a recipe that trained; None if none did."""
        trained = [value for value in self.values(entry) if value is not None]
        return Runs.of(trained) if trained else None

    def spread(self) -> Spread | None:
        """The spread between seeds that the recipes share; None if none has two results."""
        groups = [self.summary(entry) for entry in dict.fromkeys(entry for entry, _ in self.runs)]
        known = [group for group in groups if group and group.df]
        return shared_spread(known) if known else None

    def gain(self, entry: Entry, baseline: Entry, level: float = LEVEL) -> Gain | None:
        """The gain of a recipe over another one with its interval; None if either did not train."""
        one, other, spread = self.summary(entry), self.summary(baseline), self.spread()
        if not (one and other and spread):
            return None
        return gain_interval(one, other, spread, level)

    def seconds_of(self, entry: Entry) -> float:
        """Mean seconds that a recipe's trials took."""
        taken = [row["wall_s"] for (one, _), row in self.rows.items() if one == entry]
        return float(sum(taken)) / max(1, len(taken))


def gain_text(gain: Gain | None, otherwise: str = "did not train") -> str:
    """`+1.4 [-0.3, +3.1]`, or what is said of no gain."""
    return f"{gain[0]:+.1f} [{gain[1]:+.1f}, {gain[2]:+.1f}]" if gain else otherwise


def gain_row(gain: Gain | None) -> dict[str, float]:
    """The gain as a log has it; nothing of no gain."""
    return {name: round(value, 4) for name, value in zip(("gain", "low", "high"), gain or (), strict=False)}


def each(entries: Iterable[Entry], seeds: Iterable[int]) -> Iterator[Run]:
    """Every recipe with every seed, one seed after another."""
    entries = list(entries)
    for seed in seeds:
        yield from ((entry, seed) for entry in entries)
