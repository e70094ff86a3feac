"""Trials whose images lie on the device train to the same bits as those that read them from the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from raysweep.data import shared_stream
from raysweep.data.manifest import read_manifest
from raysweep.data.on_device import DeviceStream
from raysweep.data.shared_stream import SharedStream
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.train import feed
from raysweep.train.feed import Inputs
from raysweep.train.loop import Trial, epochs, prepare
from raysweep.train.task import Placement

TIMES = {"wall_s", "train_s", "test_s", "data_wait_s", "images_per_s", "peak_memory_gib"}


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the device were an accelerator with room."""
    monkeypatch.setattr(feed, "free_bytes", lambda device: 1 << 30)
    yield
    feed._resident.clear()


def begin(recipe: Recipe, folder: Path) -> Trial:
    return prepare(recipe, folder, read_manifest(folder), Placement())


def rows(trial: Trial) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in TIMES} for row in epochs(trial)]


@pytest.mark.parametrize("changes", [{}, {"data.preprocess": "lab", "data.pad": 2, "data.train_fraction": 0.5}])
def test_resident_images_train_the_same_network(
    small_recipe: Recipe, small_images: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = patch(small_recipe, {"training.epochs": 2.0} | changes)
    before = begin(recipe, small_images)
    assert not isinstance(before.feed.train, DeviceStream)
    expected = rows(before)
    monkeypatch.setattr(feed, "free_bytes", lambda device: 1 << 30)
    resident = begin(recipe, small_images)
    assert isinstance(resident.feed.train, DeviceStream)
    assert isinstance(resident.feed.test, DeviceStream)
    assert rows(resident) == expected
    weights = zip(before.network.parameters(), resident.network.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in weights)
    feed._resident.clear()


@pytest.mark.usefixtures("roomy")
def test_images_are_put_on_the_device_once_for_the_trials_of_a_process(
    small_recipe: Recipe, small_images: Path, other_images: Path
) -> None:
    first, second = (begin(patch(small_recipe, {"seed": seed}), small_images) for seed in (1, 2))
    assert isinstance(first.feed.train, DeviceStream)
    assert isinstance(second.feed.train, DeviceStream)
    assert first.feed.train.images is second.feed.train.images
    # Those of another set take their place, and do not lie beside them.
    other = patch(small_recipe, {"data.digest": "", "data.train_images": 200})
    begin(other, other_images)
    assert len(feed._resident) == 2
    assert {key[0].parent for key in feed._resident} == {other_images.resolve()}  # type: ignore[index]


class Recorder:
    """Stands for a CUDA stream: what is asked of it, in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def synchronize(self) -> None:
        self.asked.append("synchronize")

    def query(self) -> bool:
        return False


def test_batches_for_a_gpu_are_pinned_copied_waited_for_and_kept(
    small_recipe: Recipe, small_images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of the calls alone; there may be no GPU here."""
    trial, copies = begin(small_recipe, small_images), Recorder()
    trial.feed.copies = copies
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext(stream.asked.append("stream")))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: copies)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda part: copies.asked.append("pin") or part)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda part, stream: stream.asked.append("keep"))
    for make, expected in (
        (lambda: trial.feed.train_batch(3, slice(4, 9)), trial.train.batch(3, rows=slice(4, 9))),
        (lambda: trial.feed.test_batch(1), trial.test.batch(1)),
    ):
        made = make()
        assert copies.asked == ["stream", "pin", "pin", "synchronize"]
        taken = trial.feed.take(made)
        assert copies.asked[4:] == ["keep", "keep"]
        assert torch.equal(torch.as_tensor(taken.images), torch.from_numpy(expected.images))
        assert torch.equal(trial.labels(taken), trial.labels(expected))
        copies.asked.clear()
    assert trial.feed.is_busy()


@pytest.mark.usefixtures("roomy")
def test_what_the_device_cannot_cut_is_cut_on_the_host(small_recipe: Recipe, small_images: Path) -> None:
    for changes in ({"data.rotation": 3.0}, {"data.preprocess": "histeq"}):
        assert not isinstance(begin(patch(small_recipe, changes), small_images).feed.train, DeviceStream)


def test_images_that_leave_too_little_room_stay_on_the_host(
    small_recipe: Recipe, small_images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (300 + 100) * 36 * 36 * 3 + 2 * 3
    for free, resident in ((2 * size - 1, False), (2 * size, True)):
        monkeypatch.setattr(feed, "free_bytes", lambda device, free=free: free)
        assert isinstance(begin(small_recipe, small_images).feed.train, DeviceStream) is resident
    feed._resident.clear()


@pytest.mark.parametrize("share_images", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_inputs_on_the_cpu_are_what_torchs_operators_make_of_the_batch(
    small_recipe: Recipe,
    small_images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
    share_images: bool,
) -> None:
    monkeypatch.setattr(shared_stream, "MEMORY", tmp_path)
    # Stored pixels that are not resized are not worth sharing.
    recipe = patch(small_recipe, {"data.scales": (1.0, 0.9), "data.preprocess": "hsv"})
    place = Placement(threads=threads, share_images=share_images)
    with closing(prepare(recipe, small_images, read_manifest(small_images), place)) as trial:
        assert isinstance(trial.feed.train, SharedStream) is share_images
        for made, batch in (
            (trial.feed.train_batch(9, slice(3, 30)), trial.train.batch(9, rows=slice(3, 30))),
            (trial.feed.test_batch(3), trial.test.batch(3)),
        ):
            assert isinstance(made, Inputs)
            assert torch.equal(trial.inputs(made), trial.inputs(batch))
            assert torch.equal(trial.labels(made), trial.labels(batch))
