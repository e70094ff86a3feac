"""Lock files between processes, threads and on file systems that have no locks."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from raysweep.disk import locks
from raysweep.disk.locks import LockedError, locked

HOLD = """
import sys, time
from pathlib import Path
from raysweep.disk.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(100)
"""


def test_a_lock_names_its_owner_and_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(LockedError) as caught, locked(path, wait=False):
        raise AssertionError
    assert caught.value.owner.startswith(f"process {holder.pid} on ")
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with locked(path, wait=False):
        assert path.read_text().startswith(f"process {os.getpid()} on ")


def test_a_thread_waits_until_the_lock_is_released(tmp_path: Path) -> None:
    entered = threading.Event()

    def enter() -> None:
        with locked(tmp_path / "lock"):
            entered.set()

    thread = threading.Thread(target=enter)
    with locked(tmp_path / "lock"):
        thread.start()
        assert not entered.wait(0.2)
    thread.join()
    assert entered.is_set()


def test_a_lock_file_that_was_removed_is_created_again(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    with locked(path):
        shutil.rmtree(path.parent)
    with locked(path), pytest.raises(LockedError), locked(path, wait=False):
        raise AssertionError


@pytest.mark.parametrize("number", locks.WITHOUT_LOCKS)
def test_a_file_system_without_locks_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def flock(file: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.warns(UserWarning, match=str(tmp_path)), locked(tmp_path / "lock"):
        pass
    with warnings.catch_warnings():  # only once
        warnings.simplefilter("error")
        with locked(tmp_path / "lock", wait=False):
            pass


def test_a_lock_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(OSError) as caught, locked(tmp_path / "lock"):
        raise AssertionError
    assert caught.value.errno == errno.EISDIR
