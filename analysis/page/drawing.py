"""The pictures of many lines, drawn by several processes: matplotlib takes a second or two for each, on one core."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from analysis.load import Line
from analysis.page.section import Picture, pictures

LINES_A_PROCESS = 4
"""Fewer are drawn sooner than another process has loaded what draws them."""
Progress = Callable[[int, int], None]
"""Told how many lines are drawn, of how many."""


def draw_all(lines: Sequence[Line], out: Path, progress: Progress, processes: int | None = None) -> list[list[Picture]]:
    """Every figure of each line, written to the folder too; `processes`: as many as there are cores, and lines for.

    Raises:
        OSError: the folder cannot be written.
    """
    processes = processes or min(len(os.sched_getaffinity(0)), len(lines) // LINES_A_PROCESS)
    if processes < 2:
        return _counted(map(pictures, lines, repeat(out)), len(lines), progress)
    # Begun anew, not forked: threads that have read the store may hold locks.
    with ProcessPoolExecutor(processes, get_context("spawn"), _leave_to_parent) as pool:
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


def _leave_to_parent() -> None:
    """Ctrl-C goes to all processes of a terminal: the parent alone ends them, and none prints a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
