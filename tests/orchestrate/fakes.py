"""Trials that train nothing. Functions at the top level of a module, so that Ray's workers find them by name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raysweep.errors import OutOfMemoryError
from raysweep.orchestrate.events import Event
from raysweep.recipe import Recipe
from raysweep.train.task import Placement, TrialTask

NUM_EPOCHS = 3
LONG = 6


def make_tasks(folder: Path, *trials: str) -> list[TrialTask]:
    return [TrialTask(trial, Recipe(), data="", store=str(folder)) for trial in trials]


def make_row(trial: str, epoch: int, num_epochs: int = NUM_EPOCHS, **more: Any) -> dict[str, Any]:
    status = "finished" if epoch == num_epochs else "running"
    return {"trial": trial, "epoch": epoch, "planned_epochs": num_epochs, "status": status, "top1": 0.5} | more


class Listener:
    """Collects the events and recorded ends of a sweep."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.recorded: dict[str, tuple[str, str | None]] = {}

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def record_end(self, task: TrialTask, status: str, error: str | None) -> None:
        self.recorded[task.trial] = (status, error)

    def kinds(self, trial: str) -> list[str]:
        return [event.kind for event in self.events if event.trial == trial]

    def epochs(self, trial: str) -> list[int]:
        return [event.row["epoch"] for event in self.events if event.trial == trial and event.kind == "epoch"]

    def rows(self, trial: str) -> list[Any]:
        return [event.row for event in self.events if event.trial == trial and event.kind == "epoch"]


def train_nothing(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """Three epochs in no time; a trial called bad raises in its second, one called diverged ends there."""
    for epoch in range(1, NUM_EPOCHS + 1):
        if epoch == 2 and task.trial.startswith("bad"):
            raise ValueError(f"{task.trial} cannot go on")
        where = {"threads": place.threads, "device": place.device, "share_images": place.share_images}
        row = make_row(task.trial, epoch, attempt=attempt, pid=os.getpid(), **where)
        if epoch == 2 and task.trial.startswith("diverged"):
            yield row | {"status": "diverged"}
            return
        yield row


def train_with_checkpoint(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """Epochs of a tenth of a second that a later attempt continues; those trained are listed in the store.

    A trial called deadly kills its own process in its second epoch, always; one called fragile does so once.
    """
    log = Path(task.store) / task.trial
    done = len(log.read_text().split()) if log.exists() else 0
    num_epochs = 5
    for epoch in range(min(done, num_epochs - 1) + 1, num_epochs + 1):
        time.sleep(0.1)
        if epoch == 2 and (task.trial.startswith("deadly") or (task.trial.startswith("fragile") and attempt == 1)):
            os.kill(os.getpid(), signal.SIGKILL)
        with log.open("a") as file:
            file.write(f"{epoch}\n")
        yield make_row(task.trial, epoch, num_epochs, attempt=attempt, pid=os.getpid())


def train_anything(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """With checkpoints those whose name says that their process is killed, at once the others."""
    killed = task.trial.startswith(("fragile", "deadly"))
    return (train_with_checkpoint if killed else train_nothing)(task, place, attempt)


def train_ranked(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """Ten epochs whose top-1 is the number in the trial's name."""
    for epoch in range(1, 11):
        yield make_row(task.trial, epoch, 10, top1=float(task.trial[1:]))


def train_patiently(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """An epoch at once, checkpointed, and one of a minute; a later run has the second one left, and does it at once."""
    log = Path(task.store) / task.trial
    resumed = log.exists()
    if not resumed:
        log.write_text("1")
        yield make_row(task.trial, 1, 2)
        time.sleep(60)
    yield make_row(task.trial, 2, 2)


def train_greedily(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """Three epochs; a trial called greedy runs out of memory in its second one unless it has a device to itself."""
    for epoch in range(1, NUM_EPOCHS + 1):
        if epoch == 2 and task.trial.startswith("greedy") and not place.alone:
            raise OutOfMemoryError(f"out of memory on a shared device in {task.trial}")
        if epoch == 2 and task.trial == "greediest":
            raise OutOfMemoryError("out of memory on a whole device")
        where = {"threads": place.threads, "gpus": place.gpus, "alone": place.alone}
        yield make_row(task.trial, epoch, attempt=attempt, **where)


def train_where(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """Epochs of half a second that say on which node they were trained."""
    import ray

    for epoch in range(1, NUM_EPOCHS + 1):
        time.sleep(0.5)
        yield make_row(task.trial, epoch, node=ray.get_runtime_context().get_node_id())


def train_or_hang(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """Three epochs; the second attempt always gets through, and so does a trial with heartbeats.

    In their second epoch a trial called stopped stops its whole process, one called stuck does nothing for ever, and
    one called slow trains for long.
    """
    for epoch in range(1, NUM_EPOCHS + 1):
        if epoch == 2 and attempt == 1:
            _dawdle(task.trial, place)
        yield make_row(task.trial, epoch, attempt=attempt)


def _dawdle(trial: str, place: Placement) -> None:
    if trial == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)  # takes hold in a moment
    if trial in ("stopped", "stuck"):
        time.sleep(3600)
    elif trial == "slow":
        for _ in range(250):
            place.on_step()
            time.sleep(0.1)


def train_slowly(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """As `train_with_checkpoint`; six epochs of three seconds for a trial called long, three short ones for others."""
    log = Path(task.store) / task.trial
    done = len(set(log.read_text().split())) if log.exists() else 0
    num_epochs = LONG if task.trial == "long" else NUM_EPOCHS
    for epoch in range(min(done, num_epochs - 1) + 1, num_epochs + 1):
        time.sleep(3 if num_epochs == LONG else 0.1)
        with log.open("a") as file:
            file.write(f"{epoch}\n")
        yield make_row(task.trial, epoch, num_epochs, attempt=attempt, pid=os.getpid())
