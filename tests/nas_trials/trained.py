"""Searches whose trials are trained in no time: how each ends follows from its id, and is written as a worker would."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raysweep.errors import OutOfMemoryError
from raysweep.identity import recipe_json
from raysweep.nas_trials.nas_request import NasRequest, parse_budget
from raysweep.nas_trials.side_by_side import Searches
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.request import Request
from raysweep.store.store import Store
from raysweep.sweeps.nas_sweep import open_searches
from raysweep.train.task import Placement, TrialTask

METHODS = ("evolution", "random")
OPTIONS = {"population": "4", "sample": "2"}


def ask_for(
    folder: Path | str, *methods: str, budget: str = "12", seeds: int = 1, space: str = "joint", roomy: bool = False
) -> NasRequest:
    """`roomy`: batches are trained in parts, and no trial runs out of memory."""
    settings = {"training.accumulate": 2} if roomy else {}
    request = Request((), "demo", settings, store=str(folder))
    options = OPTIONS if "evolution" in methods else {}
    return NasRequest(space, methods, parse_budget([budget]), request, seeds, options)


def open_all(asked: NasRequest) -> Searches:
    """The searches of a request, without images."""
    space, store = asked.trial_space(), Store.open(asked.request.store or "", create=True)
    baseline = patch(find_protocol("demo"), asked.request.settings)
    template = TrialTask("", baseline, "", store.uri, "demo")
    searches = Searches(open_searches(asked, space, baseline, store), space, baseline, store, template)
    searches.resume()
    return searches


def status_of(trial: str, roomy: bool = False) -> str:
    """One in sixteen trials diverges, fails, or runs out of memory."""
    short = "finished" if roomy else "out_of_memory"
    return {"f": "diverged", "e": "failed", "d": short}.get(trial[-1], "finished")


def top1_of(trial: str, status: str) -> float | None:
    return int(trial[:4], 16) / 65536 if status == "finished" else None


def _end_of(task: TrialTask) -> str:
    return status_of(task.trial, task.recipe.training.accumulate > 1)


def write_row(task: TrialTask, **more: Any) -> None:
    """What a worker leaves in the store."""
    status = _end_of(task)
    row = {
        "trial": task.trial,
        "status": status,
        "top1": top1_of(task.trial, status),
        "wall_s": 1 + int(task.trial[4:6], 16) / 16,
        "epochs": task.recipe.length.num_epochs,
        "recipe": recipe_json(task.recipe),
        "params": 1000,
        "macs": 50,
        "updated_at": datetime.now(UTC),
    }
    if status in ("failed", "out_of_memory"):
        error = "raysweep.errors.OutOfMemoryError: none left" if status == "out_of_memory" else "ValueError: no"
        row |= {"status": "failed", "error": error}
    Store.open(task.store).write_trial(row | more)


def train(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """One epoch, as `run_trial` would train it."""
    write_row(task)
    status = _end_of(task)
    if status == "failed":
        raise ValueError("no")
    if status == "out_of_memory":
        raise OutOfMemoryError("none left")
    yield {"trial": task.trial, "epoch": 1, "planned_epochs": 1, "status": status, "top1": top1_of(task.trial, status)}


def write_end(task: TrialTask, status: str, why: str | None) -> None:
    """The row of a failed trial is there already."""


def finish(searches: Searches, task: TrialTask) -> None:
    """Train a trial and tell its end."""
    write_row(task)
    row = searches.store.trial(task.trial) or {}
    searches.end(task.trial, row["status"], row["error"] or "")


def run_all(searches: Searches, most: int | None = None) -> list[str]:
    """Train one after another, at most so many; returns the trials."""
    trained: list[str] = []
    while (most is None or len(trained) < most) and (task := searches.next()) is not None:
        trained.append(task.trial)
        finish(searches, task)
    return trained


def told(folder: Path) -> list[dict[str, Any]]:
    """The evaluations in the store."""
    rows: list[dict[str, Any]] = Store.open(str(folder)).evaluations().to_pylist()
    return rows
