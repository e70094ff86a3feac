"""What is handed to whoever runs a trial: the trial itself, and the place it runs at. Loads neither torch nor ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from raysweep.recipe import Recipe

DONE = ("finished", "diverged")
"""Ends of trials that are not trained again."""


@dataclass(frozen=True)
class TrialTask:
    """One trial to train: identity, recipe, where its images lie and where its results go."""

    trial: str
    recipe: Recipe
    data: str
    """Folder of the FFCV files and their manifest."""
    store: str
    """Results store: a folder or any URI that pyarrow.fs knows."""
    protocol: str = ""
    """Name of the protocol the recipe began with, for the results."""
    keep_checkpoint: bool = False
    """Whether the last checkpoint stays in the store after the trial has ended."""
    trunks: str = ""
    """Store with the trial that `init.trunk_trial` names."""
    deterministic: bool = False
    """Whether only algorithms that give the same bits each time are allowed; on a CPU there are no others."""
    study: str = ""
    variant: str = ""
    """What it stands for, first of all; for whoever watches."""

    @property
    def name(self) -> str:
        """What a person knows it by."""
        return f"{self.study}/{self.variant} seed {self.recipe.seed}" if self.study else self.trial


def _go_on() -> bool:
    return False


def _nobody(text: str) -> None:
    """Who listens where nobody does."""


@dataclass(frozen=True)
class Placement:
    """Where a trial runs; changes its speed, never its identity."""

    rank: int = 0
    world_size: int = 1
    device: str = "cpu"
    threads: int = 1
    share_images: bool = False
    """Whether decoded images are shared with other trials of the machine."""
    gpus: float = 0.0
    """GPUs of each worker: a share of one where trials lie side by side."""
    alone: bool = False
    """Whether it has a device to itself, since it ran out of memory beside others."""
    on_step: Callable[[], bool] = _go_on
    """Called after each batch: a trial of which nothing is heard for long is taken for hung. Returns whether to break
    off, in the middle of the epoch, since this place is about to go; never where there are several ranks."""
    on_wait: Callable[[str], None] = _nobody
    """Told in one sentence what the trial waits for, when it cannot go on for a while."""
