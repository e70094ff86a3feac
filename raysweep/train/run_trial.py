"""One trial: resume from its store, train, record. The same for `raysweep trial`, inline and in a Ray Train worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from raysweep.cost import find_cost
from raysweep.data.fit import check_data
from raysweep.data.manifest import Manifest
from raysweep.errors import ElsewhereError, RaysweepError
from raysweep.identity import recipe_json
from raysweep.own_code import unpack
from raysweep.store.claims import Claim, holders
from raysweep.store.files import Patience
from raysweep.store.provenance import provenance
from raysweep.store.schema import EPOCHS
from raysweep.store.store import Store
from raysweep.train import checkpoint
from raysweep.train.confusion import confusion
from raysweep.train.determinism import only_deterministic
from raysweep.train.loop import BrokenOffError, epochs, prepare, restore, state, status_of
from raysweep.train.task import DONE, Placement, TrialTask

PATIENCE_S = 600.0
"""How long a trial waits for a store that is unavailable or full, before it fails."""


class Record:
    """The rows of one trial in the store, which only rank 0 writes."""

    def __init__(self, store: Store, task: TrialTask, place: Placement, claim: Claim) -> None:
        """Start from the row that an earlier attempt wrote."""
        self.store = store
        self.claim = claim
        self.task = task
        self.place = place
        self.row: dict[str, Any] = store.trial(task.trial) or {}
        self.epochs: list[dict[str, Any]] = []

    def start(self, manifest: Manifest, planned_epochs: float, done: int) -> None:
        """Write the trial's row with status running and its provenance; keep the rows of the first `done` epochs."""
        recipe, cost, device = self.task.recipe, find_cost(self.task.recipe), self.place.device
        self.row = {
            "trial": self.task.trial,
            "seed": recipe.seed,
            "recipe": recipe_json(recipe),
            "protocol": self.task.protocol,
            "planned_epochs": planned_epochs,
            "attempts": (self.row.get("attempts") or 0) + 1,
            "params": cost.params,
            "macs": cost.macs,
            "started_at": self.row.get("started_at") or datetime.now(UTC),
            "data_digest": manifest.digest,
            "data_name": manifest.name,
            "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu",
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
        """Return the accuracy of the trained network that the trial starts from, and the name of its images."""
        known = {name: self.row.get(name) for name in ("trunk_top1", "trunk_data")}
        if known["trunk_top1"] is not None or not self.task.trunks or not self.task.recipe.init.trunk_trial:
            return known
        row = Store.open(self.task.trunks).trial(self.task.recipe.init.trunk_trial) or {}
        return {"trunk_top1": row.get("top1"), "trunk_data": row.get("data_name")}

    def write(self, status: str, **changes: Any) -> None:
        """Write the trial's row with this status and a summary of its epochs.

        Raises:
            ElsewhereError: another process has taken the trial over.
        """
        self.claim.check()
        self.row |= {"status": status, "updated_at": datetime.now(UTC), **self.summary(), **changes}
        self.store.write_trial(self.row)

    def summary(self) -> dict[str, Any]:
        """Summarise the epochs so far."""
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

    def add(self, row: dict[str, Any], saved: bytes | None, confused: Sequence[Mapping[str, int]] = ()) -> None:
        """Write an epoch's row, then the counts of a last test and its checkpoint, then the trial's row.

        If the process is killed between the first two, the epoch is trained again, to the same row. If it is killed
        between the last two at the end of a trial, the next attempt writes the trial's row.

        Raises:
            ElsewhereError: another process has taken the trial over.
        """
        self.claim.check()
        self.epochs.append({key: row[key] for key in row.keys() & set(EPOCHS.names)})
        self.store.write_epochs(self.task.trial, self.epochs)
        if confused:
            self.store.write_confusion(self.task.trial, confused)
        if saved is not None:
            self.store.write_checkpoint(self.task.trial, saved)
        self.end_epoch(row)
        if row["status"] != "running" and not self.task.keep_checkpoint:
            self.store.delete_checkpoint(self.task.trial)

    def end_epoch(self, row: dict[str, Any]) -> None:
        """Write the trial's row with the status of an epoch."""
        diverged = {"diverged_epoch": row["epoch"]} if row["status"] == "diverged" else {}
        self.write(row["status"], **diverged)


def run_trial(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """Train a trial from its last checkpoint to its end; yields each epoch's row once it is in the store.

    A row has the columns of the epoch rows, `planned_epochs`, and a `status`: running, finished or diverged.

    Waits for a store that is unavailable or full. If the node is about to go, the trial is broken off in the middle of
    an epoch, with a checkpoint of that state.

    Raises:
        ElsewhereError: another process trains it, or has taken it over from this one.
        RaysweepError: unusable data, recipe or store; all epochs trained so far are in the store.
    """
    torch.set_num_threads(place.threads)
    unpack(task.code, task.recipe)
    store = Store.open(task.store, patience=Patience(PATIENCE_S, place.on_wait))
    with claimed(store, task.trial, place, attempt) as claim:
        if (ended := last_row(store, task)) is not None:
            yield ended
        else:
            yield from _train(store, task, place, attempt, claim)


@contextmanager
def claimed(store: Store, trial: str, place: Placement, attempt: int) -> Iterator[Claim]:
    """Claim a trial in the store while the block runs; rank 0 does so for all ranks.

    Raises:
        ElsewhereError: another process trains it.
    """
    claim = Claim(store.files, trial, place.owner, attempt)
    if where := place.agree(claim.take if place.rank == 0 else str):
        raise ElsewhereError(trial, where)
    try:
        yield claim
    finally:
        claim.release()


def _train(store: Store, task: TrialTask, place: Placement, attempt: int, claim: Claim) -> Iterator[dict[str, Any]]:
    manifest = check_data(task.recipe, Path(task.data))
    saved = resumable(store, task)
    if saved is not None:
        check_same_images(store, task, manifest)
    # A trial that has started has its trunk in its own checkpoint.
    with (
        only_deterministic(task.deterministic),
        closing(prepare(task.recipe, Path(task.data), manifest, place, saved or trained_network(task))) as trial,
    ):
        done = restore(trial, saved)
        record = Record(store, task, place, claim) if place.rank == 0 else None
        if record:
            record.start(manifest, trial.length.num_epochs, done)
        if (ended := unrecorded_end(store, task, trial.length.num_epochs, done)) is not None:
            if record:
                record.end_epoch(ended)
            yield ended
            return
        try:
            for row in epochs(trial, done):
                row |= {"trial": task.trial, "attempt": attempt, "finished_at": datetime.now(UTC)}
                if record:
                    kept = task.keep_checkpoint or row["status"] == "running"
                    is_kept_end = task.keep_checkpoint and row["status"] == "finished"
                    counts = confusion(trial) if is_kept_end else ()
                    record.add(row, state(trial, row["epoch"]) if kept else None, counts)
                done = row["epoch"]
                yield row
        except BrokenOffError:
            claim.check()
            store.write_checkpoint(task.trial, state(trial, done))


def unrecorded_end(store: Store, task: TrialTask, num_epochs: int, done: int) -> dict[str, Any] | None:
    """Return the last epoch of a trial that was killed between its last checkpoint and the end of its row.

    Such a trial has nothing left to train.
    """
    rows = [row for row in store.epochs([task.trial]).to_pylist() if row["epoch"] == done]
    if not rows or (status := status_of(rows[0], num_epochs)) == "running":
        return None
    return dict(rows[0]) | {"planned_epochs": num_epochs, "status": status}


def resumable(store: Store, task: TrialTask) -> bytes | None:
    """Return the trial's checkpoint if the row of its epoch is stored too; otherwise its curve would have a gap."""
    saved = store.read_checkpoint(task.trial)
    if saved is None:
        return None
    # A trial broken off in its first epoch has finished none, and has no row.
    finished = {0, *store.epochs([task.trial])["epoch"].to_pylist()}
    return saved if checkpoint.epoch_of(saved) in finished else None


def check_same_images(store: Store, task: TrialTask, manifest: Manifest) -> None:
    """Refuse to continue a trial on different images than it started with, even if its recipe names none.

    Raises:
        RaysweepError: the digests differ.
    """
    began = (store.trial(task.trial) or {}).get("data_digest")
    if began and began != manifest.digest:
        raise RaysweepError(
            f"trial {task.trial} started on images with digest {began}, but {task.data} holds {manifest.name} with "
            f"digest {manifest.digest}: pass the original folder with --data, or use another --store."
        )


def trained_network(task: TrialTask) -> bytes | None:
    """Return the checkpoint of the trained network that the trial starts from, if there is one.

    Raises:
        RaysweepError: the store of trained networks cannot be read, or does not contain it.
    """
    if not task.trunks or not task.recipe.init.trunk_trial:
        return None
    saved = Store.open(task.trunks).read_checkpoint(task.recipe.init.trunk_trial)
    if saved is None:
        raise RaysweepError(
            f"the weights of trial {task.recipe.init.trunk_trial} are no longer in {task.trunks}: train it again."
        )
    return saved


def last_row(store: Store, task: TrialTask) -> dict[str, Any] | None:
    """Return the last epoch of a trial that has ended, for a worker that died before it could report it."""
    row = store.trial(task.trial)
    if row is None or row["status"] not in DONE:
        return None
    last: dict[str, Any] = max(store.epochs([task.trial]).to_pylist(), key=lambda one: one["epoch"], default={})
    if not last:
        return None  # its curve is gone: it is trained again
    return last | {"planned_epochs": row["planned_epochs"], "status": row["status"]}


def record_end(task: TrialTask, status: str, why: str | None = None, owner: str = "") -> None:
    """Write the end of a trial that could not write it itself: `failed` with the error, or `stopped` with the reason.

    `owner` is the sweep that ends it. A trial that has ended already, or that another sweep trains now, is left alone.

    Raises:
        RaysweepError: the store cannot be written.
    """
    store = Store.open(task.store, patience=Patience(PATIENCE_S))
    if last_row(store, task) is not None or holders(store.files, task.trial, but=owner):
        return
    row = store.trial(task.trial) or {"trial": task.trial, "seed": task.recipe.seed, "attempts": 1, "epochs": 0}
    row |= {"recipe": recipe_json(task.recipe), "protocol": task.protocol}
    row |= {"error": None, "stopped_why": None, "stopped_why" if status == "stopped" else "error": why}
    store.write_trial(row | {"status": status, "updated_at": datetime.now(UTC)})
