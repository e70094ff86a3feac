"""Architecture searches as Tune sees them: a `Searcher` that hands on what `architectures.Searches` proposes.

Asked when a worker is free and not before: a proposal that waited in a queue would have been made without the results
that came in meanwhile.
"""

from __future__ import annotations

from threading import Event
from typing import Any

import ray
from ray.tune.search import Searcher

from raysweep.nas_trials.side_by_side import Searches
from raysweep.recipe import Recipe
from raysweep.train.task import TrialTask


class NasSearch:
    """Searches side by side, as a sweep sees them."""

    ahead = 0

    def __init__(self, searches: Searches, example: Recipe) -> None:
        """`example` is what trials are like."""
        self.searches = searches
        self.example = example
        self.tasks = searches.tasks
        self.first = searches.next()
        """Handed out before Ray is started, which is not needed where there is none."""

    @property
    def most_left(self) -> int:
        """Trials under way and to come, at most."""
        return self.searches.most_left()

    def is_over(self) -> bool:
        """Whether the budgets are spent."""
        return self.first is None

    def make_searcher(self, pool: Any, stopping: Event) -> Searcher:
        """Tune's searcher."""
        return AskTellSearch(self, pool, stopping)

    def next(self) -> TrialTask | None:
        """The next trial to train."""
        task, self.first = self.first, None
        return task or self.searches.next()


class AskTellSearch(Searcher):  # type: ignore[misc]
    """Asked for a trial whenever a worker is free, told how it ended before it is asked for the next one."""

    def __init__(self, search: NasSearch, pool: Any, stopping: Event) -> None:
        super().__init__(metric="top1", mode="max")
        self.search = search
        self.pool = pool
        self.stopping = stopping
        self.running: dict[str, str] = {}
        self.expects = True
        """Whether the pool keeps workers for trials to come."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial; none where all depend on one that is under way."""
        if self.stopping.is_set():
            return str(Searcher.FINISHED)
        task = self.search.next()
        self._expect(task is not None)
        if task is None:
            return None if self.search.searches.is_waiting else str(Searcher.FINISHED)
        ray.get(self.pool.add.remote(task))
        self.running[trial_id] = task.trial
        return {"trial": task.trial}

    def _expect(self, more: bool) -> None:
        if more != self.expects:
            self.expects = more
            ray.get(self.pool.expect.remote(self.search.most_left if more else 0))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the end as the pool knows it; what Tune alone has given up on has failed."""
        if self.stopping.is_set() or (trial := self.running.pop(trial_id, None)) is None:
            return
        end, why = ray.get(self.pool.end_of.remote(trial))
        self.search.searches.end(trial, end or "failed", why)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Searches learn from whole trainings."""

    def save(self, checkpoint_path: str) -> None:
        """Logs and store are the state of a search; Tune's own is never read back."""

    def restore(self, checkpoint_path: str) -> None:
        """See `save`."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its searcher, and a threading.Event cannot be pickled
