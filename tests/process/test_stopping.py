"""Signals to small processes: what they print, their status, and what becomes of the processes they have started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.orchestrate import processes

START = """
import os, subprocess, sys, time
from raysweep.process import stopping
from raysweep.process.stopping import keeps, stoppable

def wait():
    print("ready", flush=True)
    while True:
        time.sleep(60)

def stubborn():
    while True:
        try:
            print("ready", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
"""
COMMAND = """
with stoppable(["raysweep", "run", "a b"]):
    keeps("all of it")
    wait()
"""
CHILDREN = """
stopping.ECHO_S, stopping.PATIENCE_S = {echo_s}, {patience_s}
early = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
with stoppable({command}):
    late = subprocess.Popen(["sh", "-c", "sleep 1000 & wait"], start_new_session=True)
    print(early.pid, late.pid, flush=True)
    stubborn()
"""


def started(script: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return processes.started([sys.executable, "-c", START + script])


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def is_running(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_with_its_status_and_what_is_kept(number: signal.Signals) -> None:
    with started(COMMAND) as process:
        assert line(process) == "ready"
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors == "stopped; all of it. To continue: raysweep run 'a b'\n"


def test_in_a_script_ctrl_c_stays_an_exception_and_sigterm_a_status() -> None:
    for number, status, words in ((signal.SIGINT, 0, "caught"), (signal.SIGTERM, 143, "")):
        script = "try:\n    with stoppable():\n        wait()\nexcept KeyboardInterrupt:\n    print('caught')"
        with started(script) as process:
            assert line(process) == "ready"
            process.send_signal(number)
            output, errors = process.communicate(timeout=60)
        assert (process.returncode, output.strip(), errors) == (status, words, "")


def test_what_is_ignored_stays_ignored() -> None:
    script = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + COMMAND
    with started(script) as process:
        assert line(process) == "ready"
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("command", "patience_s", "is_spared"), [(["raysweep"], 0.2, False), ([], 0.2, True), (["raysweep"], 1e3, False)]
)
def test_who_does_not_stop_is_killed_with_all_it_has_started(
    command: list[str], patience_s: float, is_spared: bool
) -> None:
    """After a while, or at a second signal. In a script, what ran before is not ours."""
    with started(CHILDREN.format(echo_s=0.0, patience_s=patience_s, command=command)) as process:
        early, late = map(int, line(process).split())
        try:
            assert line(process) == "ready"
            process.send_signal(signal.SIGTERM)
            if patience_s > 1:
                assert line(process) == "interrupted"
                process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 128 + signal.SIGTERM
            assert errors == "stopped\n"
            assert is_running(early) == is_spared
            assert not is_running(late)
        finally:
            for pid in filter(is_running, (early, late)):
                os.kill(pid, signal.SIGKILL)


def test_a_signal_that_comes_twice_at_once_is_one() -> None:
    """`timeout` sends it to the process and then to its group; everything is closed all the same."""
    script = COMMAND.replace("    wait()", "    try:\n        wait()\n    finally:\n        print('closed')")
    with started(script) as process:
        assert line(process) == "ready"
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert output == "closed\n"
    # The second one may come when Python has given up its handlers; a shell reports both as 143.
    assert process.returncode in (128 + signal.SIGTERM, -signal.SIGTERM)


def test_the_family_has_those_whose_parents_are_dead() -> None:
    from raysweep.process.stopping import family

    leader = subprocess.Popen(
        ["sh", "-c", "sleep 1000 >/dev/null & echo $!"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    orphan = int(line(leader))
    try:
        deadline = time.monotonic() + 60
        while is_running(leader.pid):  # its status is not asked for, so that it is still listed
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert orphan in family()
        assert leader.pid not in family()
        leader.wait()
        assert orphan not in family()
        assert orphan in family([leader.pid])
    finally:
        os.kill(orphan, signal.SIGKILL)
        leader.communicate()
