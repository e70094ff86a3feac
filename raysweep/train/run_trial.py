"""One trial: resume from its store, train, record. The same alone, inline and in a Ray Train worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from raysweep.cost import find_cost
from raysweep.data.fit import check_data
from raysweep.data.manifest import Manifest
from raysweep.errors import RaysweepError
from raysweep.identity import recipe_json
from raysweep.store.files import Patience
from raysweep.store.provenance import provenance
from raysweep.store.schema import EPOCHS
from raysweep.store.store import Store
from raysweep.train import checkpoint
from raysweep.train.determinism import only_deterministic
from raysweep.train.loop import BrokenOffError, epochs, prepare, restore, state
from raysweep.train.task import DONE, Placement, TrialTask

PATIENCE_S = 600.0
"""How long a trial waits for a store that is away or full, before it fails."""


class Record:
    """The rows of one trial in the store; rank 0 alone writes them."""

    def __init__(self, store: Store, task: TrialTask, place: Placement) -> None:
        """Take over what an earlier attempt wrote."""
        self.store = store
        self.task = task
        self.place = place
        self.row: dict[str, Any] = store.trial(task.trial) or {}
        self.epochs: list[dict[str, Any]] = []

    def start(self, manifest: Manifest, planned_epochs: float, done: int) -> None:
        """Write the trial's row as running, with its provenance; keep the rows of the epochs that are done."""
        recipe, cost = self.task.recipe, asdict(find_cost(self.task.recipe))
        self.row = {
            "trial": self.task.trial,
            "seed": recipe.seed,
            "recipe": recipe_json(recipe),
            "protocol": self.task.protocol,
            "planned_epochs": planned_epochs,
            "attempts": (self.row.get("attempts") or 0) + 1,
            "params": cost["params"],
            "macs": cost["macs"],
            "started_at": self.row.get("started_at") or datetime.now(UTC),
            "data_digest": manifest.digest,
            "data_name": manifest.name,
            "device": device_name(self.place.device),
            "threads": self.place.threads,
            "world_size": self.place.world_size,
            "gpus": self.place.gpus,
            "alone": self.place.alone,
            "deterministic": self.task.deterministic,
            **self.trunk(),
            **provenance(),
        }
        kept = self.store.epochs([self.task.trial]).to_pylist() if done else []
        self.epochs = [row for row in kept if row["epoch"] <= done]
        self.write("running")

    def trunk(self) -> dict[str, Any]:
        """What the trained network that the trial starts from was worth on its own images."""
        known = {name: self.row.get(name) for name in ("trunk_top1", "trunk_data")}
        if known["trunk_top1"] is not None or not self.task.trunks or not self.task.recipe.init.trunk_trial:
            return known
        row = Store.open(self.task.trunks).trial(self.task.recipe.init.trunk_trial) or {}
        return {"trunk_top1": row.get("top1"), "trunk_data": row.get("data_name")}

    def write(self, status: str, **changes: Any) -> None:
        """Write the trial's row as its epochs so far make it."""
        self.row |= {"status": status, "updated_at": datetime.now(UTC), **self.summary(), **changes}
        self.store.write_trial(self.row)

    def summary(self) -> dict[str, Any]:
        """What the epochs so far amount to."""
        tops = [row["top1"] for row in self.epochs if row["top1"] is not None]
        train_s = sum(row["train_s"] for row in self.epochs)
        last = self.epochs[-1] if self.epochs else {}
        return {
            "epochs": len(self.epochs),
            "top1": last.get("top1"),
            "logloss": last.get("logloss"),
            "best_top1": max(tops, default=None),
            "wall_s": sum(row["wall_s"] for row in self.epochs),
            "images_per_s": last["images_seen"] / train_s if train_s else None,
            "data_wait_s": sum(row["data_wait_s"] for row in self.epochs),
            "sub_batches": last.get("sub_batches"),
            "peak_memory_gib": max((row["peak_memory_gib"] for row in self.epochs), default=None),
        }

    def add(self, row: dict[str, Any], saved: bytes | None) -> None:
        """Write an epoch's row, then its checkpoint: killed in between, the epoch is trained again to the same row."""
        self.epochs.append({key: row[key] for key in row.keys() & set(EPOCHS.names)})
        self.store.write_epochs(self.task.trial, self.epochs)
        if saved is not None:
            self.store.write_checkpoint(self.task.trial, saved)
        diverged = {"diverged_epoch": row["epoch"]} if row["status"] == "diverged" else {}
        self.write(row["status"], **diverged)
        if row["status"] != "running" and not self.task.keep_checkpoint:
            self.store.delete_checkpoint(self.task.trial)


def device_name(device: str) -> str:
    """What a reader of the results knows the device by."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"


def run_trial(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """Train a trial from its last checkpoint to its end; yields each epoch's row once it is in the store.

    Besides the columns of the epoch rows a row has `planned_epochs` and `status`: running, finished or diverged.

    A store that is away or full is waited for. Where the place is about to go, the trial is broken off in the middle of
    an epoch, with a checkpoint of just that.

    Raises:
        RaysweepError: data, recipe or store that do not serve; what has been trained is in the store.
    """
    torch.set_num_threads(place.threads)
    store = Store.open(task.store, patience=Patience(PATIENCE_S, place.on_wait))
    if (ended := last_row(store, task)) is not None:
        yield ended
        return
    manifest = check_data(task.recipe, Path(task.data))
    saved = resumable(store, task)
    if saved is not None:
        check_same_images(store, task, manifest)
    # What has begun has its trunk in its own checkpoint.
    with (
        only_deterministic(task.deterministic),
        closing(prepare(task.recipe, Path(task.data), manifest, place, saved or trained_network(task))) as trial,
    ):
        done = restore(trial, saved)
        record = Record(store, task, place) if place.rank == 0 else None
        if record:
            record.start(manifest, trial.length.num_epochs, done)
        try:
            for row in epochs(trial, done):
                row |= {"trial": task.trial, "attempt": attempt, "finished_at": datetime.now(UTC)}
                if record:
                    kept = task.keep_checkpoint or row["status"] == "running"
                    record.add(row, state(trial, row["epoch"]) if kept else None)
                done = row["epoch"]
                yield row
        except BrokenOffError:
            store.write_checkpoint(task.trial, state(trial, done))


def resumable(store: Store, task: TrialTask) -> bytes | None:
    """The trial's checkpoint, if the row of its epoch is there too: a curve with a gap would be none of this trial."""
    saved = store.read_checkpoint(task.trial)
    if saved is None:
        return None
    # One broken off in its first epoch has none behind it, and no row.
    behind = {0, *store.epochs([task.trial])["epoch"].to_pylist()}
    return saved if checkpoint.epoch_of(saved) in behind else None


def check_same_images(store: Store, task: TrialTask, manifest: Manifest) -> None:
    """Refuse to go on with a trial on other images than it began with, also where its recipe names none.

    Raises:
        RaysweepError: names both digests and what to do.
    """
    began = (store.trial(task.trial) or {}).get("data_digest")
    if began and began != manifest.digest:
        raise RaysweepError(
            f"trial {task.trial} began on the images with digest {began}, {task.data} holds {manifest.name} with "
            f"digest {manifest.digest}: name the folder of the first with --data, or write to another --store."
        )


def trained_network(task: TrialTask) -> bytes | None:
    """The checkpoint that the trial starts from, if it starts from any.

    Raises:
        RaysweepError: the store of trained networks cannot be read, or does not hold it.
    """
    if not task.trunks or not task.recipe.init.trunk_trial:
        return None
    saved = Store.open(task.trunks).read_checkpoint(task.recipe.init.trunk_trial)
    if saved is None:
        raise RaysweepError(f"the weights of {task.recipe.init.trunk_trial} are no longer in {task.trunks}.")
    return saved


def last_row(store: Store, task: TrialTask) -> dict[str, Any] | None:
    """The last epoch of a trial that has ended, for a worker that died before it could say so."""
    row = store.trial(task.trial)
    if row is None or row["status"] not in DONE:
        return None
    last: dict[str, Any] = store.epochs([task.trial]).to_pylist()[-1]
    return last | {"planned_epochs": row["planned_epochs"], "status": row["status"]}


def record_end(task: TrialTask, status: str, why: str | None = None) -> None:
    """Write how a trial ended that could not do it itself: `failed` with the error's text, or `stopped` with a reason.

    Raises:
        RaysweepError: the store cannot be written.
    """
    store = Store.open(task.store, patience=Patience(PATIENCE_S))
    if last_row(store, task) is not None:
        return  # its worker died between writing the end and saying so
    row = store.trial(task.trial) or {"trial": task.trial, "seed": task.recipe.seed, "attempts": 1, "epochs": 0}
    row |= {"recipe": recipe_json(task.recipe), "protocol": task.protocol}
    row |= {"error": None, "stopped_why": None, "stopped_why" if status == "stopped" else "error": why}
    store.write_trial(row | {"status": status, "updated_at": datetime.now(UTC)})
