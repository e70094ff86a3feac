"""The input of a training: the trial, and the place where it runs. Loads neither torch nor ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from raysweep.errors import RaysweepError
from raysweep.own_code import Text, carried
from raysweep.recipe import Recipe

DONE = ("finished", "diverged")
"""The ends of trials that are not trained again."""


@dataclass(frozen=True)
class TrialTask:
    """One trial to train: its identity and recipe, the location of its images, and where its results go."""

    trial: str
    recipe: Recipe
    data: str
    """Folder of the FFCV files and their manifest."""
    store: str
    """Results store: a folder or any URI that pyarrow.fs knows."""
    protocol: str = ""
    """Name of the protocol on which the recipe is based, for the results."""
    keep_checkpoint: bool = False
    """Whether the last checkpoint stays in the store after the trial has ended."""
    trunks: str = ""
    """Store with the trial that `init.trunk_trial` names."""
    deterministic: bool = False
    """Whether only algorithms that give the same bits each time are allowed; on a CPU all do."""
    study: str = ""
    variant: str = ""
    """First study and variant that the trial belongs to, for display."""
    code: tuple[Text, ...] = ()
    """The user's files that the recipe needs; taken along from this process."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", self.code or carried(self.recipe))

    @property
    def name(self) -> str:
        """The name of the trial for display."""
        return f"{self.study}/{self.variant} seed {self.recipe.seed}" if self.study else self.trial


def _continue() -> bool:
    return False


def _ask(question: Callable[[], str]) -> str:
    return question()


def _ignore(text: str) -> None:
    """Ignore everything."""


@dataclass(frozen=True)
class Placement:
    """The place where a trial runs; it affects speed, never identity."""

    rank: int = 0
    world_size: int = 1
    device: str = "cpu"
    threads: int = 1
    share_images: bool = False
    """Whether decoded images are shared with other trials on the machine."""
    gpus: float = 0.0
    """GPUs of each worker: a fraction if trials share one."""
    alone: bool = False
    """Whether it has a whole device, because it ran out of memory when sharing one."""
    on_step: Callable[[], bool] = _continue
    """Called after each batch: a trial that makes no calls for long is considered hung. Returns whether to break off in
    the middle of the epoch, because this node is about to go; never with several ranks."""
    on_wait: Callable[[str], None] = _ignore
    """Called with what the trial waits for (`for the store ...`) when it cannot continue for a while."""
    agree: Callable[[Callable[[], str]], str] = _ask
    """Asks a question on rank 0 and returns its answer on every rank."""
    owner: str = ""
    """The sweep in whose name the trial is claimed in the store; empty: nobody else's, so each call is its own."""

    def check_whole_batches(self) -> None:
        """Refuse several workers for a trial whose network normalises by statistics of the batch.

        Raises:
            RaysweepError: with the number of workers.
        """
        if self.world_size > 1:
            raise RaysweepError(
                f"with {self.world_size} workers per trial batch normalisation would see a part of each batch, so its "
                "statistics would differ from the recipe's: use --workers-per-trial 1."
            )
