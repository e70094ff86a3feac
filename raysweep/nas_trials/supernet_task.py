"""A search with weights that all its architectures share, as what a worker is handed and carries out.

It runs where trials run, in a gang or inline, and is resumed as they are: `searches/NAME.log` in the store has what was
proposed and told, `searches/NAME.pt` the weights after their last epoch. Torch is loaded only where it runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

from raysweep.genotypes.cells import Genotype
from raysweep.nas.ask_tell import AskTell
from raysweep.nas.budget import Budget, Spent
from raysweep.nas.evaluation import Evaluated
from raysweep.nas.history import History
from raysweep.nas.supernet_methods import Enas, RandomWeightSharing, with_shared_weights
from raysweep.nas_trials.trial_spaces import find_trial_space
from raysweep.recipe import Recipe
from raysweep.train.supernet_recipe import SharedRecipe
from raysweep.train.task import Placement, TrialTask

if TYPE_CHECKING:
    from raysweep.nas_trials.one_search import Found, Search
    from raysweep.store.store import Store
    from raysweep.train.supernet import SharedTraining

SIGN_S = 1.0
"""Between signs of life."""


@dataclass(frozen=True)
class SharedSearchTask(TrialTask):
    """One search; `trial` is its name, `variant` its method, and `recipe` that of a trial of about the same cost."""

    space: str = ""
    method: RandomWeightSharing | Enas = field(default_factory=Enas)
    budget: Budget = field(default_factory=lambda: Budget(evaluations=1))
    label: str = ""
    """The method with the options that are not its defaults."""
    shared: SharedRecipe = field(default_factory=lambda: SharedRecipe(Recipe()))
    line: str = ""
    """What trials under the same settings share."""

    @property
    def seed(self) -> int:
        """Of the search and of the weights."""
        return self.shared.training.seed

    def open(self, store: Store) -> Search:
        """The search as far as its log goes.

        Raises:
            RaysweepError: a space that the method cannot search, or a log that does not serve or that another driver
                has open.
        """
        from raysweep.nas_trials.one_search import Search
        from raysweep.store.search_logs import log_of

        space, log = find_trial_space(self.space).space, log_of(store.files, self.trial, lazy=True)
        asking = AskTell(space, self.method, budget=self.budget, seed=self.seed, log=log, reuse=False)
        return Search(self.trial, self.label, self.seed, asking)

    def found(self, evaluations: Sequence[Evaluated[Genotype]]) -> Found:
        """What these evaluations amount to."""
        from raysweep.nas_trials.one_search import Found

        # With all options a name would be too long to stand at a bar.
        stem = f"{self.variant}-{self.trial[-4:]}-s{self.seed}"
        spent = Spent(len(evaluations), cost_s=sum(one.cost_s for one in evaluations))
        return Found(self.trial, self.label, self.seed, stem, History(tuple(evaluations), spent))

    def weights(self, store: Store, place: Placement) -> SharedTraining:
        """The shared weights as far as they are trained.

        Raises:
            RaysweepError: a recipe or images that do not serve, or weights of another one in the store.
        """
        from raysweep.train.supernet import SharedTraining

        space: Any = find_trial_space(self.space).space
        return SharedTraining(space, self.shared, self.data, store.files, place, f"searches/{self.trial}.pt")


def train_shared(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """Carry a search out from where it is; yields a row an epoch of the weights, as of a trial's, and one at its end.

    The accuracy of a row is the mean over the rewards since the one before, that of the last row the best one's. An
    epoch under way when the place is about to go is trained again.

    Raises:
        RaysweepError: data, recipe, log or store that do not serve; what has been done is in the store.
    """
    import torch

    from raysweep.store.files import Patience
    from raysweep.store.store import Store
    from raysweep.train.determinism import only_deterministic
    from raysweep.train.loop import BrokenOffError
    from raysweep.train.run_trial import PATIENCE_S

    assert isinstance(task, SharedSearchTask)
    torch.set_num_threads(place.threads)
    store = Store.open(task.store, patience=Patience(PATIENCE_S, place.on_wait))
    search = _opened(task, store, place)
    with (
        only_deterministic(task.deterministic),
        closing(search.asking),
        closing(task.weights(store, place)) as shared,
    ):
        rounds = _Rounds(task, search, shared, store, attempt)
        try:
            for _ in with_shared_weights(search.asking, task.method, shared):
                place.on_step()
                if len(shared.seconds) > rounds.done:
                    yield rounds.row("running")
            yield rounds.row("diverged" if shared.diverged else "finished")
        except BrokenOffError:
            return


def _opened(task: SharedSearchTask, store: Store, place: Placement) -> Search:
    """The search, with signs of life while its log is replayed: to a controller that takes as long as it did before."""
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(task.open, store)
        while not opened.done():
            place.on_step()
            wait([opened], SIGN_S)
        return opened.result()


class _Rounds:
    """What has been told of a search, and what is to be."""

    def __init__(
        self, task: SharedSearchTask, search: Search, shared: SharedTraining, store: Store, attempt: int
    ) -> None:
        self.task, self.search, self.shared, self.store, self.attempt = task, search, shared, store, attempt
        self.done, self.start = len(shared.seconds), time.perf_counter()
        self.told = len(search.asking.evaluations)

    def row(self, status: str) -> dict[str, Any]:
        """Write the evaluations so far; the numbers of the round."""
        self.search.add_rows({}, {"study": self.task.study, "line": self.task.line})
        self.store.write_evaluations(self.search.name, self.search.rows)
        top1 = self.search.asking.history().best.value if status == "finished" else self._mean_reward()
        wall_s = time.perf_counter() - self.start
        self.done, self.start = len(self.shared.seconds), time.perf_counter()
        self.told = len(self.search.asking.evaluations)
        return self._epoch(wall_s) | {"top1": top1, "status": status}

    def _mean_reward(self) -> float | None:
        """Since the row before."""
        values = [one.value for one in self.search.asking.evaluations[self.told :] if one.status == "finished"]
        return fmean(values) if values else None

    def _epoch(self, wall_s: float) -> dict[str, Any]:
        """As `train.loop.run_epoch` has them."""
        shared, epoch = self.shared, self.done
        length = shared.trial.length
        images = (length.end(epoch) - length.end(epoch - 1)) * length.batch_size
        return {
            "trial": self.task.trial,
            "attempt": self.attempt,
            "epoch": epoch,
            "planned_epochs": shared.num_epochs,
            "iteration": length.end(epoch),
            "images_seen": length.end(epoch) * length.batch_size,
            "train_loss": shared.losses[-1],
            "wall_s": max(wall_s, shared.seconds[-1]),
            "train_s": shared.seconds[-1],
            "data_wait_s": shared.wait_s,
            "images_per_s": images / shared.seconds[-1],
        }


def write_failure(task: TrialTask, status: str, why: str | None) -> None:
    """Leave the reason why a search has failed beside its log.

    Raises:
        RaysweepError: the store cannot be written.
    """
    from raysweep.store.store import Store

    Store.open(task.store).files.write(f"searches/{task.trial}.error", (why or status).encode())
