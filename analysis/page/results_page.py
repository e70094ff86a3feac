"""RESULTS.md: the results of a committed store, study by study, next to the published ones; `make report` writes it.

    python -m raysweep.analysis.page.results_page STORE RESULTS.md FIGURES

The same store always gives the same bytes: nothing on the page depends on when or where it was written.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup

from raysweep.analysis import messages
from raysweep.analysis.captions import caption
from raysweep.analysis.figures import Drawing, figures, gather, overviews, render
from raysweep.analysis.load import ALL, Line, load_lines
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.own_matplotlib import own_style
from raysweep.analysis.page.gain_tables import markdown, readable, summary
from raysweep.analysis.page.html_page import index_row, template
from raysweep.analysis.page.section import facts, file_stem, origins, shown
from raysweep.analysis.page.words import controlled
from raysweep.analysis.published import published_study
from raysweep.analysis.statistics.comparisons import on_one_page
from raysweep.analysis.statistics.ranks import ranked
from raysweep.errors import RaysweepError, cannot_write
from raysweep.safe import markdown_code, markdown_text
from raysweep.store.store import Store
from raysweep.terminal.notes import warn
from raysweep.units import brief

EMBEDDED = "gains"
"""The figure shown for each study."""
MOST_PROPOSALS = 10
"""Largest number of proposals of an architecture search in its table; the figures show all."""
INDEX = (
    *("study", "protocol", "variants", "seeds", "pairs", "tau"),
    *("better", "worse", "equal", "undecided", "did not train", "best"),
)
"""Keys of `index_row` that have a column."""
HEADINGS = {
    "pairs": "pairs in the published order",
    "tau": "tau with it (95 %, over seeds)",
    "best": "most likely best",
}


def write_results(store_uri: str, page: Path, folder: Path) -> None:
    """Write the page, and the figures that it shows to the folder.

    Raises:
        RaysweepError: there is no such store, it is empty, or the page cannot be written.
    """
    store = Store.open(store_uri)
    lines = on_one_page(load_lines(store, [ALL]))
    for problem in store.problems:
        warn(problem)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page.write_text(_page(store, lines, page, folder), encoding="utf-8")
    except OSError as error:
        raise RaysweepError(cannot_write(error.filename or page, error)) from error


def _page(store: Store, lines: Sequence[Line], page: Path, folder: Path) -> str:
    rows = [index_row(line) for line in lines]
    across = [
        (entry.summary, _draw(entry.make, frame, origins(frame), folder / f"overview-{entry.name}.png", page))
        for entry, frame in shown(overviews(), gather(store, lines))
    ]
    made = template("results.md.jinja", False, markdown_text, markdown=markdown, code=markdown_code)
    return made.render(
        store=os.path.relpath(store.uri, page.parent),
        budgets=_budgets(lines),
        index=pd.DataFrame(rows)[list(INDEX)].rename(columns=HEADINGS).astype(str),
        messages=messages.take_home(lines),
        readable=messages.readable,
        across=across,
        gain=METRICS["gain"].label,
        controlled=controlled(lines),
        sections=[_section(line, page, folder) for line in lines],
    )


def _budgets(lines: Sequence[Line]) -> dict[str, dict[str, None]]:
    """A sentence on the protocol and its settings -> the studies that share them."""
    shared: dict[str, dict[str, None]] = {}
    for line in lines:
        settings = ", ".join(markdown_code(f"{path}={brief(value)}") for path, value in line.settings().items())
        images = ", ".join(line.present("data_name")) or "no images"
        length = f"{line.baseline_recipe.training.epochs:g} epochs, {_repeats(line)}"
        protocol = f"Protocol {markdown_code(line.protocol)} on {markdown_text(images)}, {length}"
        budget = Markup(f"{protocol}. Settings that differ from the protocol: {settings or 'none'}.")
        shared.setdefault(budget, {})[line.study] = None
    return shared


def _repeats(line: Line) -> str:
    seeds = Counter(line.trials["variant"])
    if line.is_architecture_search:
        searches = line.trials["search"].nunique()
        return f"{searches} searches that share {line.trials['trial'].nunique()} trials, one seed each"
    number = seeds[line.baseline]
    baseline = f"{number} seed{'s' if number != 1 else ''} of the baseline"
    return f"{baseline}, {min(seeds.values())} or more of each variant"


def _section(line: Line, page: Path, folder: Path) -> dict[str, Any]:
    """The values that the template shows of a line."""
    table = summary(line)
    finished = table.dropna(subset="top1")
    ours = ranked(line)
    paper = published_study(line.study, line.baseline)["published_top1"].dropna()
    return facts(line) | {
        "table": readable(finished.nlargest(MOST_PROPOSALS, "top1") if line.is_architecture_search else table),
        "proposals": len(finished),
        "order": _ordered(ours, line),
        "published_order": _ordered(paper[paper.index.isin(ours.index)], line),
        "gains": _gains(line, page, folder),
    }


def _ordered(tops: pd.Series, line: Line) -> Markup:
    """The variants with the highest first; the baseline is emphasised."""
    best_first = tops.sort_values(ascending=False, kind="stable").index
    names = ((markdown_text(str(variant)), variant == line.baseline) for variant in best_first)
    return Markup(", ".join(f"*{name}*" if is_baseline else name for name, is_baseline in names))


def _gains(line: Line, page: Path, folder: Path) -> str:
    figure = figures()[EMBEDDED]
    frame = figure.data(line)
    if frame["gain"].isna().all():
        return ""
    return _draw(figure, frame, caption(line), folder / f"{file_stem(line)}-{EMBEDDED}.png", page)


def _draw(drawing: Drawing[Any], frame: pd.DataFrame, words: str, file: Path, page: Path) -> str:
    """Draw a figure to a file, and return the link to it from the page."""
    with own_style():  # the resolution is read when saving
        render(drawing, frame, words).savefig(file)
    return quote(Path(os.path.relpath(file, page.parent)).as_posix())


if __name__ == "__main__":
    try:
        write_results(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    except RaysweepError as error:
        sys.exit(f"Error: {error}")
