from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from raysweep.data import shared_stream
from raysweep.data.manifest import read_manifest
from raysweep.errors import ElsewhereError, RaysweepError
from raysweep.identity import recipe_json, trial_id
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.store.claims import holders, release_all
from raysweep.store.store import Store
from raysweep.train.run_trial import Record, last_row, record_end, run_trial
from raysweep.train.task import Placement, TrialTask

EXACT = ("epoch", "iteration", "train_loss", "top1", "logloss")


def make_task(recipe: Recipe, images: Path, store: Path, **more: Any) -> TrialTask:
    Store.open(str(store), create=True)
    return TrialTask(trial_id(recipe), recipe, str(images), str(store), "demo", **more)


def stored(store: Path, trial: str) -> list[tuple[Any, ...]]:
    rows = Store.open(str(store)).epochs([trial]).to_pylist()
    return [tuple(row[key] for key in EXACT) for row in rows]


def test_a_finished_trial_is_in_the_store(small_recipe: Recipe, small_images: Path, tmp_path: Path) -> None:
    task = make_task(small_recipe, small_images, tmp_path / "store")
    rows = list(run_trial(task, Placement(), 1))
    row = Store.open(task.store).trial(task.trial)
    assert row is not None
    assert row["status"] == "finished"
    assert row["epochs"] == row["planned_epochs"] == 3
    assert row["top1"] == rows[-1]["top1"]
    assert row["best_top1"] == max(entry["top1"] for entry in rows)
    assert row["attempts"] == 1
    assert row["params"] > 0
    assert row["macs"] > 0
    assert row["recipe"] == recipe_json(small_recipe)
    assert row["data_digest"] == small_recipe.data.digest
    assert row["device"] == "cpu"
    assert row["torch"]
    assert row["host"]
    assert row["wall_s"] == pytest.approx(sum(entry["wall_s"] for entry in rows))
    assert Store.open(task.store).read_checkpoint(task.trial) is None


def test_a_trial_that_has_ended_is_not_trained_again(small_recipe: Recipe, small_images: Path, tmp_path: Path) -> None:
    """As when a worker dies between writing the end and reporting it."""
    task = make_task(small_recipe, small_images, tmp_path / "store")
    first = list(run_trial(task, Placement(), 1))
    before = Store.open(task.store).trial(task.trial)
    (row,) = run_trial(task, Placement(), 2)
    assert {key: row[key] for key in EXACT} == {key: first[-1][key] for key in EXACT}
    assert (row["status"], row["planned_epochs"]) == ("finished", 3)
    assert Store.open(task.store).trial(task.trial) == before


def test_a_checkpoint_is_kept_where_asked(small_recipe: Recipe, small_images: Path, tmp_path: Path) -> None:
    task = make_task(small_recipe, small_images, tmp_path / "store", keep_checkpoint=True)
    list(run_trial(task, Placement(), 1))
    store = Store.open(task.store)
    assert store.read_checkpoint(task.trial)
    counts = store.confusion(task.trial).to_pandas()
    row, split = store.trial(task.trial), read_manifest(small_images).splits["test"]
    assert row is not None
    assert tuple(counts.groupby("label")["images"].sum()) == split.class_counts
    right = counts.loc[counts["label"] == counts["predicted"], "images"].sum()
    assert right / split.images == row["top1"]


def test_counts_of_classes_are_kept_with_checkpoints_only(
    small_recipe: Recipe, small_images: Path, tmp_path: Path
) -> None:
    task = make_task(patch(small_recipe, {"training.epochs": 1.0}), small_images, tmp_path / "store")
    list(run_trial(task, Placement(), 1))
    assert Store.open(task.store).with_confusion() == set()
    assert not len(Store.open(task.store).confusion(task.trial))


class KilledError(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("changes", [{}, {"solver.lr": 1e20, "network.activation": "linear"}])
def test_a_trial_killed_between_its_last_checkpoint_and_its_row_is_finished_by_the_next_attempt(
    small_recipe: Recipe, small_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """A finished one and a diverged one; nothing of them is left to train."""
    recipe = patch(small_recipe, changes)
    whole = make_task(recipe, small_images, tmp_path / "whole", keep_checkpoint=True)
    expected = list(run_trial(whole, Placement(), 1))[-1]
    cut = make_task(recipe, small_images, tmp_path / "cut", keep_checkpoint=True)
    write = Record.write

    def kill_at_the_end(record: Record, status: str, **changes: Any) -> None:
        if status != "running":
            raise KilledError
        write(record, status, **changes)

    monkeypatch.setattr(Record, "write", kill_at_the_end)
    with pytest.raises(KilledError):
        list(run_trial(cut, Placement(), 1))
    monkeypatch.setattr(Record, "write", write)
    store = Store.open(cut.store)
    assert (store.trial(cut.trial) or {})["status"] == "running"
    (row,) = run_trial(cut, Placement(), 2)
    assert (row["epoch"], row["status"]) == (expected["epoch"], expected["status"])
    assert repr(stored(tmp_path / "cut", cut.trial)) == repr(stored(tmp_path / "whole", whole.trial))
    found, wanted = (Store.open(task.store).trial(task.trial) or {} for task in (cut, whole))
    for key in ("status", "epochs", "planned_epochs", "top1", "best_top1", "diverged_epoch"):
        assert found[key] == wanted[key], key
    assert store.read_checkpoint(cut.trial)


def test_a_closed_trial_continues_from_its_last_epoch(small_recipe: Recipe, small_images: Path, tmp_path: Path) -> None:
    whole = make_task(small_recipe, small_images, tmp_path / "whole")
    list(run_trial(whole, Placement(), 1))
    cut = make_task(small_recipe, small_images, tmp_path / "cut")
    steps = run_trial(cut, Placement(), 1)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    row = Store.open(cut.store).trial(cut.trial)
    assert row is not None
    assert (row["status"], row["epochs"]) == ("running", 1)
    again = list(run_trial(cut, Placement(), 2))
    assert [entry["epoch"] for entry in again] == [2, 3]
    assert stored(tmp_path / "cut", cut.trial) == stored(tmp_path / "whole", whole.trial)


def test_a_killed_trial_continues_from_its_last_epoch(small_recipe: Recipe, small_images: Path, tmp_path: Path) -> None:
    """kill -9 at an arbitrary moment, several times over; the end is that of an undisturbed trial, bit for bit."""
    recipe = patch(small_recipe, {"training.epochs": 30.0})
    whole = make_task(recipe, small_images, tmp_path / "whole")
    list(run_trial(whole, Placement(), 1))
    cut = make_task(recipe, small_images, tmp_path / "cut")
    members = [{"study": "s", "variant": "v", "trial": cut.trial, "seed": 0, "protocol": "demo"}]
    extra = {"line": cut.trial, "baseline": "v", "order": 0, "summary": "", "diff": "{}", "recipe": recipe_json(recipe)}
    Store.open(cut.store).write_members([members[0] | extra])
    command = [sys.executable, "-m", "raysweep", "trial", cut.trial, "--store", cut.store, "--data", cut.data]
    kills = 0
    for _ in range(3):
        seen = len(stored(tmp_path / "cut", cut.trial))
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(stored(tmp_path / "cut", cut.trial)) < seen + 2:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 2
    subprocess.run(command, check=True, capture_output=True)
    assert stored(tmp_path / "cut", cut.trial) == stored(tmp_path / "whole", whole.trial)
    row = Store.open(cut.store).trial(cut.trial)
    assert row is not None
    assert row["status"] == "finished"
    assert row["attempts"] == 4


def test_a_diverged_trial_says_when(small_recipe: Recipe, small_images: Path, tmp_path: Path) -> None:
    recipe = patch(small_recipe, {"solver.lr": 1e20, "network.activation": "linear"})
    task = make_task(recipe, small_images, tmp_path / "store")
    last = list(run_trial(task, Placement(), 1))[-1]
    row = Store.open(task.store).trial(task.trial)
    assert row is not None
    assert last["status"] == row["status"] == "diverged"
    assert row["diverged_epoch"] == last["epoch"]


def test_an_end_that_the_trial_could_not_write(small_recipe: Recipe, small_images: Path, tmp_path: Path) -> None:
    task = make_task(small_recipe, small_images, tmp_path / "store")
    record_end(task, "failed", "Traceback\nValueError: bad")
    row = Store.open(task.store).trial(task.trial)
    assert row is not None
    assert (row["status"], row["error"], row["attempts"]) == ("failed", "Traceback\nValueError: bad", 1)
    list(run_trial(task, Placement(), 1))
    row = Store.open(task.store).trial(task.trial)
    assert row is not None
    assert (row["status"], row["error"], row["attempts"]) == ("finished", None, 2)


def test_a_finished_trial_stays_finished(small_recipe: Recipe, small_images: Path, tmp_path: Path) -> None:
    """Its worker died between writing the end and saying so, in its last attempt."""
    task = make_task(small_recipe, small_images, tmp_path / "store")
    list(run_trial(task, Placement(), 1))
    record_end(task, "failed", "the worker process was restarted")
    assert (Store.open(task.store).trial(task.trial) or {})["status"] == "finished"


def test_a_checkpoint_without_the_row_of_its_epoch_is_not_resumed_from(
    small_recipe: Recipe, small_images: Path, tmp_path: Path
) -> None:
    """Its curve would have a gap: the trial starts again, to the same numbers."""
    whole = make_task(small_recipe, small_images, tmp_path / "whole")
    list(run_trial(whole, Placement(), 1))
    cut = make_task(small_recipe, small_images, tmp_path / "cut")
    steps = run_trial(cut, Placement(), 1)
    next(steps)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    store = Store.open(cut.store)
    store.write_epochs(cut.trial, store.epochs([cut.trial]).to_pylist()[:1])
    assert [row["epoch"] for row in run_trial(cut, Placement(), 2)] == [1, 2, 3]
    assert stored(tmp_path / "cut", cut.trial) == stored(tmp_path / "whole", whole.trial)


@pytest.mark.parametrize("left", [None, []])
def test_a_finished_trial_without_its_epochs_is_trained_again(
    small_recipe: Recipe, small_images: Path, tmp_path: Path, left: list[dict[str, Any]] | None
) -> None:
    task = make_task(small_recipe, small_images, tmp_path)
    store = Store.open(task.store, create=True)
    store.write_trial({"trial": task.trial, "status": "finished", "epochs": 3})
    if left is not None:
        store.write_epochs(task.trial, left)
    assert last_row(store, task) is None


def test_only_deterministic_algorithms_are_allowed_while_the_trial_runs(
    small_recipe: Recipe, small_images: Path, tmp_path: Path
) -> None:
    task = make_task(small_recipe, small_images, tmp_path / "store", deterministic=True)
    steps = run_trial(task, Placement(), 1)
    next(steps)
    assert torch.are_deterministic_algorithms_enabled()
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
    assert (Store.open(task.store).trial(task.trial) or {})["deterministic"] is True
    steps.close()  # type: ignore[attr-defined]
    assert not torch.are_deterministic_algorithms_enabled()


def test_images_that_changed_are_refused(small_recipe: Recipe, small_images: Path, tmp_path: Path) -> None:
    task = make_task(patch(small_recipe, {"data.digest": "0" * 12}), small_images, tmp_path / "store")
    with pytest.raises(RaysweepError, match="0" * 12):
        next(run_trial(task, Placement(), 1))


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for the machine's shared memory."""
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(shared_stream, "MEMORY", tmp_path / "memory")
    return tmp_path / "memory"


SCALED = {"data.scales": (1.0, 0.9)}  # stored pixels that are not resized are not worth sharing
SHARING = Placement(share_images=True)


def test_trials_that_share_images_give_the_same_numbers_as_separately(
    small_recipe: Recipe, small_images: Path, tmp_path: Path, memory: Path
) -> None:
    # Without dropout, whose numbers come from a generator that trials in one process have in common.
    changes = SCALED | {"network.dropout": 0.0}
    recipes = [patch(small_recipe, changes | {"network.activation": name}) for name in ("relu", "elu")]
    for recipe in recipes:
        list(run_trial(make_task(recipe, small_images, tmp_path / "alone"), Placement(), 1))
    tasks = [make_task(recipe, small_images, tmp_path / "together") for recipe in recipes]
    together = [run_trial(task, SHARING, 1) for task in tasks]
    for _ in range(3):  # an epoch of each in turn
        for steps in together:
            next(steps)
        assert len(list(memory.iterdir())) == 1
    for task, steps in zip(tasks, together, strict=True):
        assert list(steps) == []
        assert stored(tmp_path / "together", task.trial) == stored(tmp_path / "alone", task.trial)
    assert not list(memory.iterdir())


def test_a_trial_that_is_stopped_or_fails_leaves_no_shared_memory(
    small_recipe: Recipe, small_images: Path, tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = patch(small_recipe, SCALED)
    steps = run_trial(make_task(recipe, small_images, tmp_path / "stopped"), SHARING, 1)
    next(steps)
    assert list(memory.iterdir())
    steps.close()  # type: ignore[attr-defined]
    assert not list(memory.iterdir())
    no_trunk = patch(recipe, {"init.trunk": "frozen"})
    with pytest.raises(RaysweepError, match="--trunks"):
        next(run_trial(make_task(no_trunk, small_images, tmp_path / "failed"), SHARING, 1))
    assert not list(memory.iterdir())

    def fail(*_: object) -> None:
        raise OSError("the store is gone")

    monkeypatch.setattr(Store, "write_epochs", fail)
    with pytest.raises(OSError, match="the store is gone"):
        list(run_trial(make_task(recipe, small_images, tmp_path / "broken"), SHARING, 1))
    assert not list(memory.iterdir())


@pytest.mark.parametrize("activation", ["relu", "rrelu"])
def test_a_trial_whose_node_goes_is_broken_off_and_resumes_to_the_same_bits(
    small_recipe: Recipe, small_images: Path, tmp_path: Path, activation: str
) -> None:
    """After 2, 5 and 12 batches, twice in the first epoch and once in a later one; rrelu draws numbers."""
    recipe = patch(small_recipe, {"network.activation": activation})
    whole = make_task(recipe, small_images, tmp_path / "whole")
    list(run_trial(whole, Placement(), 1))
    broken = make_task(recipe, small_images, tmp_path / "broken")
    for attempt, batches in enumerate((2, 5, 12, 10**6), start=1):
        steps = count(1)
        rows = list(run_trial(broken, Placement(on_step=lambda: next(steps) >= batches), attempt))  # noqa: B023
        assert (not rows or rows[-1]["status"] == "running") == (attempt < 4)
    assert stored(tmp_path / "broken", broken.trial) == stored(tmp_path / "whole", whole.trial)
    assert Store.open(broken.store).epochs().num_rows == 3


def test_a_trial_that_another_process_trains_is_left_alone(
    small_recipe: Recipe, small_images: Path, tmp_path: Path
) -> None:
    task = make_task(small_recipe, small_images, tmp_path / "store")
    store = Store.open(task.store)
    first = run_trial(task, Placement(owner="first"), 1)
    next(first)
    before = store.trial(task.trial)
    with pytest.raises(ElsewhereError, match=f"process {os.getpid()}") as raised:
        next(run_trial(task, Placement(owner="second"), 1))
    assert not raised.value.lost
    record_end(task, "failed", "not a word of it", owner="second")
    assert store.trial(task.trial) == before
    first.close()  # type: ignore[attr-defined]
    assert holders(store.files) == {}
    assert [row["epoch"] for row in run_trial(task, Placement(owner="second"), 1)] == [2, 3]


def test_a_trial_that_was_taken_over_writes_nothing_more(
    small_recipe: Recipe, small_images: Path, tmp_path: Path
) -> None:
    task = make_task(small_recipe, small_images, tmp_path / "store")
    store = Store.open(task.store)
    stopped = run_trial(task, Placement(owner="stopped"), 1)
    next(stopped)
    release_all(store.files, "stopped")  # as whoever takes the trial over does first
    list(run_trial(task, Placement(), 1))
    before = store.trial(task.trial), stored(tmp_path / "store", task.trial)
    with pytest.raises(ElsewhereError) as raised:
        next(stopped)
    assert raised.value.lost
    assert (store.trial(task.trial), stored(tmp_path / "store", task.trial)) == before
