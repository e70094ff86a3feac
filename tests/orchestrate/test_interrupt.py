"""Signals to a sweep with a Ray of its own: it ends within seconds, leaves no process, and can be continued."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.orchestrate.processes import find_descendants

MAX_END_S = 20.0
"""Seconds, on a loaded machine; two or three on an idle one."""


@contextmanager
def driver(folder: Path, *trials: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.orchestrate.driver", str(folder), *trials]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"RAY_AUTH_MODE": "disabled"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_epoch(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch"):
            return
    pytest.fail("the sweep ended without an epoch")


def interrupt(process: subprocess.Popen[str], *signals: signal.Signals, patience_s: float = 5.0) -> set[int]:
    """Send signals, wait for the end, and return what the process has left behind after a while."""
    family = find_descendants(process.pid)
    assert len(family) > 5
    for number in signals:
        process.send_signal(number)
        time.sleep(1.2)  # Python sees a signal once Ray looks up from its own wait, which it does every second
    process.wait(timeout=MAX_END_S)
    return survivors(family, patience_s)


def survivors(family: set[int], patience_s: float) -> set[int]:
    deadline = time.monotonic() + patience_s
    while (alive := {pid for pid in family if Path(f"/proc/{pid}").exists()}) and time.monotonic() < deadline:
        time.sleep(0.1)
    return alive


def test_ctrl_c_ends_the_sweep_and_leaves_no_process(tmp_path: Path) -> None:
    with driver(tmp_path, "a") as process:
        wait_for_epoch(process)
        assert interrupt(process, signal.SIGINT) == set()
        assert process.returncode != 0
    assert (tmp_path / "a").read_text() == "1"


@pytest.mark.long
def test_the_run_after_an_interrupted_one_completes(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("1")
    with driver(tmp_path, "a", "b") as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "Outcome(finished=('a', 'b')" in output


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_a_lost_terminal_are_as_good_as_ctrl_c(tmp_path: Path, number: signal.Signals) -> None:
    """A `ray submit` whose connection breaks leaves a driver whose terminal is gone: SIGHUP."""
    with driver(tmp_path, "a") as process:
        wait_for_epoch(process)
        assert interrupt(process, number) == set()
        assert process.stderr is not None
        assert process.returncode == 128 + number, process.stderr.read()
    assert (tmp_path / "a").read_text() == "1"


@pytest.mark.long
@pytest.mark.parametrize("signals", [(signal.SIGINT, signal.SIGINT), (signal.SIGKILL,)])
def test_a_hard_end_leaves_no_process_for_long(tmp_path: Path, signals: tuple[signal.Signals, ...]) -> None:
    with driver(tmp_path, "a") as process:
        wait_for_epoch(process)
        # Two agents of Ray's stay until a call of theirs times out, a minute later.
        assert interrupt(process, *signals, patience_s=90.0) == set()
        assert process.returncode != 0
