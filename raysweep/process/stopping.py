"""How a process ends when a signal asks it to: Ctrl-C, SIGTERM, or a terminal that closes. Standard library only.

The first signal becomes a KeyboardInterrupt in the main thread, so that everything is closed in order. If that takes
longer than `PATIENCE_S`, or at a second signal, the process kills the processes that it has started and exits.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from raysweep.addresses import redacted
from raysweep.process.alive import PROC, stat_fields
from raysweep.safe import command

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S = 6.0
"""Who sends SIGTERM often sends SIGKILL ten seconds later."""
ECHO_S = 0.5
"""A signal this soon after the first is the same one: `timeout` and a closing terminal send it to the process and again
to its group."""
KILL_S = 2.0


class _Listener:
    """The signal handlers of this process, and a thread that also works while the main thread does not run Python."""

    def __init__(self, words: Sequence[str]) -> None:
        self.command = words
        self.received = 0
        """The first signal; 0 before it."""
        self.words = "stopped\n"
        self.spared = frozenset() if words else frozenset(family())
        handlers: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}
        # What is ignored stays ignored, as SIGHUP is under `nohup`.
        self.before = {number: handler for number, handler in handlers.items() if handler != signal.SIG_IGN}
        self.ours, self.pythons = socket.socketpair()
        self.pythons.setblocking(False)

    def open(self) -> None:
        self.arm()
        self.wakeup_before = signal.set_wakeup_fd(self.pythons.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, daemon=True, name="signals").start()

    def arm(self) -> None:
        for number in self.before:
            signal.signal(number, self._interrupt)

    def close(self) -> None:
        signal.set_wakeup_fd(self.wakeup_before)
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.pythons.close()

    def say(self) -> None:
        """Print what is kept, once, without a lock that another thread may hold."""
        words, self.words = self.words, ""
        with suppress(OSError):
            os.write(2, words.encode(errors="backslashreplace"))

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if not self.received:
            self.received = number
            raise KeyboardInterrupt

    def _watch(self) -> None:
        """Count the signals that Python's own handler in C passes on, and end the process where that is needed."""
        with self.ours:
            if not (first := self._next(None)):
                return
            began, known = time.monotonic(), family()
            is_limited = bool(self.command) or first != signal.SIGINT  # a slow Ctrl-C must not end a notebook
            while number := self._next(PATIENCE_S - (time.monotonic() - began) if is_limited else None):
                if number < 0 or time.monotonic() - began > ECHO_S:
                    self.say()
                    end(128 + first, known)

    def _next(self, patience_s: float | None) -> int:
        """The next of our signals; -1 after the time, 0 when the listener is closed."""
        self.ours.settimeout(None if patience_s is None else max(patience_s, 0.0))
        try:
            content = self.ours.recv(1)
        except (TimeoutError, BlockingIOError):
            return -1
        return content[0] if content else 0


_listener: _Listener | None = None


def _forget_in_child() -> None:
    if _listener:
        signal.set_wakeup_fd(-1)  # a signal to the child is none to this process


os.register_at_fork(after_in_child=_forget_in_child)


@contextmanager
def stoppable(words: Sequence[str] = ()) -> Iterator[None]:
    """Let signals end the block in order, or after a while by force. A block within another one changes nothing.

    `words` is the command line of a process that is there for the block only: Ctrl-C then ends it too.

    Raises:
        KeyboardInterrupt: Ctrl-C, in a process that is there for more than the block.
        SystemExit: any other signal; the status is 128 + signal.
    """
    global _listener
    if _listener or threading.current_thread() is not threading.main_thread():
        yield
        return
    _listener = listener = _Listener(words)
    listener.open()
    try:
        yield
    except BaseException:
        if not listener.received:
            raise
        # Not what was raised: in one of Ray's own waits, Ray changes the status to 1.
        if words:
            listener.say()
        elif listener.received == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise SystemExit(128 + listener.received) from None
    finally:
        _listener = None
        if not (words and listener.received):  # else it watches until the process has ended
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
        _listener.words = f"stopped; {what}. To continue: {redacted(command(*_listener.command))}\n"


def owns_process() -> bool:
    """Whether the process is there for the command only."""
    return bool(_listener and _listener.command)


def end(status: int, ancestors: Iterable[int] = ()) -> NoReturn:
    """Kill all that this process, or others in its place, have started, and exit without closing anything."""
    deadline = time.monotonic() + KILL_S
    spared = _listener.spared if _listener else frozenset()
    while ours := family(ancestors) - spared:
        for process in ours:
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    os._exit(status)


def family(ancestors: Iterable[int] = ()) -> set[int]:
    """The ids of the running processes that this one or the ancestors have started, those that these have started, ...

    A process whose parent is dead is found by its session, if one of the family has begun that.
    """
    members = {os.getpid(), *ancestors}
    processes = dict(_processes())
    while more := {pid for pid, (*over, _) in processes.items() if not members.isdisjoint(over)} - members:
        members |= more
    return {pid for pid in members if pid in processes and not processes[pid][-1]} - {os.getpid()}


def _processes() -> Iterator[tuple[int, tuple[int, int, bool]]]:
    """Yield each process with its parent, its session, and whether it has ended but not been waited for."""
    for folder in PROC.glob("[0-9]*"):
        if len(fields := stat_fields(int(folder.name))) > 3:  # else it has just ended
            state, parent, _, session = fields[:4]
            yield int(folder.name), (int(parent), int(session), state in "ZX")
