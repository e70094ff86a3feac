"""The races of `raysweep decide`: their runs are trials of the store, their states stand in logs there.

`next` returns trials and `end` takes their results; who trains them does not matter here. A race is the function of the
results in its log. Trials of the store that no log has count too, in the order of their seeds: those of `raysweep run`,
and the one whose driver was killed between its result and the line in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raysweep.deciding.allocation import standing
from raysweep.deciding.race import Race
from raysweep.deciding.studies import Line, Races, Run
from raysweep.deciding.verdicts import Verdict
from raysweep.identity import trial_id
from raysweep.sweeps.decide.trials import Entry, Trials, score
from raysweep.terminal.decisions import Answer, Baseline, verdict_text
from raysweep.train.task import DONE, TrialTask
from raysweep.units import rough_duration

if TYPE_CHECKING:
    from raysweep.store.decision_log import DecisionLog

STATE_EVERY_S = 60.0
"""Seconds between lines about the state of a study in which nothing has been decided."""


@dataclass
class StudyRaces:
    """The races of the studies of a command, as a part of the steps."""

    races: Races
    entries: Mapping[Line, Entry]
    logs: Mapping[str, DecisionLog]
    trials: Trials
    start_s: float = 0.0
    """Seconds of a trial before its first epoch."""
    say: Callable[[str, str], None] = lambda kind, text: None
    """Receives `verdict` or `note`, and a line of text."""
    waiting: dict[str, Run] = field(default_factory=dict)
    """Trial in progress -> its run."""
    said: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Study -> number of decided variants, and seconds used, when the state was last printed."""
    failed: dict[str, Line] = field(default_factory=dict)
    """Trial that failed -> its line."""

    def resume(self) -> None:
        """Repeat the races from their logs, and take in what else the store has.

        Raises:
            RaysweepError: a log cannot be written.
        """
        for study, log in self.logs.items():
            for row in list(log.of_kind("seed")):
                self.races.races[study].tell(row["variant"], row["seed"], row["value"])
        self._take_stored()
        self.races.share()

    def _take_stored(self) -> None:
        columns = ["trial", "status", "top1"]
        stored = {row["trial"]: row for row in self.trials.store.trials(columns).to_pylist() if row["status"] in DONE}
        lines, seed = dict.fromkeys(self.entries), 0
        known: list[Run] = []
        while lines:
            for line in list(lines):
                trial = trial_id(self.entries[line].with_seed(seed))
                if trial not in stored:
                    del lines[line]
                    continue
                known.append((line, seed))
                self._take((line, seed), trial, stored[trial], None)
            seed += 1
        self._record(known)

    def next(self) -> TrialTask | None:
        """The next trial to train. None if it depends on a trial in progress, or if all is decided or the time is over.

        Raises:
            RaysweepError: the store cannot be written.
        """
        run = self.races.next_run()
        if run is None:
            return None
        self._record([run, *self.races.due()])
        task = self.trials.task(self.entries[run[0]], run[1])
        self.waiting[task.trial] = run
        return task

    def end(self, trial: str, status: str, error: str = "") -> None:
        """Take note of the end of a trial.

        Raises:
            RaysweepError: a log cannot be written.
        """
        run = self.waiting.pop(trial, None)
        if run is None:
            return
        row = self.trials.ended(self.entries[run[0]], run[1])
        if row is None:
            self.races.fail(run)
            self.failed[trial] = run[0]
            return
        self._take(run, trial, row, self.start_s + row["wall_s"])  # not by the clock: Ray may have had to start

    def most_left(self) -> int:
        """The largest number of trials in progress and to come."""
        return self.races.most_left()

    def expected_left(self, ended: Set[str] = frozenset()) -> int:
        """The number of trials that the time allows from now on, with those in progress but not those in `ended`."""
        seconds = [self.races.seconds(line) for line in self.entries]
        fits = int(self.races.left_s() / max(sum(seconds) / len(seconds), 1e-9))
        return len(self.waiting.keys() - ended) + min(self.most_left(), fits if any(self.races.undecided()) else 0)

    def _record(self, runs: Iterable[Run]) -> None:
        self.trials.record((self.entries[line], seed) for line, seed in runs)

    def _take(self, run: Run, trial: str, row: Mapping[str, Any], seconds: float | None) -> None:
        """Tell a result to all races that wait for it; each has it in its log before it counts."""
        value = score(row, self.entries[run[0]].recipe)
        places = self.races.end(run, seconds)
        for study, variant in places:
            own = {"variant": variant, "seed": run[1], "trial": trial, "value": value}
            self.logs[study].add(own | {"seconds": seconds and round(seconds, 1), "clock_s": self._clock_s()})
            self._judge(study, variant, run[1], value)
        for study in dict.fromkeys(study for study, _ in places):
            self._say_state(study)

    def _judge(self, study: str, variant: str, seed: int, value: float | None) -> None:
        race = self.races.races[study]
        before, level = dict(race.verdicts), race.level()
        race.tell(variant, seed, value)
        for name, verdict in race.verdicts.items():
            if verdict.runs == before[name].runs:
                continue
            self.logs[study].add(verdict_row(name, verdict, level))
            if verdict.outcome.decided:
                self.say("verdict", f"{study}/{name}  {verdict_text(verdict)}")

    def _say_state(self, study: str) -> None:
        """Print how far a study is, unless nothing has been decided and the last such line is recent."""
        verdicts, budget = self.races.races[study].verdicts.values(), self.races.budget
        decided = sum(verdict.outcome.decided for verdict in verdicts)
        before, at_s = self.said.get(study, (-1, 0.0))
        if decided == before and budget.used_s - at_s < STATE_EVERY_S:
            return
        self.said[study] = decided, budget.used_s
        left = rough_duration(max(0.0, budget.seconds - budget.used_s))
        self.say("note", f"{study}: {decided} decided, {len(verdicts) - decided} open, {left} left")

    def answers(self) -> list[Answer]:
        """What is known of all variants."""
        found = []
        for study, race in self.races.races.items():
            now = standing(race)
            chances = now.best() if now else {}
            baseline = baseline_of(race)
            for variant, verdict in race.verdicts.items():
                needed_s = None if verdict.outcome.decided else self.races.needed_s(study, variant)
                needed_s = needed_s and needed_s / self.races.budget.workers
                failed = self._failure_of(study, variant)
                found.append(Answer(study, variant, verdict, baseline, needed_s, chances.get(variant), failed))
        return found

    def _failure_of(self, study: str, variant: str) -> str:
        race = self.races.races[study]
        own = {self.races.lines[study, name] for name in (variant, race.question.baseline)}
        if race.verdicts[variant].outcome.decided:
            return ""
        return next((trial for trial, line in self.failed.items() if line in own), "")

    def stop(self, why: str) -> None:
        """Record in the logs why nothing more is run.

        Raises:
            RaysweepError: a log cannot be written.
        """
        for log in self.logs.values():
            log.add({"stop": why, "clock_s": self._clock_s()})

    def _clock_s(self) -> float:
        return round(self.races.budget.used_s, 1)


def baseline_of(race: Race) -> Baseline:
    """The runs of the baseline so far."""
    name = race.question.baseline
    runs, values = race.runs.get(name), race.values(name)
    return Baseline(name, runs.mean if runs else None, len(values), len(values) - (runs.n if runs else 0))


def verdict_row(variant: str, verdict: Verdict, level: float) -> dict[str, Any]:
    """The line of a log for a look at a variant; null for what is not known."""
    numbers = {name: getattr(verdict, name) for name in ("gain", "low", "high")}
    plain = {name: round(value, 4) if abs(value) < float("inf") else None for name, value in numbers.items()}
    counts = {"runs": verdict.runs, "did_not_train": verdict.failed, "level": round(level, 6)}
    return {"verdict": str(verdict.outcome), "variant": variant, **plain, **counts}
