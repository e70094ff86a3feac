"""Numbered chunks of bytes in shared memory: the first user that needs a chunk makes it, the others copy it.

There is no producer that could die, and users may come in any order. Each user reads chunks in increasing order from
its own position. The cache keeps the chunks that any user will need soonest, so that a user far behind or ahead of the
others takes no room from them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raysweep.data.shared_memory import NOWHERE, Layout, Segment

EMPTY, CLAIMED, READY = range(3)
OVERDUE_S = 2.0
"""Making a chunk takes milliseconds: after this time its owner is assumed suspended and another user makes it."""
SUSPECT_NS = 200_000_000
"""The age of a claim after which the cache checks whether its owner is alive."""
NEVER = np.iinfo(np.int64).max
"""The distance to a chunk that no user will read."""


class Entry(NamedTuple):
    """A row of the table of slots."""

    state: int
    chunk: int
    generation: int
    owner: int
    since_ns: int


SLOT = np.dtype([(name, "<i8") for name in Entry._fields])


class Answer(Enum):
    """The answer to a request for a chunk."""

    READY = "available: copy it, then check `still_held`"
    YOURS = "claimed for you: make it"
    BUSY = "being made by another user"
    FULL = "not available, and everything in the cache will be needed sooner"


@dataclass(frozen=True)
class Slot:
    """A chunk's slot in the cache at the time of the request."""

    answer: Answer
    chunk: int
    number: int = -1
    generation: int = -1


class ChunkCache:
    """A cache that the processes of one user share by its path. Thread-safe."""

    def __init__(self, path: Path, chunk_bytes: int, slots: int, overdue_s: float = OVERDUE_S) -> None:
        """Join the cache at `path`, or create it with `slots` slots.

        Raises:
            UnavailableError: there is too little memory.
        """
        self._segment = Segment(path, Layout(slots, chunk_bytes, SLOT.itemsize))
        self.num_slots = self._segment.layout.items
        self._slots = self._segment.table.view(SLOT)
        self._positions, self._place = self._segment.users["position"], self._segment.place
        self._overdue_ns = int(overdue_s * 1e9)
        with self._segment.locked():
            self._reap()
            self._release_of([self._place])  # the previous user of our place may have died

    def close(self) -> None:
        """Leave the cache; the last user frees its memory."""
        self._segment.close()

    def memory(self, slot: Slot) -> NDArray[np.uint8]:
        """The memory of a slot."""
        memory: NDArray[np.uint8] = self._segment.data[slot.number]
        return memory

    def request(self, chunks: Sequence[int]) -> tuple[list[Slot], Slot | None]:
        """Request chunks, in increasing order, of which this user needs the first one now.

        Returns the slots of available chunks, to be copied, and the answer for the first chunk that is not available. A
        slot that is yours must be published or released.

        Raises:
            UnavailableError: the cache cannot be used at the moment.
        """
        with self._segment.locked():
            self._positions[self._place] = chunks[0]
            entries = self._entries()
            ready = {
                entry.chunk: Slot(Answer.READY, entry.chunk, number, entry.generation)
                for number, entry in enumerate(entries)
                if entry.state == READY and entry.chunk in chunks
            }
            missing = next((chunk for chunk in chunks if chunk not in ready), None)
            claim = None if missing is None else self._claim(missing, missing - chunks[0], entries)
            return list(ready.values()), claim

    def claim_ahead(self, chunks: Sequence[int]) -> Slot | None:
        """Claim the first of these chunks that is neither available nor being made; none if there is no such chunk.

        Raises:
            UnavailableError: the cache cannot be used at the moment.
        """
        with self._segment.locked():
            entries = self._entries()
            known = {entry.chunk for entry in entries if entry.state != EMPTY}
            distance, chunk = next((pair for pair in enumerate(chunks, 1) if pair[1] not in known), (0, None))
            slot = None if chunk is None else self._claim(chunk, distance, entries)
        return slot if slot and slot.answer is Answer.YOURS else None

    def publish(self, slot: Slot) -> None:
        """Make a claimed chunk available to all users."""
        self._finish(slot, READY)

    def release(self, slot: Slot) -> None:
        """Give up the claim to a chunk."""
        self._finish(slot, EMPTY)

    def still_held(self, slots: Iterable[Slot]) -> list[Slot]:
        """The slots that have not been reused since the request, so that the copies of their chunks are valid.

        Raises:
            UnavailableError: the cache cannot be used at the moment.
        """
        with self._segment.locked():
            return [slot for slot in slots if self._is_current(slot, READY)]

    def _finish(self, slot: Slot, state: int) -> None:
        with self._segment.locked():
            # Another state or generation means that the claim was taken for that of a dead user.
            if self._is_current(slot, CLAIMED):
                self._slots["state"][slot.number] = state

    def _is_current(self, slot: Slot, state: int) -> bool:
        entry = self._slots[slot.number]
        return bool(entry["state"] == state and entry["generation"] == slot.generation)

    def _entries(self) -> list[Entry]:
        # In plain Python: the table is small, and NumPy's code would displace the decoder's in the processor's cache.
        return [Entry(*row) for row in self._slots.tolist()]

    def _claim(self, chunk: int, distance: int, entries: list[Entry]) -> Slot:
        """Claim a slot for a chunk that is not available and that this user needs in `distance` chunks."""
        if self._is_being_made(chunk, entries):
            return Slot(Answer.BUSY, chunk)
        number = self._victim(distance, entries)
        if number is None:
            return Slot(Answer.FULL, chunk)
        generation = entries[number].generation + 1
        # If killed between any of these lines, we leave an empty slot or a complete claim.
        self._slots["state"][number] = EMPTY
        self._slots[number] = EMPTY, chunk, generation, self._place, time.monotonic_ns()
        self._slots["state"][number] = CLAIMED
        return Slot(Answer.YOURS, chunk, number, generation)

    def _is_being_made(self, chunk: int, entries: list[Entry]) -> bool:
        now_ns = time.monotonic_ns()
        claims = [entry for entry in entries if entry.chunk == chunk and entry.state == CLAIMED]
        old = {claim.owner for claim in claims if now_ns - claim.since_ns > SUSPECT_NS}
        if not all(map(self._segment.is_alive, old)):
            dead = self._reap()
            claims = [claim for claim in claims if claim.owner not in dead]
        return any(now_ns - claim.since_ns < self._overdue_ns for claim in claims)

    def _victim(self, distance: int, entries: list[Entry]) -> int | None:
        """The slot to use for a chunk needed in `distance` chunks: an empty one, or that of a chunk needed later."""
        positions = self._positions[self._segment.users["pid"] > 0].tolist()
        best, victim = (distance, 0), None
        for number, entry in enumerate(entries):
            if entry.state == EMPTY:
                return number
            if entry.state == READY:
                waits = [entry.chunk - position for position in positions if NOWHERE < position <= entry.chunk]
                wait = min(waits, default=NEVER)
                if (wait, -entry.chunk) > best:  # of several, the oldest
                    best, victim = (wait, -entry.chunk), number
        return victim

    def _reap(self) -> list[int]:
        """Free the places and claims of dead users; returns their places."""
        dead = self._segment.dead()
        self._release_of(dead)
        for place in dead:
            self._segment.free(place)
        return dead

    def _release_of(self, places: list[int]) -> None:
        claims = (self._slots["state"] == CLAIMED) & np.isin(self._slots["owner"], places)
        self._slots["state"][claims] = EMPTY
