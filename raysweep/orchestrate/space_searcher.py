"""Who says which trial comes next: the order of a plan, or a search that learns from the results.

A search is one of Tune's searchers over assignments (random, a grid, or Optuna's TPE) inside `TrialSearch`, which makes
trials of them, trains none twice, and tells the searcher first what the store already knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from random import Random
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

import ray
from ray.tune.result import TRAINING_ITERATION
from ray.tune.search import Searcher

from raysweep.proposals import REPEATS, Proposal, Proposals, SearchOptions, known_points
from raysweep.recipe import Recipe
from raysweep.space import Assignment, Choice, LogUniform, Parameter, Space, Value, rounded
from raysweep.train.task import TrialTask

if TYPE_CHECKING:
    import optuna

METRIC, TIME = "top1", "epoch"


@dataclass(frozen=True)
class Result:
    """How a trial ended: `finished`, `diverged`, `stopped` or `failed`, and its top-1 (0..1) after each epoch."""

    end: str
    top1: float | None = None
    curve: tuple[tuple[int, float], ...] = ()


class Proposing(Protocol):
    """A search as a sweep sees it: trials are not known at the start, it proposes them."""

    tasks: dict[str, TrialTask]
    """Trials handed out in this sweep."""
    ahead: int
    """Trials that Tune may have under way beyond those that can train: 1 hides the hand-over, 0 wastes no result."""

    @property
    def most_left(self) -> int:
        """Trials that may still be trained, at most."""
        ...

    @property
    def example(self) -> Recipe:
        """What its trials are like, for the measurement of how many a GPU holds."""
        ...

    def is_over(self) -> bool:
        """Whether nothing is left to train."""
        ...

    def make_searcher(self, pool: Any, stopping: Event) -> Searcher:
        """Tune's searcher; it proposes until the search is over or `stopping` is set."""
        ...


@dataclass
class Search:
    """Points of a space: what has been proposed, what has come of it, and how many there may be."""

    options: SearchOptions
    proposals: Proposals
    make_task: Callable[[Proposal], TrialTask]
    ended: dict[str, Result] = field(default_factory=dict)
    """Trial -> result of those that are not trained again."""
    tasks: dict[str, TrialTask] = field(default_factory=dict)
    """Trials handed out in this sweep."""
    ahead: int = 1

    @property
    def most_left(self) -> int:
        """Trials to come, and those that were begun."""
        return self.limit - len(self.proposals.first(self.limit)) + len(self.unfinished())

    @property
    def example(self) -> Recipe:
        """The baseline."""
        return self.proposals.baseline

    @property
    def limit(self) -> int:
        """Trials in all."""
        return self.options.trials

    def unfinished(self) -> list[Proposal]:
        """Those proposed earlier that are still to be trained, or trained to the end."""
        return [proposal for proposal in self.proposals.first(self.limit) if proposal.trial not in self.ended]

    def is_over(self) -> bool:
        """Whether nothing is left to train."""
        return len(self.proposals) >= self.limit and not self.unfinished()

    def make_searcher(self, pool: Any, stopping: Event) -> Searcher:
        """Tune's searcher; it proposes until the limit is reached or `stopping` is set."""
        done = [point.assignment for trial, point in self.proposals.points.items() if trial in self.ended]
        first = [*done, *(point.assignment for point in self.unfinished())]
        if not self.proposals.points:
            first.append(self.proposals.space.baseline())
        return TrialSearch(self, self._make_inner(first, len(done)), pool, stopping)

    def _make_inner(self, first: Sequence[Assignment], told: int) -> Searcher:
        space, options = self.proposals.space, self.options
        if options.searcher == "optuna":
            return optuna_search(space, options.seed, first, told)
        return FixedSearch(chain(first, known_points(space, options)))


class PlanOrder(Searcher):  # type: ignore[misc]
    """Hands out the trials of a plan, by our ids, in the plan's order."""

    def __init__(self, trials: Sequence[str], stopping: Event) -> None:
        super().__init__()
        self.trials = iter(trials)
        self.stopping = stopping

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next trial of the plan."""
        trial = None if self.stopping.is_set() else next(self.trials, None)
        return Searcher.FINISHED if trial is None else {"trial": trial}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The order does not depend on results."""

    def save(self, checkpoint_path: str) -> None:
        """The store is the state of a sweep; Tune's own is never read back."""

    def restore(self, checkpoint_path: str) -> None:
        """See `save`."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher into that state, and a threading.Event cannot be pickled.
        return {}


class FixedSearch(Searcher):  # type: ignore[misc]
    """The points named first, then those of a random sequence or a grid; results change nothing."""

    def __init__(self, points: Iterator[Assignment]) -> None:
        super().__init__()
        self.points = points

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next point."""
        point = next(self.points, None)
        return Searcher.FINISHED if point is None else dict(point)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The sequence does not depend on results."""


def optuna_search(space: Space, seed: int, first: Sequence[Assignment], told: int) -> Searcher:
    """Optuna's tree-structured Parzen estimator, which is asked for the points named first and then for its own.

    `told` is how many of these have a result already: a search that is continued draws other numbers than it began
    with, or it would propose its first points again.
    """
    import optuna
    from optuna.samplers import TPESampler
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = TPESampler(seed=Random(f"{seed}/{told}").getrandbits(32))
    return OptunaSearch(
        lambda trial: space.walk(lambda parameter: suggest_value(trial, parameter)),
        metric=METRIC,
        mode="max",
        points_to_evaluate=[dict(point) for point in first],
        sampler=sampler,
    )


def suggest_value(trial: optuna.Trial, parameter: Parameter) -> Value:
    """Optuna's value of a parameter, its domain built from ours."""
    domain = parameter.domain
    if isinstance(domain, Choice):
        return str(trial.suggest_categorical(parameter.name, domain.points))
    return rounded(trial.suggest_float(parameter.name, domain.low, domain.high, log=isinstance(domain, LogUniform)))


class TrialSearch(Searcher):  # type: ignore[misc]
    """Turns a searcher's assignments into trials of the pool, each once, and their ends into its results.

    A point that has a result already is told to the searcher at once, one that is being trained when it ends. A
    diverged trial has a top-1 of 0, a stopped one has none but its curve (Optuna: pruned), a failed one is an error.
    """

    def __init__(self, search: Search, inner: Searcher, pool: Any, stopping: Event) -> None:
        super().__init__(metric=METRIC, mode="max")
        self.search = search
        self.inner = inner
        self.pool = pool
        self.stopping = stopping
        self.waiting = {proposal.trial for proposal in search.unfinished()}
        self.running: dict[str, str] = {}
        self.asked: dict[str, list[str]] = {}
        """Trial -> the inner searcher's names for it that have not been told a result; the first is the one trained."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next trial to train."""
        proposal = None if self.stopping.is_set() else self._next(trial_id)
        if proposal is None:
            return str(Searcher.FINISHED)
        task = self.search.make_task(proposal)
        self.search.tasks[proposal.trial] = task
        ray.get(self.pool.add.remote(task))
        self.running[trial_id] = proposal.trial
        return {"trial": proposal.trial}

    def _next(self, trial_id: str) -> Proposal | None:
        proposals = self.search.proposals
        for attempt in range(REPEATS + len(proposals)):
            if len(proposals) >= self.search.limit and not self.waiting:
                return None
            inner_id = f"{trial_id}/{attempt}"
            if (point := self.inner.suggest(inner_id)) == Searcher.FINISHED:
                return None
            proposal, new = proposals.propose(point)
            self.asked.setdefault(proposal.trial, []).append(inner_id)
            if new or proposal.trial in self.waiting:
                self.waiting.discard(proposal.trial)
                return proposal
            if proposal.trial in self.search.ended:
                self._tell(proposal.trial, reported=False)
        return None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Hand an epoch on."""
        if (trial := self.running.get(trial_id)) is not None:
            told = {METRIC: result[METRIC], TRAINING_ITERATION: result[TIME]}
            self.inner.on_trial_result(self.asked[trial][0], told)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Hand the end on, as the pool knows it."""
        if self.stopping.is_set() or (trial := self.running.pop(trial_id, None)) is None:
            return
        end, rows = ray.get(self.pool.result.remote(trial))
        curve = tuple((row[TIME], judged(row)[METRIC]) for row in rows)
        # Where the trial has not ended, Tune has stopped following it: the scheduler's decision, or Tune's own trouble.
        end = end or ("failed" if error else "stopped")
        self.search.ended[trial] = Result(end, curve[-1][1] if curve else None, curve)
        self._tell(trial, reported=True)

    def _tell(self, trial: str, reported: bool) -> None:
        result = self.search.ended[trial]
        for inner_id in self.asked.pop(trial):
            if not reported:
                for epoch, top1 in result.curve:
                    self.inner.on_trial_result(inner_id, {METRIC: top1, TRAINING_ITERATION: epoch})
            value = {"finished": result.top1, "diverged": 0.0}.get(result.end)
            told = None if value is None else {METRIC: value}
            self.inner.on_trial_complete(inner_id, told, error=result.end == "failed")
            reported = False  # the curve of a trial was handed on under one name only

    def save(self, checkpoint_path: str) -> None:
        """The store is the state of a search; Tune's own is never read back."""

    def restore(self, checkpoint_path: str) -> None:
        """See `save`."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as `PlanOrder`


def judged(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as searchers and schedulers take it: a diverged epoch, or one without accuracy, has a top-1 of 0."""
    useless = row.get("status") == "diverged" or row.get(METRIC) is None
    return {**row, METRIC: 0.0} if useless else dict(row)
