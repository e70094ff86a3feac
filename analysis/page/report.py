"""The report as one call: what `raysweep report` and `raysweep.report` do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from raysweep.analysis.contrasts import MARGIN
from raysweep.analysis.load import load_lines
from raysweep.analysis.page.drawing import Progress
from raysweep.analysis.page.html_page import HtmlPage, ignore
from raysweep.analysis.page.live import LiveReport
from raysweep.store.following import Following
from raysweep.store.store import Store

EVERY_S = 30.0
Refreshes = Callable[[Following, Store, float], Iterable[tuple[Any, Sequence[Any]]]]
"""Yields the changes in a store at each refresh until the sweep is over: `raysweep.terminal.watch_store.refreshes`."""


def write_report(
    store_uri: str,
    studies: Sequence[str],
    out: Path | str,
    progress: Progress = ignore,
    *,
    refreshes: Refreshes | None = None,
    every_s: float = EVERY_S,
    margin: float = MARGIN,
    ready: Callable[[Path], object] = ignore,
) -> Path:
    """Write each figure as SVG and PNG, each table as CSV, Markdown and LaTeX, and the HTML page; return its path.

    Args:
        store_uri: a folder or an address of a results store.
        studies: names of studies; `all` stands for every study in the store.
        out: the folder to write to.
        progress: called with the number of lines drawn so far and their total.
        refreshes: for a live report, follows the store; the page is rewritten after each change until the end.
        every_s: seconds between refreshes of a live report.
        margin: the smallest gain that matters, in points of top-1.
        ready: called once with the path of the page, as soon as it exists.

    Raises:
        RaysweepError: there is no such store, it has no such study, or the folder cannot be written.
    """
    store, folder = Store.open(store_uri), Path(out)
    if not refreshes:
        page = HtmlPage(store, folder, progress, margin).write(load_lines(store, studies))
        ready(page)
        return page
    live = LiveReport(store, studies, folder, margin)
    for number, (_, changed) in enumerate(refreshes(live.following, store, every_s)):
        page = live.update(changed, every_s)
        if number == 0:
            ready(page)
    return live.update((), None)
