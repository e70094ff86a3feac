"""A search with a supernet, as a task that a worker carries out.

It runs where trials run, in a gang or inline, and resumes as they do: in the store, `searches/NAME.log` has proposals
and results, and `searches/NAME.pt` the weights after the last epoch. Torch is loaded only where the task runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from raysweep.genotypes.cells import Genotype
from raysweep.nas.ask_tell import AskTell
from raysweep.nas.budget import Budget, Spent
from raysweep.nas.evaluation import Evaluated
from raysweep.nas.history import History
from raysweep.nas.methods.supernet_methods import Enas, RandomWeightSharing, supernet_steps
from raysweep.nas_trials.one_search import Found, Search
from raysweep.nas_trials.trial_spaces import TrialSpace, example_of, find_trial_space
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.train.supernet_recipe import SupernetRecipe
from raysweep.train.task import Placement, TrialTask

if TYPE_CHECKING:
    from raysweep.store.claims import Claim
    from raysweep.store.store import Store
    from raysweep.train.supernet import SupernetTraining

CELLS_WIDTH = 36
"""Width of the first cells of `enas_cells`."""
HEARTBEAT_S = 1.0
"""Seconds between heartbeats while a log is replayed."""


@dataclass(frozen=True, kw_only=True)
class SupernetTask(TrialTask):
    """One search. `trial` is its name, `variant` its method, and `recipe` that of a trial of about the same cost."""

    space: str
    method: RandomWeightSharing | Enas
    budget: Budget
    label: str
    """The method with the options that differ from their defaults."""
    supernet: SupernetRecipe
    line: str
    """The id shared by all trials under the same settings."""

    @property
    def seed(self) -> int:
        """The seed of the search and of the weights."""
        return self.supernet.training.seed

    def open(self, store: Store) -> Search:
        """The search at the end of its log.

        Raises:
            RaysweepError: a space that the method cannot search, or a log that is unusable or in use.
        """
        from raysweep.nas_trials.search_logs import log_of

        space, log = find_trial_space(self.space).space, log_of(store.files, self.trial, lazy=True)
        asking = AskTell(space, self.method, budget=self.budget, seed=self.seed, log=log, reuse=False)
        return Search(self.trial, self.label, self.seed, asking)

    def found(self, evaluations: Sequence[Evaluated[Genotype]]) -> Found:
        """The results given by these evaluations."""
        # With all options the name would be too long for a progress bar.
        stem = f"{self.variant}-{self.trial[-4:]}-s{self.seed}"
        spent = Spent(len(evaluations), cost_s=sum(one.cost_s for one in evaluations))
        return Found(self.trial, self.label, self.seed, stem, History(tuple(evaluations), spent))

    def weights(self, store: Store, place: Placement) -> SupernetTraining:
        """The supernet after its last epoch.

        Raises:
            RaysweepError: an unusable recipe or images, or weights of another recipe in the store.
        """
        from raysweep.train.supernet import SupernetTraining

        space: Any = find_trial_space(self.space).space
        return SupernetTraining(space, self.supernet, self.data, store.files, place, f"searches/{self.trial}.pt")


def twin(space: TrialSpace, supernet: SupernetRecipe) -> Recipe:
    """A trial of about the cost of training a supernet, for estimates of time and memory."""
    recipe = supernet.recipe
    size = {
        "network.width": recipe.network.width * supernet.width / CELLS_WIDTH,
        "network.cell_repeats": max(1, (supernet.cells - 2) // 3),
    }
    return patch(example_of(space, recipe), size)


def train_supernet(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """Carry out a search from its present state; yields a row after each epoch, as for a trial, and one at the end.

    The accuracy of a row is the mean reward since the previous row; the last row has that of the best architecture. An
    epoch that is interrupted because the machine is about to disappear is trained again.

    Raises:
        RaysweepError: unusable data, recipe, log or store; finished work is in the store.
    """
    import torch

    from raysweep.store.files import Patience
    from raysweep.store.store import Store
    from raysweep.train.determinism import only_deterministic
    from raysweep.train.loop import BrokenOffError
    from raysweep.train.run_trial import PATIENCE_S, claimed

    assert isinstance(task, SupernetTask)
    torch.set_num_threads(place.threads)
    store = Store.open(task.store, patience=Patience(PATIENCE_S, place.on_wait))
    with (
        claimed(store, task.trial, place, attempt) as claim,
        only_deterministic(task.deterministic),
        _opened(task, store, place) as search,
        closing(task.weights(store, place)) as supernet,
    ):
        rounds = _Rounds(task, search, supernet, store, attempt, claim)
        try:
            for _ in supernet_steps(search.asking, task.method, supernet):
                place.on_step()
                if len(supernet.seconds) > rounds.done:
                    yield rounds.row("running")
            yield rounds.row("diverged" if supernet.diverged else "finished")
        except BrokenOffError:
            return


@contextmanager
def _opened(task: SupernetTask, store: Store, place: Placement) -> Iterator[Search]:
    """The search, open while the block runs.

    Sends heartbeats while the log is replayed, which repeats the whole training of a controller.
    """
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(task.open, store)
        while not opened.done():
            place.on_step()
            wait([opened], HEARTBEAT_S)
    with closing(opened.result().asking):
        yield opened.result()


class _Rounds:
    """The rows of a search, one for each round."""

    def __init__(
        self,
        task: SupernetTask,
        search: Search,
        supernet: SupernetTraining,
        store: Store,
        attempt: int,
        claim: Claim,
    ) -> None:
        self.claim = claim
        self.task, self.search, self.supernet, self.store, self.attempt = task, search, supernet, store, attempt
        self.done, self.start = len(supernet.seconds), time.perf_counter()
        self.reported = len(search.asking.evaluations)

    def row(self, status: str) -> dict[str, Any]:
        """Write the evaluations so far, and return the row of the round.

        Raises:
            ElsewhereError: another process has taken the search over.
        """
        self.claim.check()
        self.search.add_rows({}, {"study": self.task.study, "line": self.task.line})
        self.store.write_evaluations(self.search.name, self.search.rows)
        top1 = self.search.asking.history().best.value if status == "finished" else self._mean_reward()
        wall_s = time.perf_counter() - self.start
        self.done, self.start = len(self.supernet.seconds), time.perf_counter()
        self.reported = len(self.search.asking.evaluations)
        return self._epoch(wall_s) | {"top1": top1, "status": status}

    def _mean_reward(self) -> float | None:
        """The mean reward since the previous row."""
        values = [one.value for one in self.search.asking.evaluations[self.reported :] if one.status == "finished"]
        return fmean(values) if values else None

    def _epoch(self, wall_s: float) -> dict[str, Any]:
        """The columns of `train.loop.run_epoch`."""
        supernet, epoch = self.supernet, self.done
        length = supernet.trial.length
        images = (length.end(epoch) - length.end(epoch - 1)) * length.batch_size
        return {
            "trial": self.task.trial,
            "attempt": self.attempt,
            "epoch": epoch,
            "planned_epochs": supernet.num_epochs,
            "iteration": length.end(epoch),
            "images_seen": length.end(epoch) * length.batch_size,
            "train_loss": supernet.losses[-1],
            "wall_s": max(wall_s, supernet.seconds[-1]),
            "train_s": supernet.seconds[-1],
            "data_wait_s": supernet.wait_s,
            "images_per_s": images / supernet.seconds[-1],
        }


def write_failure(task: TrialTask, status: str, why: str | None) -> None:
    """Write the reason why a search failed next to its log.

    Raises:
        RaysweepError: the store cannot be written.
    """
    from raysweep.store.store import Store

    Store.open(task.store).files.write(f"searches/{task.trial}.error", (why or status).encode())
