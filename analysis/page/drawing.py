"""Draws the figures of many lines in parallel processes: matplotlib takes one to two seconds per line on one core."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from raysweep.analysis.load import Line
from raysweep.analysis.page.section import Picture, pictures
from raysweep.process.children import child_settings, environment
from raysweep.process.machine import usable_cores

LINES_PER_PROCESS = 4
"""Fewer lines are drawn faster than another process can import matplotlib."""
Progress = Callable[[int, int], None]
"""Called with the number of lines drawn so far and their total."""


def draw_all(lines: Sequence[Line], out: Path, progress: Progress, processes: int | None = None) -> list[list[Picture]]:
    """Draw every figure of each line and write it to the folder.

    `processes` defaults to the number of cores, or fewer if there are few lines.

    Raises:
        OSError: the folder cannot be written.
    """
    processes = processes or min(usable_cores(), len(lines) // LINES_PER_PROCESS)
    if processes < 2:
        return _counted(map(pictures, lines, repeat(out)), len(lines), progress)
    # Spawned, not forked: threads that have read the store may hold locks.
    with (
        environment(child_settings()),
        ProcessPoolExecutor(processes, get_context("spawn"), _ignore_interrupts) as pool,
    ):
        try:
            return _counted(pool.map(pictures, lines, repeat(out)), len(lines), progress)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _counted(drawn: Iterable[list[Picture]], total: int, progress: Progress) -> list[list[Picture]]:
    found = []
    for shown in drawn:
        found.append(shown)
        progress(len(found), total)
    return found


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the parent: workers then print no traceback."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
