from __future__ import annotations

import subprocess
import sys

from raysweep.process.alive import has_ended, this_process

TELL = "from raysweep.process.alive import this_process; print(this_process(), flush=True); input()"


def test_a_process_has_ended_only_when_it_is_gone() -> None:
    """A zombie is gone: it is not reaped before the last line."""
    child = subprocess.Popen([sys.executable, "-c", TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout
    identity = child.stdout.readline().strip()
    assert not has_ended(identity)
    assert not has_ended(this_process())
    child.kill()
    while not has_ended(identity):
        assert child.poll() != 0
    child.communicate()
    assert has_ended(identity)


def test_another_process_with_the_same_id_is_another_one() -> None:
    machine, pid, start = this_process().split()
    assert has_ended(f"{machine} {pid} {int(start) + 1}")


def test_nothing_is_known_of_processes_elsewhere() -> None:
    _, pid, start = this_process().split()
    for foreign in ("", "x", f"another-boot/pid:[1] {pid} {start}", f"{this_process().split()[0]} x 1"):
        assert not has_ended(foreign)
