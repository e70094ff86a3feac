"""Compaction: the small files of trials that have ended become segments, which ten thousand trials are read from in
seconds.

Safe at any moment, whoever else uses the store, on local folders and object storage alike:

- A small file is deleted only when a segment that holds it has been read back. Killed in between, both are there, and
  the small one counts.
- Readers look at the small files first and at the segments after: what has gone from the one is already in the other.
- Only trials that have ended are taken, and only files that nobody has changed since they were read are deleted. What
  is trained on later, such as the retry of a failed trial, is a small file again, which counts before all segments.
- Compacting twice at once writes the same rows twice, of which readers take one.

One moment is left: a trial that is started again between the last look at its file and the deletion, a few
microseconds on a disk, loses that write. Its next epoch writes all its rows again, and a checkpoint that is ahead of
the rows is not resumed from (`train.run_trial`): work may be repeated, no number can be wrong.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from raysweep.store.files import Stamp
from raysweep.store.schema import EPOCHS, MEMBERS, TRIAL
from raysweep.store.store import READERS, Store

SEGMENT_TRIALS = 4096
"""Most trials of one segment: what a compaction holds in memory."""
MANY_FILES = 1000
"""Small files above which a sweep compacts its store when it ends."""
ENDED = ("finished", "diverged", "failed", "stopped")
FOLDERS = ("trials", "epochs", "members")


@dataclass(frozen=True)
class Compacted:
    """What a compaction has done."""

    trials: int = 0
    deleted: int = 0
    """Small files that are now in segments."""
    left: int = 0
    """Small files that are still there: of trials that have not ended, or were changed meanwhile."""


def compact(
    store: Store, per_segment: int = SEGMENT_TRIALS, show: Callable[[int, int], None] = lambda done, total: None
) -> Compacted:
    """Put the small files of all trials that have ended into segments; `show` is told (trials done, trials in all).

    Raises:
        RaysweepError: the store cannot be read or written; nothing is lost.
    """
    trials, epochs = (store.files.stamps(folder, ".parquet") for folder in ("trials", "epochs"))
    names, ended, deleted = sorted(trials), 0, 0
    for start in range(0, len(names), per_segment):
        show(start, len(names))
        taken = _compact_trials(store, names[start : start + per_segment], epochs)
        ended += len(taken)
        # The epochs first: what a kill leaves behind is then found by its trial, and taken the next time.
        for folder, stamps in (("epochs", epochs), ("trials", trials)):
            held = (f"{folder}/{trial}.parquet" for trial in taken)
            deleted += _delete(store, {name: stamps[name] for name in held if name in stamps})
    deleted += _compact_members(store)
    show(len(names), len(names))
    return Compacted(ended, deleted, count_small(store))


def compact_if_many(store: Store) -> Compacted | None:
    """Compact a store that has more than `MANY_FILES` small files.

    Raises:
        RaysweepError: the store cannot be read or written; nothing is lost.
    """
    return compact(store) if count_small(store) > MANY_FILES else None


def count_small(store: Store) -> int:
    """How many small files a store has."""
    return sum(len(store.files.names(folder, ".parquet")) for folder in FOLDERS)


def _compact_trials(store: Store, names: Sequence[str], epoch_files: Collection[str]) -> set[str]:
    """Put those that have ended into a segment; returns their ids."""
    rows = pa.concat_tables([TRIAL.empty_table(), *store.read_each(names, TRIAL).values()])
    rows = rows.filter(pc.is_in(rows["status"], pa.array(ENDED)))
    files = {f"epochs/{trial}.parquet": trial for trial in rows["trial"].to_pylist()}
    epochs = store.read_each(files.keys() & epoch_files, EPOCHS)
    damaged = {trial for name, trial in files.items() if name in epoch_files and name not in epochs}
    taken = set(files.values()) - damaged
    if taken:
        earlier = store.segments.epochs({files[name] for name in files.keys() - epoch_files})
        kept = rows.filter(pc.is_in(rows["trial"], pa.array(taken, pa.string())))
        store.segments.write_trials(_new_name(), kept, pa.concat_tables([earlier, *epochs.values()]))
    return taken


def _compact_members(store: Store) -> int:
    """Put all of them into a segment, each is written once and never changed; returns how many files were deleted."""
    stamps = store.files.stamps("members", ".parquet")
    read = store.read_each(stamps, MEMBERS)
    if len(read) < 2:
        return 0
    store.segments.write_members(_new_name(), pa.concat_tables(read.values()))
    return _delete(store, {name: stamps[name] for name in read})


def _delete(store: Store, stamps: Mapping[str, Stamp]) -> int:
    with ThreadPoolExecutor(READERS) as deleting:
        return sum(deleting.map(lambda one: store.files.delete_if_unchanged(*one), stamps.items()))


def _new_name() -> str:
    """Sorts by time for whoever looks into the folder."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
