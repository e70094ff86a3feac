"""Compaction: merging the small files of trials that have ended into segments, which load much faster.

It is safe at any moment, whatever else uses the store, on local folders and object storage:

- A small file is deleted only after a segment with its content has been read back. After a kill in between both exist,
  and the small file counts.
- Readers read the small files first and the segments second, so a file that was just deleted is found in its segment.
- Only trials that have ended are taken, and a file that has changed since it was read is not deleted. A trial that is
  trained further, such as the retry of a failed one, has small files again, which take precedence over all segments.
- Two compactions at the same time write the same rows twice; readers use one of them.

One race is left: a trial that is started again between the last check of its file and the deletion, a few microseconds
on a disk, loses that write. Its next epoch writes all its rows again, and a checkpoint that is ahead of the rows is not
resumed from (`train.run_trial`): work may be repeated, but no number can be wrong.
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
"""Maximum number of trials in a segment, which bounds the memory of a compaction."""
MANY_FILES = 1000
"""Number of small files above which a sweep compacts its store at the end."""
ENDED = ("finished", "diverged", "failed", "stopped")
FOLDERS = ("trials", "epochs", "members")
WRITTEN = (*FOLDERS, "checkpoints", "searches", "init_stats", "rankings", "data", "compacted")
"""Every folder of a store."""
LEFT_S = 24 * 3600.0
"""Age from which an unfinished file belongs to a writer that was killed: writing one takes seconds."""


@dataclass(frozen=True)
class Compacted:
    """The result of a compaction."""

    trials: int = 0
    """Number of trials that were merged."""
    deleted: int = 0
    """Number of small files that were merged and deleted."""
    left: int = 0
    """Number of small files that remain: of trials that have not ended, or that changed in the meantime."""


def compact(
    store: Store, per_segment: int = SEGMENT_TRIALS, show: Callable[[int, int], None] = lambda done, total: None
) -> Compacted:
    """Merge the small files of all trials that have ended into segments.

    Args:
        store: Store to compact.
        per_segment: Maximum number of trials in a segment.
        show: Called with the number of trials done and the total number of trials.

    Raises:
        RaysweepError: the store cannot be read or written; nothing is lost.
    """
    trials, epochs = (store.listed(folder) for folder in ("trials", "epochs"))
    names, ended, deleted = sorted(trials), 0, 0
    for start in range(0, len(names), per_segment):
        show(start, len(names))
        taken = _compact_trials(store, names[start : start + per_segment], epochs)
        ended += len(taken)
        # The epochs first: files that a kill leaves behind still have their trial, and are taken the next time.
        for folder, stamps in (("epochs", epochs), ("trials", trials)):
            held = (f"{folder}/{trial}.parquet" for trial in taken)
            deleted += _delete(store, {name: stamps[name] for name in held if name in stamps})
    deleted += _compact_members(store)
    delete_left(store)
    show(len(names), len(names))
    return Compacted(ended, deleted, count_small(store))


def compact_if_many(store: Store) -> Compacted | None:
    """Compact a store that has more than `MANY_FILES` small files, and delete what killed writers left.

    Raises:
        RaysweepError: the store cannot be read or written; nothing is lost.
    """
    delete_left(store)
    return compact(store) if count_small(store) > MANY_FILES else None


def delete_left(store: Store) -> int:
    """Delete the unfinished files of killed writers; returns their number.

    Raises:
        RaysweepError: the store cannot be listed or written.
    """
    return sum(store.files.delete_old_parts(folder, LEFT_S) for folder in WRITTEN)


def count_small(store: Store) -> int:
    """The number of small files in a store."""
    return sum(len(store.listed(folder)) for folder in FOLDERS)


def _compact_trials(store: Store, names: Sequence[str], epoch_files: Collection[str]) -> set[str]:
    """Write the trials that have ended to a segment; returns their ids."""
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
    """Write all members to a segment; their files never change. Returns the number of deleted files."""
    stamps = store.listed("members")
    read = store.read_each(stamps, MEMBERS)
    if len(read) < 2:
        return 0
    store.segments.write_members(_new_name(), pa.concat_tables(read.values()))
    return _delete(store, {name: stamps[name] for name in read})


def _delete(store: Store, stamps: Mapping[str, Stamp]) -> int:
    with ThreadPoolExecutor(READERS) as deleting:
        return sum(deleting.map(lambda one: store.files.delete_if_unchanged(*one), stamps.items()))


def _new_name() -> str:
    """A unique name that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
