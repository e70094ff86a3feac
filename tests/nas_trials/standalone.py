"""Cells trained by themselves, as an `evaluate` of a search: each is an ordinary trial, kept in a store.

alone = StandAlone(patch(recipe, {"network.name": "enas_cells"}), "images", store="runs/alone")
ranking = compare(space, shared, alone, seed=0)   # raysweep.nas.ranking
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from raysweep.identity import trial_id
from raysweep.nas.evaluation import Evaluation
from raysweep.nas_trials.charging import evaluation_of
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.store.store import Store
from raysweep.train.run_trial import run_trial
from raysweep.train.task import Placement, TrialTask


@dataclass(frozen=True)
class StandAlone:
    """Train the recipe with a genotype in it, or take the trial from the store, where it is finished."""

    recipe: Recipe
    """Of a network that takes its cells from `network.genotype`."""
    data: str
    """Folder of images."""
    store: str
    """Folder or URI, which is made where there is none."""
    place: Placement = field(default_factory=Placement)

    def __call__(self, architecture: object, fidelity: float | None = None) -> Evaluation:
        """Top-1 accuracy after the last epoch, on what the recipe tests on; `fidelity`: so many epochs.

        Raises:
            RaysweepError: a recipe, images or a store that do not serve.
        """
        changes: dict[str, Any] = {"network.genotype": str(architecture)}
        recipe = patch(self.recipe, changes | ({} if fidelity is None else {"training.epochs": fidelity}))
        trial, store = trial_id(recipe), Store.open(self.store, create=True)
        for _ in run_trial(TrialTask(trial, recipe, self.data, self.store), self.place, 1):
            pass
        evaluation = evaluation_of(store.trial(trial) or {}, recipe)
        assert evaluation is not None  # a trial that fails has raised
        return evaluation
