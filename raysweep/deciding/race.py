"""A race: which run comes next, and what the results so far allow to be said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from raysweep.deciding.looks import FIRST_RUNS, LOOKS, baseline_runs
from raysweep.deciding.spread import Runs, Spread, shared_spread
from raysweep.deciding.verdicts import UNSEEN, Outcome, Verdict, check_margin, judge, trained
from raysweep.errors import RaysweepError

GOALS = ("all", "best")
Job = tuple[str, int]


@dataclass(frozen=True)
class Question:
    """What is asked: these variants against their baseline.

    `margin` is the smallest gain that matters, in the unit of the measurements; `level` is the probability of any wrong
    claim about any of the variants, however long the race goes on and whenever it stops. With the goal `best`, runs go
    to the variants that may be the best one, and the race ends when one is, but for less than the margin.

    Raises:
        RaysweepError: fewer than two variants, a repeated name, an unknown baseline or goal, a margin or level out of
            range.
    """

    variants: tuple[str, ...]
    baseline: str
    margin: float = 1.0
    level: float = 0.05
    goal: str = "all"

    def __post_init__(self) -> None:
        names = self.variants
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise RaysweepError(f"variants have to differ in their names: {', '.join(repeated)} occurs more than once.")
        if self.baseline not in names:
            raise RaysweepError(f"the baseline {self.baseline!r} is not among the variants: {', '.join(names)}.")
        if len(names) < 2:
            raise RaysweepError(
                f"nothing to compare the baseline {self.baseline!r} with: pass at least one more variant."
            )
        check_margin(self.margin)
        if not 0 < self.level < 0.5:
            raise RaysweepError(f"level {self.level:g}: pass a probability of error between 0 and 0.5, such as 0.05.")
        if self.goal not in GOALS:
            raise RaysweepError(
                f"unknown goal {self.goal!r}: pass 'all' (judge every variant) or 'best' (find the best one)."
            )

    @cached_property
    def rivals(self) -> tuple[str, ...]:
        """All variants but the baseline."""
        return tuple(name for name in self.variants if name != self.baseline)


@dataclass
class Race:
    """The state of a race, a function of the question and of the results in the order of their arrival.

    `costs` are those of one run of each variant, in any unit; 1 by default.
    """

    question: Question
    costs: dict[str, float] = field(default_factory=dict)
    results: dict[Job, float | None] = field(default_factory=dict, init=False)
    verdicts: dict[str, Verdict] = field(default_factory=dict, init=False)
    targets: dict[str, int] = field(default_factory=dict, init=False)
    """Number of runs of each variant that are finished, running or due."""
    sequences: dict[str, list[float | None]] = field(default_factory=dict, init=False)
    """Results of each variant for seeds 0, 1, 2, ... up to the first that is missing."""
    runs: dict[str, Runs] = field(default_factory=dict, init=False)
    """The same in summary, of variants of which any run trained."""
    _spread: Spread | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.verdicts = dict.fromkeys(self.question.rivals, UNSEEN)
        self.targets = dict.fromkeys(self.question.variants, 0)
        self.sequences = {name: [] for name in self.question.variants}
        for name in self.question.rivals:
            self.aim(self.needed(name, FIRST_RUNS))

    def values(self, name: str, runs: int | None = None) -> list[float | None]:
        """Results of seeds 0, 1, 2, ... of a variant up to the first that is missing, at most `runs` of them."""
        return self.sequences[name][:runs]

    def tell(self, name: str, seed: int, value: float | None) -> None:
        """Records a result and judges what is complete; None, nan and infinity stand for a run that did not train."""
        self.results[name, seed] = value if value is not None and math.isfinite(value) else None
        self.targets[name] = max(self.targets[name], seed + 1)
        sequence = self.sequences[name]
        while (name, len(sequence)) in self.results:
            sequence.append(self.results[name, len(sequence)])
        if values := trained(sequence):
            self.runs[name] = Runs.of(values)
        self._spread = None
        for rival in self.question.rivals if name == self.question.baseline else (name,):
            self._look(rival)

    def _look(self, name: str) -> None:
        """Judges a variant at each look that has become complete."""
        for look in LOOKS:
            verdict = self.verdicts[name]
            if look.runs <= verdict.runs:
                continue
            base = self.baseline_runs_of(look.runs)
            variant, baseline = self.values(name, look.runs), self.values(self.question.baseline, base)
            complete = len(variant) == look.runs and len(baseline) == base
            if verdict.outcome.decided or not complete or not (spread := self.spread()):
                return
            self.verdicts[name] = judge(variant, baseline, spread, self.level() * look.share, self.question.margin)

    def level(self) -> float:
        """Level of one variant (Holm 1979): that of the race over the number of variants without a difference yet."""
        open_ = [v for v in self.verdicts.values() if v.outcome not in (Outcome.BETTER, Outcome.WORSE)]
        return self.question.level / max(1, len(open_))

    def spread(self) -> Spread | None:
        """The spread between seeds that the variants share; None before any variant has two runs."""
        if self._spread is None and any(group.df for group in self.runs.values()):
            self._spread = shared_spread(list(self.runs.values()))
        return self._spread

    def baseline_runs_of(self, runs: int) -> int:
        """Number of runs of the baseline that a look at `runs` runs of a variant uses."""
        return baseline_runs(runs, len(self.question.rivals))

    def due(self) -> list[Job]:
        """Runs that looks already begun still need, those of low seeds first."""
        jobs = [(name, seed) for name, target in self.targets.items() for seed in range(target)]
        return sorted((job for job in jobs if job not in self.results), key=lambda job: job[1])

    def cost(self, jobs: Sequence[Job]) -> float:
        """The cost of these runs."""
        return sum(self.costs.get(name, 1.0) for name, _ in jobs)

    def needed(self, name: str, runs: int) -> list[Job]:
        """Runs that a look at `runs` runs of a variant needs and that are neither finished nor due."""
        baseline, base = self.question.baseline, self.baseline_runs_of(runs)
        own = [(name, seed) for seed in range(self.targets[name], runs)]
        return own + [(baseline, seed) for seed in range(self.targets[baseline], base)]

    def aim(self, jobs: Sequence[Job]) -> None:
        """Makes runs due."""
        for name, seed in jobs:
            self.targets[name] = max(self.targets[name], seed + 1)
