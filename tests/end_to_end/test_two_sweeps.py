"""Several processes that train into one store, in a folder and on object storage: each trial is trained by one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raysweep.store.claims import holders
from raysweep.store.store import Store
from tests.store.s3 import bucket

pytestmark = pytest.mark.long

WORDS = ("activation", "--protocol", "demo", "--variants", "elu,tanh", "--width", "0.0625")
PATIENCE_S = 180.0


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a store that does not exist yet."""
    if request.param == "folder":
        yield str(tmp_path / "store")
        return
    with bucket() as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield f"s3://bucket/{tmp_path.name}"  # all servers of a process share their buckets


class Process:
    """A `raysweep` at work, whose lines on standard error can be awaited."""

    def __init__(self, folder: Path, *words: object, module: str = "raysweep") -> None:
        self.log = folder / f"log-{time.monotonic_ns()}"
        command = [sys.executable, "-m", module, *map(str, words)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log)

    def text(self) -> str:
        return self.log.read_text()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def ends_well(self) -> None:
        assert self.process.wait(PATIENCE_S) == 0, self.text()


@pytest.fixture
def start(tmp_path: Path, small_images: Path, store: str) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def begin(epochs: int, *words: str, module: str = "raysweep", where: str = "--inline") -> Process:
        asked = (*WORDS, "--epochs", epochs, "--data", small_images, "--store", store, *where.split())
        started.append(Process(tmp_path, "run", *asked, *words, module=module))
        return started[-1]

    yield begin
    for one in started:
        one.process.kill()
        one.process.wait()


def wait_for(condition: Callable[[], bool], *processes: Process) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "\n".join(one.text() for one in processes)
        time.sleep(0.05)


def rows(store: str) -> dict[str, dict[str, object]]:
    return {row["trial"]: row for row in Store.open(store).trials().to_pylist()}


def has_an_epoch(store: str) -> bool:
    opened = Store.open_if_exists(store)
    return opened is not None and any(opened.trials(["trial", "epochs"])["epochs"].to_pylist())


def all_finished(store: str) -> bool:
    return [row["status"] for row in rows(store).values()] == ["finished"] * 3


def test_two_sweeps_at_once_train_each_trial_once(start: Callable[..., Process], store: str) -> None:
    pair = start(2), start(2)
    for one in pair:
        one.ends_well()
        assert "3 finished, 0 diverged, 0 failed" in one.text()
    assert all_finished(store)
    assert [row["attempts"] for row in rows(store).values()] == [1, 1, 1]
    assert holders(Store.open(store).files) == {}


def test_a_sweep_finishes_the_trial_of_another_that_was_killed(start: Callable[..., Process], store: str) -> None:
    killed = start(12)
    wait_for(lambda: has_an_epoch(store), killed)
    other = start(12)
    wait_for(lambda: "elsewhere" in other.text(), killed, other)
    killed.send(signal.SIGKILL)
    other.ends_well()
    assert all_finished(store)
    assert sorted(row["attempts"] for row in rows(store).values())[-1] == 2
    assert [row["epochs"] for row in rows(store).values()] == [12] * 3


def test_a_stopped_sweep_that_continues_overwrites_nothing(start: Callable[..., Process], store: str) -> None:
    stopped = start(12, module="tests.end_to_end.short_claims")
    wait_for(lambda: has_an_epoch(store), stopped)
    stopped.send(signal.SIGSTOP)
    other = start(12)
    other.ends_well()
    before = rows(store)
    assert all_finished(store)
    stopped.send(signal.SIGCONT)
    stopped.ends_well()
    assert "elsewhere" in stopped.text()
    assert rows(store) == before


@pytest.mark.parametrize("store", ["folder"], indirect=True)
def test_a_sweep_on_ray_waits_for_a_trial_of_another(start: Callable[..., Process], store: str) -> None:
    first = start(4)
    wait_for(lambda: has_an_epoch(store), first)
    first.send(signal.SIGSTOP)  # it keeps its claim for minutes
    on_ray = start(4, where="--workers 1")
    wait_for(lambda: "elsewhere" in on_ray.text() and "[2/3]" in on_ray.text(), on_ray)
    first.send(signal.SIGCONT)
    for one in (on_ray, first):
        one.ends_well()
        assert "3 finished, 0 diverged, 0 failed" in one.text()
    assert [row["attempts"] for row in rows(store).values()] == [1, 1, 1]
