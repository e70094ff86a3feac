"""Races of several studies within one budget. What several variants have in common is run once.

A *line* is what all seeds of a variant have in common, such as the id of its recipe without the seed: two variants of
one line, the baselines of two studies above all, share their runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from raysweep.deciding.allocation import Step, next_step
from raysweep.deciding.budget import Budget
from raysweep.deciding.looks import LOOKS
from raysweep.deciding.race import Job, Race
from raysweep.deciding.racing import more_runs

Line = str
Run = tuple[Line, int]
Place = tuple[str, str]
"""A study and one of its variants."""


@dataclass
class Races:
    """The races of a command: hands out runs, first those that most likely decide something."""

    races: Mapping[str, Race]
    lines: Mapping[Place, Line]
    predicted_s: Mapping[Line, float]
    """Seconds of one run on one worker, before any has been made."""
    budget: Budget
    running: dict[Run, float] = field(default_factory=dict)
    """Run -> when it was handed out, by the budget's clock."""
    failed: dict[Line, int] = field(default_factory=dict)
    """Line -> the seed that failed: further runs of the line would decide nothing without it."""
    measured_s: dict[Line, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.places: dict[Line, list[Place]] = {}
        for place, line in self.lines.items():
            self.places.setdefault(line, []).append(place)
        self.share()
        self._update_costs()

    def share(self) -> None:
        """Makes what one race waits for due in all that have the same line, so that none pays for it again."""
        for study, race in self.races.items():
            self._aim(study, race.due())

    def seconds(self, line: Line) -> float:
        """Seconds of one run: the mean of those made, else the prediction times the ratio that others have shown."""
        if made := self.measured_s.get(line):
            return sum(made) / len(made)
        actual = sum(sum(made) for made in self.measured_s.values())
        expected = sum(len(made) * self.predicted_s[line] for line, made in self.measured_s.items())
        return self.predicted_s[line] * (actual / expected if expected else 1.0)

    def due(self) -> list[Run]:
        """The runs that are needed and neither finished nor running, those of low seeds first."""
        found = {
            (self.lines[study, variant], seed): seed
            for study, race in self.races.items()
            if self.lines[study, race.question.baseline] not in self.failed
            for variant, seed in race.due()
        }
        wanted = [run for run in found if run not in self.running and run[0] not in self.failed]
        return sorted(wanted, key=lambda run: run[1])

    def next_run(self) -> Run | None:
        """The next run; None if nothing more can be started now. All is over if nothing is running either."""
        while not (due := [run for run in self.due() if self.budget.has_time_for(self.seconds(run[0]))]):
            if (found := self._best_step()) is None:
                return None
            study, step = found
            self._aim(study, step.jobs)
        self.running[due[0]] = self.budget.clock()
        self.budget.workers = max(self.budget.workers, len(self.running))
        return due[0]

    def _best_step(self) -> tuple[str, Step] | None:
        """The step that is worth most and its study; none while runs are due that time is too short for."""
        left_s = self.left_s()
        steps = [
            (study, step)
            for study, race in self.races.items()
            if self.lines[study, race.question.baseline] not in self.failed and (step := next_step(race, left_s))
        ]
        return None if self.due() else max(steps, key=lambda found: found[1].worth, default=None)

    def left_s(self) -> float:
        """Seconds of one worker that are not used or promised to a running trial."""
        return self.budget.left_s((begun, self.seconds(line)) for (line, _), begun in self.running.items())

    def _aim(self, study: str, jobs: list[Job]) -> None:
        for variant, seed in jobs:
            for other, twin in self.places[self.lines[study, variant]]:
                self.races[other].aim([(twin, seed)])

    def end(self, run: Run, seconds: float | None = None) -> list[Place]:
        """The variants that wait for the result of a run that has ended, to be told to their races.

        `seconds` is what the run took; None if it was not made within this budget.
        """
        self.running.pop(run, None)
        line, seed = run
        if seconds is not None:
            self.measured_s.setdefault(line, []).append(seconds)
            self._update_costs()
        return [(study, variant) for study, variant in self.places[line] if not self._is_known(study, (variant, seed))]

    def _is_known(self, study: str, job: Job) -> bool:
        return job in self.races[study].results

    def fail(self, run: Run) -> None:
        """Takes note of a run that has no result."""
        self.running.pop(run, None)
        self.failed[run[0]] = run[1]

    def _update_costs(self) -> None:
        for (study, variant), line in self.lines.items():
            self.races[study].costs[variant] = self.seconds(line)

    def needed_s(self, study: str, variant: str) -> float | None:
        """Seconds of one worker that decide about a variant if its estimate holds; None if 100 runs would not."""
        race = self.races[study]
        if (more := more_runs(race, variant)) is None:
            return None
        runs = race.verdicts[variant].runs + more
        jobs = [(variant, seed) for seed in range(runs)]
        jobs += [(race.question.baseline, seed) for seed in range(race.baseline_runs_of(runs))]
        return race.cost([job for job in jobs if job not in race.results])

    def first_s(self) -> float:
        """Seconds of one worker for the runs that are due."""
        return sum(self.seconds(line) for line, _ in self.due())

    def undecided(self) -> Iterator[Place]:
        """The variants without a verdict."""
        for study, race in self.races.items():
            for variant, verdict in race.verdicts.items():
                if not verdict.outcome.decided:
                    yield study, variant

    def most_left(self) -> int:
        """The largest number of runs that may be running or to come."""
        most = LOOKS[-1].runs
        return sum(
            len(race.question.rivals) * most + race.baseline_runs_of(most) - len(race.results)
            for race in self.races.values()
        )
