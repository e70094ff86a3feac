"""The same trial gives the same bits however it is trained on a CPU: real training, compared bit by bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.store.store import Store
from tests.end_to_end.test_sweep_on_ray import wait_for
from tests.verbs.test_cli import good

STUDY = ("activation", "--protocol", "demo", "--width", "0.0625", "--epochs", "30", "--variants", "elu,rrelu")
"""RReLU draws its slopes at random, and every network drops out at random."""
NUMBERS = ("trial", "epoch", "train_loss", "top1", "logloss")

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def bits(store: Path, trial: str | None = None) -> list[tuple[str, ...]]:
    """The numbers of every epoch, floats in hexadecimal."""
    rows = Store.open(str(store)).epochs([trial] if trial else None).select(NUMBERS).to_pylist()
    return [tuple(value.hex() if isinstance(value, float) else str(value) for value in row.values()) for row in rows]


@pytest.fixture(scope="module")
def inline(tmp_path_factory: pytest.TempPathFactory, small_images: Path) -> Path:
    """All trials one after another in one process."""
    store = tmp_path_factory.mktemp("inline") / "s"
    good("run", *STUDY, "--data", small_images, "--store", store, "--inline")
    assert len(bits(store)) == 3 * 30
    return store


def test_separately(inline: Path, small_images: Path, tmp_path: Path) -> None:
    for trial in Store.open(str(inline)).trials(["trial"])["trial"].to_pylist():
        good("trial", trial, "--store", inline, "--data", small_images, "--into", tmp_path / "s")
    assert bits(tmp_path / "s") == bits(inline)


@pytest.mark.parametrize("sharing", ["--share-images", "--no-share-images"])
def test_in_gangs_on_ray_among_others(sharing: str, inline: Path, small_images: Path, tmp_path: Path) -> None:
    good("run", *STUDY, "--data", small_images, "--store", tmp_path / "s", "--workers", "2", sharing, timeout=800)
    assert bits(tmp_path / "s") == bits(inline)


def test_resumed_after_kills(inline: Path, small_images: Path, tmp_path: Path) -> None:
    words = ["run", *STUDY, "--data", str(small_images), "--store", str(tmp_path / "s"), "--inline"]
    command = [sys.executable, "-m", "raysweep", *words]
    kills = 0
    for epochs in (7, 40, 64):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_for(tmp_path / "s", epochs, process)
        os.kill(process.pid, signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills == 3
    good(*words)
    assert bits(tmp_path / "s") == bits(inline)


def test_with_only_deterministic_algorithms(inline: Path, small_images: Path, tmp_path: Path) -> None:
    """They are all there are on a CPU; on a GPU this flag is what makes the bits equal."""
    good("run", *STUDY, "--data", small_images, "--store", tmp_path / "s", "--inline", "--deterministic")
    assert bits(tmp_path / "s") == bits(inline)
    for store, flag in ((inline, False), (tmp_path / "s", True)):
        assert set(Store.open(str(store)).trials(["trial", "deterministic"])["deterministic"].to_pylist()) == {flag}


def test_with_two_threads_twice(small_images: Path, tmp_path: Path) -> None:
    """Equal among themselves; whether they equal those of one thread is up to torch, see docs/scale.md."""
    for name in ("a", "b"):
        good(
            "run", *STUDY, "--data", small_images, "--store", tmp_path / name, "--inline", "--threads", "2", timeout=800
        )
    assert bits(tmp_path / "a") == bits(tmp_path / "b")
