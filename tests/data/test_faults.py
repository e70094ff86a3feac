"""Image sets that are damaged, of another version or exchanged during a sweep: only the affected trials fail."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from raysweep.data import in_memory
from raysweep.data.beton import HEADER, read_beton
from raysweep.data.fit import bind_data
from raysweep.data.manifest import FILE_NAME, Manifest
from raysweep.data.randomness import subset
from raysweep.errors import RaysweepError
from raysweep.identity import trial_id
from raysweep.orchestrate.events import Event
from raysweep.orchestrate.inline import run_inline
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.store.store import Store
from raysweep.train.run_trial import run_trial
from raysweep.train.task import Placement, TrialTask

Stored = dict[str, tuple[Path, Manifest]]
BAD = 17


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def damaged(stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Manifest]:
    """A JPEG set that is too large for memory, with one training image overwritten."""
    monkeypatch.setattr(in_memory, "LARGEST", 0)
    folder, manifest = stored["jpg"]
    shutil.copytree(folder, tmp_path / "damaged")
    path = tmp_path / "damaged" / manifest.splits["train"].file
    content, start = bytearray(path.read_bytes()), int(read_beton(path).starts[BAD])
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    return tmp_path / "damaged", manifest


def task_of(recipe: Recipe, data: Path, store: Path) -> TrialTask:
    Store.open(str(store), create=True)
    return TrialTask(trial_id(recipe), recipe, str(data), str(store), "demo")


def test_a_damaged_image_fails_the_trial_that_reads_it_and_no_other(
    damaged: tuple[Path, Manifest], small_recipe: Recipe, tmp_path: Path
) -> None:
    folder, manifest = damaged
    whole = bind_data(patch(small_recipe, {"data.short_side": 40, "training.epochs": 1.0}), manifest)
    labels = read_beton(folder / "train.beton").labels
    seed = next(seed for seed in range(9) if BAD not in subset(labels, 0.3, seed))
    tasks = [
        task_of(recipe, folder, tmp_path / "store")
        for recipe in (whole, patch(whole, {"data.train_fraction": 0.3, "seed": seed}))
    ]
    events: list[Event] = []
    outcome = run_inline(tasks, events.append)
    assert (outcome.failed, outcome.finished) == ((tasks[0].trial,), (tasks[1].trial,))
    (failure,) = (event for event in events if event.kind == "failed")
    assert f"image {BAD} " in failure.text
    row = Store.open(tasks[0].store).trial(tasks[0].trial)
    assert row is not None
    assert row["status"] == "failed"
    assert re.search(rf"train\.beton.*image {BAD} .*raysweep data check", row["error"])


@pytest.mark.parametrize("version", [0, 1, 3])
def test_files_of_other_ffcv_versions_are_refused(stored: Stored, tmp_path: Path, version: int) -> None:
    content = bytearray((stored["jpg"][0] / "train.beton").read_bytes())
    header = np.frombuffer(content, HEADER, 1)
    header["version"] = version
    (tmp_path / "x.beton").write_bytes(content)
    with pytest.raises(RaysweepError, match=rf"x\.beton.*version {version}\b.*raysweep data write"):
        read_beton(tmp_path / "x.beton")


@pytest.mark.parametrize("bound", [True, False])
def test_a_trial_does_not_continue_on_other_images_than_it_began_with(
    stored: Stored, small_recipe: Recipe, tmp_path: Path, bound: bool
) -> None:
    """Also if the recipe has no digest of its images, as one written by hand may."""
    folder, first = stored["raw"]
    shutil.copytree(folder, tmp_path / "images")
    recipe = bind_data(patch(small_recipe, {"data.short_side": 40}), first)
    task = task_of(recipe if bound else patch(recipe, {"data.digest": ""}), tmp_path / "images", tmp_path / "store")
    rows = run_trial(task, Placement(), 1)
    next(rows)
    rows.close()  # type: ignore[attr-defined]
    file = tmp_path / "images" / FILE_NAME
    text = file.read_text()
    file.write_text(json.dumps(json.loads(text) | {"digest": "0" * 12}))
    with pytest.raises(RaysweepError, match=rf"{first.digest}.*{'0' * 12}"):
        next(run_trial(task, Placement(), 2))
    file.write_text(text)
    assert next(run_trial(task, Placement(), 3))["epoch"] == 2
