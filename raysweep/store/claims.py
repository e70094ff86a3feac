"""Claims: the process that trains a trial claims it in the store, so that no other process trains it too.

    claims/TRIAL.OWNER.ATTEMPT.NONCE.json   who holds it, and since when; it is written again with each renewal

A claim is made with plain writes and listings, so it works on every store: a folder, S3, GCS.

1. To claim a trial, a process writes a file of its own and then lists the folder. If it finds no other live claim, it
   holds the trial. Of two processes that claim a trial at the same time, at least one finds the other's file, because a
   listing shows every file whose writing has ended. The one whose file sorts first waits for the others to withdraw.
2. The holder renews its file every `RENEW_S`, and deletes it at the end.
3. A claim that was not renewed for `EXPIRY_S` has expired. The age of a file is the difference of two times that the
   store has set; a machine's own clock, which may be wrong, can only make it look later. The claim of a process that
   has ended on the same machine has expired at once. Whoever claims the trial next deletes the expired file.
4. Before it writes a result, the holder checks that its file is still there. If it could not renew the file in time,
   because it was stopped or the store was away, it first claims the trial again, and gives up if anyone else did.

What remains is the instant between check and write: a process that is stopped right there for longer than `EXPIRY_S`
writes one result late. A store whose listings are out of date, such as a cache before a bucket, is refused.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import copy
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from raysweep.errors import ElsewhereError, RaysweepError
from raysweep.process.alive import has_ended, this_process
from raysweep.store.files import NO_PATIENCE, Files, Stamp
from raysweep.store.reading import DAMAGE

Row = Mapping[str, Any]
FOLDER = "claims"
RENEW_S = 60.0
EXPIRY_S = 300.0
"""Much longer than a network file system caches times and a busy store delays a write."""
TRIES, PAUSE_S = 20, 0.1
"""How often, and with which pause, a process looks whether others have withdrawn."""
RELEASE_S = 5.0
"""Longest wait for a renewal under way before a claim is left to expire."""
READERS = 16


@dataclass(frozen=True)
class Holder:
    """The process that holds a claim."""

    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    process: str = field(default_factory=this_process)
    since: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    expires_s: float = field(default_factory=lambda: EXPIRY_S)

    def __str__(self) -> str:
        return f"{self.host} (process {self.pid}) since {self.since}"

    @property
    def place(self) -> str:
        """The host, and since when."""
        return f"{self.host}, since {self.since}"

    def is_alive(self, stamp: Stamp, now_ns: int) -> bool:
        """Whether the claim counts, given the stamp of its file."""
        age_s = (now_ns - (stamp.changed_ns or now_ns)) / 1e9
        return age_s < self.expires_s and not has_ended(self.process)


UNKNOWN = Holder("an unknown host", 0, "", "an unknown time", EXPIRY_S)
_known: dict[tuple[str, str], Holder] = {}
"""Store and file of a claim -> its holder, so that whoever follows a store reads each file once."""


class Name(NamedTuple):
    """The name of a claim's file."""

    trial: str
    owner: str
    """The sweep; a later attempt of the same sweep replaces the earlier one."""
    attempt: int
    nonce: str

    @property
    def path(self) -> str:
        """The file in the store."""
        return f"{FOLDER}/{self.trial}.{self.owner}.{self.attempt}.{self.nonce}.json"


def _names(paths: Iterable[str]) -> dict[Name, str]:
    """The names of claims; other files in the folder are passed over."""
    found = {}
    for path in paths:
        parts = path.removeprefix(f"{FOLDER}/").rsplit(".", 4)
        if len(parts) == 5 and parts[2].isdecimal():
            found[Name(parts[0], parts[1], int(parts[2]), parts[3])] = path
    return found


def new_owner() -> str:
    """An id for a sweep, or for whoever else claims trials."""
    return uuid.uuid4().hex[:12]


def holders(files: Files, trial: str = "", but: str = "") -> dict[str, Holder]:
    """Trial -> the process that trains it, for one trial or all; without the claims of the owner `but`.

    Uses the clock of this machine: only for display, and for a first look.
    """
    now_ns, stamps = time.time_ns(), files.stamps(FOLDER, ".json")
    wanted = [name for name in _names(stamps) if trial in ("", name.trial) and name.owner != but]
    found = _read(files, wanted)
    return {name.trial: one for name, one in found.items() if one.is_alive(stamps[name.path], now_ns)}


def release_all(files: Files, owner: str) -> None:
    """Release every claim of a sweep whose workers have ended."""
    for name in _names(files.stamps(FOLDER, ".json")):
        if name.owner == owner:
            files.delete(name.path)


def present_status(status: str, claimed: bool) -> str:
    """The status of a trial: its row says running until it ends, its claim says whether anyone trains it."""
    if claimed:
        return status if status in ("finished", "diverged") else "running"
    return "interrupted" if status == "running" else status


def at_present(files: Files, rows: Iterable[Row], before: Collection[str]) -> list[Row]:
    """Rows with the present statuses of their trials, given the trials that were claimed before the rows were read."""
    rows, claimed = list(rows), set(before)
    if any(row["status"] == "running" and row["trial"] not in claimed for row in rows):
        claimed |= holders(files).keys()  # of trials that have started since
    return [{**row, "status": present_status(row["status"], row["trial"] in claimed)} for row in rows]


def _read(files: Files, names: Iterable[Name]) -> dict[Name, Holder]:
    names = list(names)
    if not names:
        return {}
    with ThreadPoolExecutor(READERS) as readers:
        found = readers.map(lambda name: _holder(files, name.path), names)
        return {name: holder for name, holder in zip(names, found, strict=True) if holder}


def _holder(files: Files, path: str) -> Holder | None:
    """The holder that a file names; None if the file is gone. The content of a file never changes, only its times."""
    if (known := _known.get((files.uri, path))) or (content := files.find(path)) is None:
        return known
    try:
        read: Mapping[str, Any] = json.loads(content)
        found = Holder(**{name: _plain(type(value)(read[name])) for name, value in asdict(UNKNOWN).items()})
    except DAMAGE:
        return UNKNOWN
    return _known.setdefault((files.uri, path), found)


def _plain(value: Any) -> Any:
    """A value without the control characters that a foreign file may have."""
    return "".join(filter(str.isprintable, value))[:100] if isinstance(value, str) else value


def uptime() -> float:
    """Seconds since the machine started, with the time that it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.time()


class Claim:
    """The claim of this process on one trial. A thread renews it until it is released."""

    def __init__(
        self, files: Files, trial: str, owner: str = "", attempt: int = 1, clock: Callable[[], float] = uptime
    ) -> None:
        self.files = files
        self.quick = copy(files)
        """The same, without waiting for a store that is away."""
        self.quick.patience = NO_PATIENCE
        self.name = Name(trial, owner or new_owner(), attempt, _nonce())
        self.content = json.dumps(asdict(Holder())).encode()
        self.clock = clock
        self.renewed = 0.0
        """When the last renewal began."""
        self.held = False
        self.listed: Mapping[Name, str] = {}
        self.lock = threading.Lock()
        self.over = threading.Event()

    def take(self) -> str:
        """Claim the trial; returns who holds it instead, or an empty text.

        Raises:
            RaysweepError: the store cannot be reached, or its listings are out of date.
        """
        # Most claims that are refused are refused here, without a write that others would have to wait for.
        rival = holders(self.files, self.name.trial, but=self.name.owner).get(self.name.trial)
        refused = str(rival) if rival else self._contend()
        if not refused:
            self.held = True
            threading.Thread(target=self._keep, daemon=True).start()
        return refused

    def check(self) -> None:
        """Make sure that the trial is still this process's own, before it writes a result.

        Raises:
            ElsewhereError: another process has taken it over.
            RaysweepError: the store cannot be reached.
        """
        with self.lock:
            if self._is_late():
                self._claim_again()
            self.held = self.held and self.files.exists(self.name.path)
        if not self.held:
            others = holders(self.files, self.name.trial, but=self.name.owner)
            raise ElsewhereError(self.name.trial, str(others.get(self.name.trial, "another process")), lost=True)

    def renew(self) -> None:
        """Renew the claim, unless it is lost or released.

        Raises:
            RaysweepError: the store cannot be reached.
        """
        with self.lock:
            begun = self.clock()
            if not self.held or self._is_late() or not self.quick.exists(self.name.path):
                return  # the next check decides
            self.quick.write(self.name.path, self.content)
            if self._is_late():  # it may have been taken over while this process was stopped, just before the write
                self._withdraw()
            self.renewed = begun

    def release(self) -> None:
        """Give the trial back; if the store cannot be reached, the claim expires."""
        self.over.set()
        if self.lock.acquire(timeout=RELEASE_S):
            if self.held:
                self._withdraw()
            self.lock.release()

    def _keep(self) -> None:
        while not self.over.wait(RENEW_S):
            with suppress(RaysweepError):
                self.renew()

    def _is_late(self) -> bool:
        """Whether others may have seen the claim expire, or soon will."""
        return self.clock() - self.renewed > EXPIRY_S / 2

    def _claim_again(self) -> None:
        before = self.name
        self.name = before._replace(nonce=_nonce())
        # Whoever took the trial over meanwhile has deleted the file before it began.
        if self.held and not self._contend() and before in self.listed:
            self.files.delete(before.path)
        else:
            self._withdraw()

    def _contend(self) -> str:
        """Write this claim and keep it if there is no other; returns who has another one."""
        self.renewed = self.clock()
        self._write()
        for _ in range(TRIES):
            rivals, dead = self._others()
            if self.name in self.listed and not rivals:
                for name in dead:
                    self.files.delete(name.path)
                return ""
            if rivals and min(rivals) < self.name:
                break
            time.sleep(PAUSE_S)
        self._withdraw()
        if not rivals:
            raise RaysweepError(
                f"the store {self.files.uri} does not list files that were just written, so trials cannot be claimed "
                "in it: use a store without a cache in between."
            )
        return str(rivals[min(rivals)])

    def _others(self) -> tuple[dict[Name, Holder], list[Name]]:
        """The other live claims on the trial, and those that have expired."""
        stamps = self.files.stamps(FOLDER, ".json")
        self.listed = _names(stamps)
        now_ns = stamps[self.name.path].changed_ns if self.name.path in stamps else None
        others = [name for name in self.listed if name.trial == self.name.trial and name[:3] != self.name[:3]]
        rivals = {
            name: holder
            for name, holder in _read(self.files, others).items()
            # An earlier attempt of the same sweep has ended, or must.
            if (name.owner != self.name.owner or name.attempt > self.name.attempt)
            and holder.is_alive(stamps[name.path], now_ns or time.time_ns())
        }
        return rivals, [name for name in others if name not in rivals]

    def _write(self) -> None:
        self.files.write(self.name.path, self.content)

    def _withdraw(self) -> None:
        self.held = False
        with suppress(RaysweepError):
            self.quick.delete(self.name.path)


def _nonce() -> str:
    return uuid.uuid4().hex[:6]
