"""How a process ends when a signal asks it to: Ctrl-C, SIGTERM, or a terminal that closes. Standard library only.

The first signal becomes a KeyboardInterrupt in the main thread, so that everything is closed in order. If that takes
longer than `PATIENCE_S`, or at a second signal, the process kills the processes that it has started and exits.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

PATIENCE_S = 7.0
"""Who sends SIGTERM often sends SIGKILL ten seconds later."""
ECHO_S = 0.5
"""A signal this soon after the first is the same one: `timeout` and a closing terminal send it to the process and again
to its group."""
KILL_S = 2.0


class _Listener:
    """The signal handlers of this process, and a thread that also works while the main thread does not run Python."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = command
        self.received = 0
        """The first signal; 0 before it."""
        self.words = "stopped"
        self.spared = frozenset() if command else frozenset(family())
        ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # under `nohup` it stays ignored
        self.numbers = (signal.SIGINT, signal.SIGTERM, *(() if ignored else (signal.SIGHUP,)))
        self.before: dict[int, Any] = {number: signal.getsignal(number) for number in self.numbers}
        self.ours, self.pythons = socket.socketpair()
        self.pythons.setblocking(False)

    def open(self) -> None:
        self.arm()
        self.wakeup_before = signal.set_wakeup_fd(self.pythons.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, daemon=True, name="signals").start()

    def arm(self) -> None:
        for number in self.numbers:
            signal.signal(number, self._interrupt)

    def close(self) -> None:
        signal.set_wakeup_fd(self.wakeup_before)
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.pythons.close()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if not self.received:
            self.received = number
            raise KeyboardInterrupt

    def _watch(self) -> None:
        """Count the signals that Python's own handler in C passes on, and end the process where that is needed."""
        with self.ours:
            if not (first := self._next(None)):
                return
            began = time.monotonic()
            is_limited = bool(self.command) or first != signal.SIGINT  # a slow Ctrl-C must not end a notebook
            while number := self._next(PATIENCE_S - (time.monotonic() - began) if is_limited else None):
                if number < 0 or time.monotonic() - began > ECHO_S:
                    self._end(first)

    def _next(self, patience_s: float | None) -> int:
        """The next of our signals; -1 after the time, 0 when the listener is closed."""
        if patience_s is not None and patience_s <= 0:
            return -1
        self.ours.settimeout(patience_s)
        try:
            content = self.ours.recv(1)
        except TimeoutError:
            return -1
        return content[0] if content else 0

    def _end(self, number: int) -> NoReturn:
        with suppress(OSError):
            os.write(2, f"{self.words}\n".encode())
        deadline = time.monotonic() + KILL_S
        while (ours := family() - self.spared) and time.monotonic() < deadline:
            for process in ours:
                with suppress(OSError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.02)
        os._exit(128 + number)


_listener: _Listener | None = None


def _forget_in_child() -> None:
    if _listener:
        signal.set_wakeup_fd(-1)  # a signal to the child is none to this process


os.register_at_fork(after_in_child=_forget_in_child)


@contextmanager
def stoppable(command: Sequence[str] = ()) -> Iterator[None]:
    """Let signals end the block in order, or after a while by force. A block within another one changes nothing.

    `command` is the command line of a process that is there for the block only: Ctrl-C then ends it too.

    Raises:
        KeyboardInterrupt: Ctrl-C, in a process that is there for more than the block.
        SystemExit: any other signal; the status is 128 + signal.
    """
    global _listener
    if _listener or threading.current_thread() is not threading.main_thread():
        yield
        return
    _listener = listener = _Listener(command)
    listener.open()
    try:
        yield
    except BaseException:
        if not listener.received:
            raise
        # Not what was raised: in one of Ray's own waits, Ray changes the status to 1.
        if listener.received == signal.SIGINT and not command:
            raise KeyboardInterrupt from None
        if command:
            _print(listener.words)
        raise SystemExit(128 + listener.received) from None
    finally:
        _listener = None
        listener.close()


def rearm() -> None:
    """Install the handlers again after a library has put its own in their place, as `ray.init` does."""
    if _listener and threading.current_thread() is threading.main_thread():
        _listener.arm()


def is_stopping() -> bool:
    """Whether a signal has come: errors are then its consequences."""
    return bool(_listener and _listener.received)


def keeps(what: str) -> None:
    """Set what the command prints after "stopped" if a signal ends it: what is kept, and how to continue."""
    if _listener:
        _listener.words = f"stopped; {what}. To continue: {shlex.join(_listener.command)}"


def _print(line: str) -> None:
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def family() -> set[int]:
    """The ids of the running processes that this one has started, those that they have started, and so on.

    A process that a dead one has started is found by its session, if that was made by one of the family.
    """
    members = {os.getpid()}
    processes = dict(_processes())
    while more := {pid for pid, (*over, _) in processes.items() if not members.isdisjoint(over)} - members:
        members |= more
    return {pid for pid in members if pid in processes and not processes[pid][-1]} - {os.getpid()}


def _processes() -> Iterator[tuple[int, tuple[int, int, bool]]]:
    """Yield each process with its parent, its session, and whether it has ended but not been waited for."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):  # it has just ended
            # The name in brackets may hold anything; state, parent, group and session come after it.
            state, parent, _, session = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:4]
            yield int(folder.name), (int(parent), int(session), state in "ZX")
