"""Signals to a sweep with a Ray of its own: it ends, leaves no process, and can be continued."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.orchestrate.processes import find_descendants, started

MAX_END_S = 60.0
"""A bound for a loaded machine; an idle one takes two or three seconds."""


def driver(folder: Path, *trials: str) -> AbstractContextManager[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.orchestrate.driver", str(folder), *trials]
    return started(command, env=os.environ | {"RAY_AUTH_MODE": "disabled"}, start_new_session=True)


def wait_for_epoch(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch"):
            return
    pytest.fail("the sweep ended without an epoch")


def to_the_driver(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)


def to_its_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """As `timeout` does: to the process, and once more to its group."""
    process.send_signal(number)
    os.killpg(process.pid, number)


def to_everything(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """As Slurm and systemd do, to every process of a control group."""
    for pid in (process.pid, *find_descendants(process.pid)):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def interrupt(
    process: subprocess.Popen[str],
    number: signal.Signals,
    send: Callable[[subprocess.Popen[str], signal.Signals], None] = to_the_driver,
    *,
    again: bool = False,
    patience_s: float = 30.0,
) -> set[int]:
    """Send a signal, or the same one until the process ends; returns the processes that it leaves behind."""
    family = find_descendants(process.pid)
    assert len(family) > 5
    send(process, number)
    while again and process.poll() is None:
        time.sleep(0.1)
        process.send_signal(number)
    process.wait(timeout=MAX_END_S)
    return survivors(family, patience_s)


def survivors(family: set[int], patience_s: float) -> set[int]:
    deadline = time.monotonic() + patience_s
    while (alive := {pid for pid in family if Path(f"/proc/{pid}").exists()}) and time.monotonic() < deadline:
        time.sleep(0.1)
    return alive


def assert_it_stops(process: subprocess.Popen[str], folder: Path, number: signal.Signals, send: Any) -> None:
    wait_for_epoch(process)
    assert interrupt(process, number, send) == set()
    assert process.stderr is not None
    errors = process.stderr.read()
    assert process.returncode == 128 + number, errors
    assert errors.strip() == "stopped"
    assert (folder / "a").read_text() == "1"


def test_sigterm_to_the_group_ends_the_sweep_and_leaves_no_process(tmp_path: Path) -> None:
    with driver(tmp_path, "a") as process:
        assert_it_stops(process, tmp_path, signal.SIGTERM, to_its_group)


@pytest.mark.long
def test_the_run_after_an_interrupted_one_completes(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("1")
    with driver(tmp_path, "a", "b") as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "Outcome(finished=('a', 'b')" in output


@pytest.mark.long
@pytest.mark.parametrize(("number", "send"), [(signal.SIGINT, to_the_driver), (signal.SIGHUP, to_its_group)])
def test_every_signal_ends_the_sweep_whoever_else_gets_it(tmp_path: Path, number: signal.Signals, send: Any) -> None:
    """A `ray submit` whose connection breaks leaves a driver whose terminal is gone: SIGHUP."""
    with driver(tmp_path, "a") as process:
        assert_it_stops(process, tmp_path, number, send)


@pytest.mark.long
def test_sigterm_to_ray_too_ends_the_sweep_and_leaves_no_process(tmp_path: Path) -> None:
    """Ray's library may end the driver with a status of its own, before the driver does, when its raylet has gone."""
    with driver(tmp_path, "a") as process:
        wait_for_epoch(process)
        assert interrupt(process, signal.SIGTERM, to_everything) == set()
        assert process.returncode in (128 + signal.SIGTERM, 1)
    assert (tmp_path / "a").read_text() == "1"


@pytest.mark.long
@pytest.mark.parametrize(("number", "again"), [(signal.SIGINT, True), (signal.SIGKILL, False)])
def test_a_hard_end_leaves_no_process_for_long(tmp_path: Path, number: signal.Signals, again: bool) -> None:
    with driver(tmp_path, "a") as process:
        wait_for_epoch(process)
        # Two of Ray's agents stay until a call of theirs times out, a minute later.
        assert interrupt(process, number, again=again, patience_s=90.0) == set()
        assert process.returncode != 0
