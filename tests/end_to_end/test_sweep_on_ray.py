"""Whole sweeps through the command line: on Ray, killed, and continued."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from raysweep.store.store import Store
from tests.verbs.test_cli import SMALL, good, raysweep

EXACT = ("trial", "status", "top1", "logloss", "best_top1", "epochs")


def exact(store: Path) -> list[tuple[Any, ...]]:
    rows = json.loads(good("results", "activation", "--store", store, "--json"))
    return [tuple(row[key] for key in EXACT) for row in rows]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, small_images: Path) -> Path:
    """The same study without Ray."""
    store = tmp_path_factory.mktemp("undisturbed") / "results"
    good("run", "activation", *SMALL, "--data", small_images, "--store", store, "--inline")
    return store


def test_a_sweep_on_ray_gives_the_numbers_of_one_without(small_images: Path, undisturbed: Path, tmp_path: Path) -> None:
    words = ("run", "activation", *SMALL, "--data", small_images, "--store", tmp_path / "s", "--workers", "2")
    done = raysweep(*words, "--log-to", f"tensorboard:{tmp_path}/tb")
    assert done.returncode == 0, done.stderr
    logged = (path.parent.relative_to(tmp_path / "tb").parts for path in (tmp_path / "tb").rglob("events.out.*"))
    assert sorted(parts[:2] for parts in logged) == [("activation", name) for name in ("elu", "relu", "tanh")]
    assert "3 finished, 0 diverged, 0 failed" in done.stderr
    assert exact(tmp_path / "s") == exact(undisturbed)


@pytest.mark.long
def test_more_gpus_than_there_are(small_images: Path, tmp_path: Path) -> None:
    done = raysweep("run", "activation", *SMALL, "--data", small_images, "--store", tmp_path / "s", "--gpus", "64")
    assert done.returncode == 2
    assert "64 GPUs" in done.stderr
    assert "0 GPUs" in done.stderr


def wait_for(store: Path, epochs: int, process: subprocess.Popen[bytes]) -> None:
    """Until so many epochs are in the store, or the process has ended."""
    deadline = time.monotonic() + 180
    while process.poll() is None and time.monotonic() < deadline:
        if (store / "store.json").exists() and Store.open(str(store)).epochs().num_rows >= epochs:
            return
        time.sleep(0.1)


@pytest.mark.long
def test_a_driver_killed_twice_loses_no_epoch(small_images: Path, tmp_path: Path) -> None:
    """kill -9 of the driver and all it started; the third run completes with the numbers of an undisturbed one."""
    longer = ("--protocol", "demo", "--width", "0.0625", "--epochs", "60", "--variants", "elu,tanh")
    words = ["run", "activation", *longer, "--data", str(small_images)]
    good(*words, "--store", tmp_path / "whole", "--inline")
    command = [sys.executable, "-m", "raysweep", *words, "--store", str(tmp_path / "s"), "--workers", "2"]
    for epochs in (10, 60):
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        wait_for(tmp_path / "s", epochs, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(3)  # Ray's own processes notice that their driver is gone
    rows = Store.open(str(tmp_path / "s")).trials().to_pylist()
    assert any(row["status"] == "running" and row["epochs"] for row in rows)
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert exact(tmp_path / "s") == exact(tmp_path / "whole")


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("source", "protocol", "settings"),
    [
        ("cifar10.parquet", "cifar10", ("--train-fraction", "0.2", "--epochs", "3")),
        ("imagenette144.parquet", "imagenette128", ("--epochs", "4")),
    ],
)
def test_the_study_learns_on_real_images(
    source: str, protocol: str, settings: tuple[str, ...], real_images: Path, tmp_path: Path
) -> None:
    good("data", "write", real_images / source, tmp_path / "data")
    words = ("activation", "--protocol", protocol, "--data", tmp_path / "data", "--store", tmp_path / "s", *settings)
    good("run", *words, "--width", "0.25", "--variants", "elu", timeout=1000)
    store = Store.open(str(tmp_path / "s"))
    for row in store.trials().to_pylist():
        losses = [epoch["train_loss"] for epoch in store.epochs([row["trial"]]).to_pylist()]
        assert row["status"] == "finished"
        assert losses[-1] < losses[0]
        assert row["top1"] > 0.25  # chance is 0.1
    page = Path(good("report", "activation", "--store", tmp_path / "s", "--out", tmp_path / "report").strip())
    assert protocol in page.read_text()


def test_a_study_on_another_network_leaves_out_what_means_nothing_there(small_images: Path, tmp_path: Path) -> None:
    words = ("conv1_depth", "--network", "vgg11", "--protocol", "demo", "--width", "0.0625", "--epochs", "1")
    done = raysweep("run", *words, "--variants", "nin1", "--data", small_images, "--store", tmp_path / "s", "--inline")
    assert done.returncode == 0, done.stderr
    assert re.search(r"conv1_depth/nin1.*vgg11.*network\.stem_layers", done.stderr)
    assert "1 finished, 0 diverged, 0 failed" in done.stderr
