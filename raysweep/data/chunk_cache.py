"""Numbered chunks of bytes in shared memory: whoever needs one that is not there makes it, the others copy it.

There is no producer that could die and no order in which anybody must come. Each user reads chunks in rising order from
a place of its own; what stays in the cache is what will be needed soonest by one of them, so that a user far from the
others, behind or ahead, takes no room from them.
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
"""Making a chunk takes milliseconds: who claimed it so long ago is suspended, and somebody else makes it instead."""
SUSPECT_NS = 200_000_000
"""Age of a claim from which on its owner is looked for among the living."""
NEVER = np.iinfo(np.int64).max
"""Chunks from any user to a chunk that none of them will come to."""


class Entry(NamedTuple):
    """A row of the table of slots."""

    state: int
    chunk: int
    generation: int
    owner: int
    since_ns: int


SLOT = np.dtype([(name, "<i8") for name in Entry._fields])


class Answer(Enum):
    """What became of a wish for a chunk."""

    READY = "it is there: copy it, then see that it still was"
    YOURS = "it is yours to make"
    BUSY = "somebody else makes it"
    FULL = "it is not there, and all there is will be needed sooner"


@dataclass(frozen=True)
class Slot:
    """One chunk's place in the cache, as it was when it was looked at."""

    answer: Answer
    chunk: int
    number: int = -1
    generation: int = -1
    is_own: bool = False
    """Whether this user made it."""


class ChunkCache:
    """The cache of one name, of this process and others. Thread-safe."""

    def __init__(self, path: Path, chunk_bytes: int, slots: int, overdue_s: float = OVERDUE_S) -> None:
        """Join the cache of that name, or create it with room for `slots` chunks.

        Raises:
            UnavailableError: there is no memory for it.
        """
        self._segment = Segment(path, Layout(slots, chunk_bytes, SLOT.itemsize))
        self.num_slots = self._segment.layout.items
        self._slots = self._segment.table.view(SLOT)
        self._positions, self._place = self._segment.users["position"], self._segment.place
        self._overdue_ns = int(overdue_s * 1e9)
        with self._segment.locked():
            self._reap()
            self._release_of([self._place])  # who had the place before us may have died

    def close(self) -> None:
        """Leave; the last user's leaving gives the memory back."""
        self._segment.close()

    @property
    def num_users(self) -> int:
        """How many there are, this one among them."""
        return int(np.count_nonzero(self._segment.users["pid"]))

    def memory(self, slot: Slot) -> NDArray[np.uint8]:
        """The bytes of a slot."""
        memory: NDArray[np.uint8] = self._segment.data[slot.number]
        return memory

    def look(self, chunks: Sequence[int]) -> tuple[list[Slot], Slot | None]:
        """Ask for chunks, in rising order, of which the first is what this user needs now.

        Returns those that are there, to be copied, and what became of the first that is not. One that is yours must be
        published or released.

        Raises:
            UnavailableError: the cache cannot be used just now.
        """
        with self._segment.locked():
            self._positions[self._place] = chunks[0]
            entries = self._entries()
            ready = {
                entry.chunk: Slot(Answer.READY, entry.chunk, number, entry.generation, entry.owner == self._place)
                for number, entry in enumerate(entries)
                if entry.state == READY and entry.chunk in chunks
            }
            missing = next((chunk for chunk in chunks if chunk not in ready), None)
            claim = None if missing is None else self._claim(missing, missing - chunks[0], entries)
            return list(ready.values()), claim

    def claim_ahead(self, chunks: Sequence[int]) -> Slot | None:
        """The first of these chunks that is neither there nor being made: yours to make, while you wait.

        Raises:
            UnavailableError: the cache cannot be used just now.
        """
        with self._segment.locked():
            entries = self._entries()
            known = {entry.chunk for entry in entries if entry.state != EMPTY}
            distance, chunk = next((pair for pair in enumerate(chunks, 1) if pair[1] not in known), (0, None))
            slot = None if chunk is None else self._claim(chunk, distance, entries)
        return slot if slot and slot.answer is Answer.YOURS else None

    def publish(self, slot: Slot) -> None:
        """Your chunk is made."""
        self._finish(slot, READY)

    def release(self, slot: Slot) -> None:
        """Your chunk will not be made."""
        self._finish(slot, EMPTY)

    def still_held(self, slots: Iterable[Slot]) -> list[Slot]:
        """Those slots that have held their chunk all the while, so that what was copied is that chunk.

        Raises:
            UnavailableError: the cache cannot be used just now.
        """
        with self._segment.locked():
            return [slot for slot in slots if self._is_current(slot, READY)]

    def _finish(self, slot: Slot, state: int) -> None:
        with self._segment.locked():
            # Another state or generation: it was taken for that of a dead user.
            if self._is_current(slot, CLAIMED):
                self._slots["state"][slot.number] = state

    def _is_current(self, slot: Slot, state: int) -> bool:
        entry = self._slots[slot.number]
        return bool(entry["state"] == state and entry["generation"] == slot.generation)

    def _entries(self) -> list[Entry]:
        # A list: the table is small, and in the cache of a processor that decodes there is no room for NumPy's code.
        return [Entry(*row) for row in self._slots.tolist()]

    def _claim(self, chunk: int, distance: int, entries: list[Entry]) -> Slot:
        """Claim a slot for a chunk that this user needs in `distance` chunks and that is not there."""
        if self._is_being_made(chunk, entries):
            return Slot(Answer.BUSY, chunk)
        number = self._victim(distance, entries)
        if number is None:
            return Slot(Answer.FULL, chunk)
        generation = entries[number].generation + 1
        # Killed at any point between these lines, we leave an empty slot or a whole claim.
        self._slots["state"][number] = EMPTY
        self._slots[number] = EMPTY, chunk, generation, self._place, time.monotonic_ns()
        self._slots["state"][number] = CLAIMED
        return Slot(Answer.YOURS, chunk, number, generation, is_own=True)

    def _is_being_made(self, chunk: int, entries: list[Entry]) -> bool:
        now_ns = time.monotonic_ns()
        claims = [entry for entry in entries if entry.chunk == chunk and entry.state == CLAIMED]
        old = {claim.owner for claim in claims if now_ns - claim.since_ns > SUSPECT_NS}
        if not all(map(self._segment.is_alive, old)):
            dead = self._reap()
            claims = [claim for claim in claims if claim.owner not in dead]
        return any(now_ns - claim.since_ns < self._overdue_ns for claim in claims)

    def _victim(self, distance: int, entries: list[Entry]) -> int | None:
        """The slot for a chunk that is needed in `distance` chunks: an empty one, or that of what is needed last."""
        positions = self._positions[self._segment.users["pid"] > 0].tolist()
        best, victim = (distance, 0), None
        for number, entry in enumerate(entries):
            if entry.state == EMPTY:
                return number
            if entry.state == READY:
                waits = [entry.chunk - position for position in positions if NOWHERE < position <= entry.chunk]
                wait = min(waits, default=NEVER)
                if (wait, -entry.chunk) > best:  # among equals the oldest
                    best, victim = (wait, -entry.chunk), number
        return victim

    def _reap(self) -> list[int]:
        """Give back the places and claims of the dead."""
        dead = self._segment.dead()
        self._release_of(dead)
        for place in dead:
            self._segment.free(place)
        return dead

    def _release_of(self, places: list[int]) -> None:
        claims = (self._slots["state"] == CLAIMED) & np.isin(self._slots["owner"], places)
        self._slots["state"][claims] = EMPTY
