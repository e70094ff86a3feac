"""`raysweep compact`: the many small files of a store as few large ones."""

from __future__ import annotations

import click

from raysweep.terminal.notes import say
from raysweep.terminal.progress import counted
from raysweep.verbs.options import open_store, store_option


@click.command()
@store_option
def compact(store: str) -> None:
    """Merge small files of finished trials into large ones.

    It is safe while a sweep runs, and if it is killed: every result stays the same. A sweep compacts its store
    automatically at its end if the store has more than a thousand small files.
    """
    from raysweep.store import compaction

    opened = open_store(store)
    with counted("compacting") as show:
        done = compaction.compact(opened, show=show)
    say(f"{done.trials:,} trials compacted, {done.deleted:,} small files deleted, {done.left:,} left")
