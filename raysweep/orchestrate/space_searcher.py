"""The order of trials: that of a plan, or the proposals of a searcher that learns from the results.

One of Tune's searchers proposes assignments (random, grid, or Optuna's TPE). `TrialSearch` wraps it: it turns
assignments into trials, trains none twice, and first reports the results in the store to the searcher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from random import Random
from threading import Event
from typing import TYPE_CHECKING, Any

import ray
from ray.tune.search import Searcher

from raysweep.orchestrate.ray_private import TRAINING_ITERATION
from raysweep.proposals import REPEATS, Proposal, Proposals, SpaceOptions, known_points
from raysweep.recipe import Recipe
from raysweep.space import Assignment, Choice, LogUniform, Parameter, Space, Value, rounded
from raysweep.train.task import TrialTask

if TYPE_CHECKING:
    import optuna

METRIC, TIME = "top1", "epoch"


@dataclass(frozen=True)
class Result:
    """The end of a trial (`finished`, `diverged`, `stopped` or `failed`) and its top-1 (0..1) after each epoch."""

    end: str
    top1: float | None = None
    curve: tuple[tuple[int, float], ...] = ()


@dataclass
class SpacePoints:
    """The points of a space: proposals, results, and the limit on their number."""

    options: SpaceOptions
    proposals: Proposals
    make_task: Callable[[Proposal], TrialTask]
    ended: dict[str, Result] = field(default_factory=dict)
    """Trial -> result, of those that are not trained again."""
    tasks: dict[str, TrialTask] = field(default_factory=dict)
    """Trials handed out in this sweep."""
    ahead: int = 1
    """Trials that Tune may have open beyond those that can train: 1 hides the hand-over, 0 uses every result."""

    @property
    def most_left(self) -> int:
        """Largest number of trials that may still be trained: those to come, and unfinished ones."""
        return self.limit - len(self.proposals.first(self.limit)) + len(self.unfinished())

    @property
    def example(self) -> Recipe:
        """A typical trial, for measuring how many a GPU can train at once: the baseline."""
        return self.proposals.baseline

    @property
    def limit(self) -> int:
        """Total number of trials."""
        return self.options.trials

    def unfinished(self) -> list[Proposal]:
        """Return earlier proposals that have not been trained to the end."""
        return [proposal for proposal in self.proposals.first(self.limit) if proposal.trial not in self.ended]

    def is_over(self) -> bool:
        """Return whether nothing is left to train."""
        return len(self.proposals) >= self.limit and not self.unfinished()

    def make_searcher(self, pool: Any, stopping: Event) -> Searcher:
        """Make Tune's searcher; it proposes trials until the limit is reached or `stopping` is set."""
        done = [point.assignment for trial, point in self.proposals.points.items() if trial in self.ended]
        first = [*done, *(point.assignment for point in self.unfinished())]
        if not self.proposals.points:
            first.append(self.proposals.space.baseline())
        return TrialSearch(self, self._make_inner(first, len(done)), pool, stopping)

    def _make_inner(self, first: Sequence[Assignment], num_known: int) -> Searcher:
        space, options = self.proposals.space, self.options
        if options.searcher == "optuna":
            return optuna_search(space, options.seed, first, num_known)
        return FixedSearch(chain(first, known_points(space, options)))


class StatelessSearcher(Searcher):  # type: ignore[misc]
    """A searcher without a state of its own: the store is the state of a sweep, and Tune's is never read."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Ignore results."""

    def save(self, checkpoint_path: str) -> None:
        """Save nothing."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher into its own state, but a threading.Event cannot be pickled.
        return {}


class PlanOrder(StatelessSearcher):
    """Proposes the trials of a plan, by our ids, in the plan's order."""

    def __init__(self, trials: Iterable[str], stopping: Event) -> None:
        super().__init__()
        self.trials = iter(trials)
        self.stopping = stopping

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Return the next trial of the plan."""
        trial = None if self.stopping.is_set() else next(self.trials, None)
        return Searcher.FINISHED if trial is None else {"trial": trial}


class FixedSearch(StatelessSearcher):
    """Proposes the given points first, then those of a random sequence or a grid; ignores results."""

    def __init__(self, points: Iterator[Assignment]) -> None:
        super().__init__()
        self.points = points

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Return the next point."""
        point = next(self.points, None)
        return Searcher.FINISHED if point is None else dict(point)


def optuna_search(space: Space, seed: int, first: Sequence[Assignment], num_known: int) -> Searcher:
    """Make Optuna's tree-structured Parzen estimator, which proposes the points in `first` and then its own.

    `num_known` of these already have a result: a continued search must draw other random numbers than at its start, or
    it would propose its first points again.
    """
    import optuna
    from optuna.samplers import TPESampler
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = TPESampler(seed=Random(f"{seed}/{num_known}").getrandbits(32))
    return OptunaSearch(
        lambda trial: space.walk(lambda parameter: suggest_value(trial, parameter)),
        metric=METRIC,
        mode="max",
        points_to_evaluate=[dict(point) for point in first],
        sampler=sampler,
    )


def suggest_value(trial: optuna.Trial, parameter: Parameter) -> Value:
    """Ask Optuna for a value of a parameter, with its domain built from ours."""
    domain = parameter.domain
    if isinstance(domain, Choice):
        return str(trial.suggest_categorical(parameter.name, domain.points))
    return rounded(trial.suggest_float(parameter.name, domain.low, domain.high, log=isinstance(domain, LogUniform)))


class TrialSearch(StatelessSearcher):
    """Turns a searcher's assignments into trials of the pool, each once, and their ends into results.

    The result of a known point is reported to the searcher at once, that of a point in training when it ends. A
    diverged trial has a top-1 of 0, a stopped one only has its curve (Optuna: pruned), a failed one is an error.
    """

    def __init__(self, search: SpacePoints, inner: Searcher, pool: Any, stopping: Event) -> None:
        super().__init__(metric=METRIC, mode="max")
        self.search = search
        self.inner = inner
        self.pool = pool
        self.stopping = stopping
        self.waiting = {proposal.trial for proposal in search.unfinished()}
        self.running: dict[str, str] = {}
        self.asked: dict[str, list[str]] = {}
        """Trial -> the inner searcher's names for it that have no result yet; the first one is in training."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Return the next trial to train."""
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
            if proposal.trial in self.search.ended:  # another searcher may have had a new point trained
                self._report(proposal.trial, curve_known=False)
            elif new or proposal.trial in self.waiting:
                self.waiting.discard(proposal.trial)
                return proposal
        return None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Report an epoch to the inner searcher."""
        if (trial := self.running.get(trial_id)) is not None:
            epoch = {METRIC: result[METRIC], TRAINING_ITERATION: result[TIME]}
            self.inner.on_trial_result(self.asked[trial][0], epoch)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Report the end to the inner searcher, as the pool knows it."""
        if self.stopping.is_set() or (trial := self.running.pop(trial_id, None)) is None:
            return
        end, rows = ray.get(self.pool.result.remote(trial))
        curve = tuple((row[TIME], judged(row)[METRIC]) for row in rows)
        # If the trial has not ended, Tune has stopped following it: by the scheduler, or after an error of its own.
        end = end or ("failed" if error else "stopped")
        self.search.ended[trial] = Result(end, curve[-1][1] if curve else None, curve)
        self._report(trial, curve_known=True)

    def _report(self, trial: str, curve_known: bool) -> None:
        result = self.search.ended[trial]
        for inner_id in self.asked.pop(trial):
            if not curve_known:
                for epoch, top1 in result.curve:
                    self.inner.on_trial_result(inner_id, {METRIC: top1, TRAINING_ITERATION: epoch})
            value = {"finished": result.top1, "diverged": 0.0}.get(result.end)
            final = None if value is None else {METRIC: value}
            self.inner.on_trial_complete(inner_id, final, error=result.end == "failed")
            curve_known = False  # the epochs were reported under the first name only


def judged(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row for searchers and schedulers: a diverged epoch, or one without accuracy, has a top-1 of 0."""
    useless = row.get("status") == "diverged" or row.get(METRIC) is None
    return {**row, METRIC: 0.0} if useless else dict(row)
