"""RESULTS.md: the results of a committed store, study by study, next to the published ones; `make report` writes it.

    python -m analysis.page.results_page STORE RESULTS.md FIGURES

The same store always gives the same bytes: nothing on the page depends on when or where it was written.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import style

from analysis import messages
from analysis.captions import caption
from analysis.figures import STYLE, Drawing, Evidence, figures, gather, render
from analysis.load import ALL, Line, load_lines
from analysis.metrics import METRICS
from analysis.page.gain_tables import markdown, readable, summary
from analysis.page.html_page import index_row
from analysis.page.section import file_stem, known_study, provenance, shown_overviews
from analysis.page.words import agreement_words, headline, missing, trust
from analysis.published import published_study
from analysis.statistics.across import QValues, q_values
from analysis.statistics.comparisons import comparable_tops, comparisons
from raysweep.errors import RaysweepError
from raysweep.store.store import Store
from raysweep.units import brief

EMBEDDED = "gains"
"""The figure shown for each study."""
MOST_PROPOSALS = 10
"""Largest number of proposals of an architecture search in its table; the figures show all."""
INDEX = ("study", "protocol", "variants", "seeds", "tau", "better", "worse", "compared", "diverged", "best")
"""Keys of `index_row` that have a column."""
HEADINGS = {"tau": "tau with the published order (95 %)", "diverged": "diverged trials"}
INTRODUCTION = """# Results

`make report` writes this page from the trials in `{store}/`: every number below is computed from them or is published.
Gains are in points of top-1 accuracy over the baseline of the study, paired by seed. Intervals and p-values are
Dunnett's and hold for all variants of a study at once. q is the p-value adjusted for all studies on this page
(Benjamini and Hochberg over studies). Published numbers come from the paper's own set-up: 64 epochs of ImageNet, one
run each. The scale is different here, so what holds here may not hold there, and the reverse.
"""


def write_results(store_uri: str, page: Path, folder: Path) -> None:
    """Write the page, and the figures that it shows to the folder.

    Raises:
        RaysweepError: there is no such store, it is empty, or the page cannot be written.
    """
    store = Store.open(store_uri)
    lines = load_lines(store, [ALL])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page.write_text(_page(store, lines, page, folder), encoding="utf-8")
    except OSError as error:
        raise RaysweepError(f"cannot write {page}: {error}. Choose another path.") from error


def _page(store: Store, lines: Sequence[Line], page: Path, folder: Path) -> str:
    together = q_values([comparisons(line) for line in lines])
    parts = [
        INTRODUCTION.format(store=os.path.relpath(store.uri, page.parent)),
        _protocols(lines),
        "## All studies\n\n" + markdown(_index(lines, together)),
        _messages(lines),
        _across(gather(store, lines), page, folder),
        *(_study(line, q, page, folder) for line, q in zip(lines, together, strict=True)),
    ]
    return "\n".join(part for part in parts if part)


def _protocols(lines: Sequence[Line]) -> str:
    """How the baseline of each study differs from its protocol, printed once for all studies that share it."""
    shared: dict[str, list[str]] = {}
    for line in lines:
        shared.setdefault(_budget(line), []).append(line.study)
    items = [f"- {budget}\n  Studies: {', '.join(dict.fromkeys(studies))}." for budget, studies in shared.items()]
    return "\n".join(["## Budget and protocol\n", *items, ""])


def _budget(line: Line) -> str:
    settings = ", ".join(f"`{path}={brief(value)}`" for path, value in line.settings().items()) or "none"
    recipe = line.baseline_recipe
    images = ", ".join(line.present("data_name")) or "no images"
    return (
        f"Protocol `{line.protocol}` on {images}, {recipe.training.epochs:g} epochs, {_repeats(line)}. "
        f"Settings that differ from the protocol: {settings}."
    )


def _repeats(line: Line) -> str:
    seeds = Counter(line.trials["variant"])
    if line.is_architecture_search:
        searches = line.trials["search"].nunique()
        return f"{searches} searches that share {line.trials['trial'].nunique()} trials, one seed each"
    number = seeds[line.baseline]
    baseline = f"{number} seed{'s' if number != 1 else ''} of the baseline"
    return f"{baseline}, {min(seeds.values())} or more of each variant"


def _index(lines: Sequence[Line], together: Sequence[QValues]) -> pd.DataFrame:
    rows = [index_row(line, q) for line, q in zip(lines, together, strict=True)]
    return pd.DataFrame(rows)[list(INDEX)].rename(columns=HEADINGS).astype(str)


def _messages(lines: Sequence[Line]) -> str:
    table = messages.take_home(lines)
    if table.empty:
        return ""
    items = [
        f"- {verdict}: {', '.join(dict.fromkeys(rows['message']))}.\n"
        for verdict, rows in table.groupby("verdict", sort=False)
    ]
    return f"## Take-home messages of the paper\n\n{''.join(items)}\n{markdown(messages.readable(table))}"


def _across(evidence: Evidence, page: Path, folder: Path) -> str:
    """The figures that span studies, and those of architecture searches."""
    shown = [
        _embedded(entry.summary, entry.make, frame, words, folder / f"overview-{entry.name}.png", page)
        for entry, frame, words in shown_overviews(evidence)
    ]
    return "\n\n".join(["## Across studies", *shown, ""]) if shown else ""


def _study(line: Line, q: QValues, page: Path, folder: Path) -> str:
    shipped = known_study(line.study)
    title = f"## {line.study}" + (f": {shipped.question}" if shipped else "")
    parts = [
        f"{title}\n\n{caption(line)}\n\n**{headline(line, q)}**",
        f"Published ({shipped.paper}): {shipped.finding} {agreement_words(line)}".rstrip() if shipped else "",
        _orders(line),
        _picture(line, page, folder),
        _table(line, q),
        " ".join(trust(line, q)),
        _unfinished(line),
        "Trained with " + "; ".join(f"{name}: {value}" for name, value in provenance(line).items()) + ".",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(line: Line, q: QValues) -> str:
    table = summary(line, q)
    if not line.is_architecture_search:
        return markdown(readable(table)).rstrip()
    finished = table.dropna(subset="top1")
    highest = markdown(readable(finished.nlargest(MOST_PROPOSALS, "top1"))).rstrip()
    return f"The highest of {len(finished)} proposals:\n\n{highest}"


def _orders(line: Line) -> str:
    ours = comparable_tops(line).mean().sort_values(ascending=False, kind="stable")
    paper = published_study(line.study, line.baseline)["published_top1"].dropna()
    paper = paper[paper.index.isin(ours.index)].sort_values(ascending=False, kind="stable")
    if paper.empty or ours.empty:
        return ""
    first = f"Our order: {', '.join(_name(name, line) for name in ours.index)}."
    return f"{first}\n\nPublished order: {', '.join(_name(name, line) for name in paper.index)}."


def _name(variant: str, line: Line) -> str:
    return f"*{variant}*" if variant == line.baseline else variant


def _picture(line: Line, page: Path, folder: Path) -> str:
    figure = figures()[EMBEDDED]
    frame = figure.data(line)
    if frame.empty or not frame["gain"].notna().any():
        return ""
    title, file = f"{METRICS['gain'].label}: {line.study}", folder / f"{file_stem(line)}-{EMBEDDED}.png"
    return _embedded(title, figure, frame, caption(line), file, page)


def _embedded(title: str, drawing: Drawing[Any], frame: pd.DataFrame, words: str, file: Path, page: Path) -> str:
    with style.context(STYLE):  # the resolution is read when saving
        render(drawing, frame, words).savefig(file)
    return f"![{title}]({Path(os.path.relpath(file, page.parent)).as_posix()})"


def _unfinished(line: Line) -> str:
    rows = missing(line)
    return f"{len(rows)} of {len(line.trials)} trials have no final accuracy: {'; '.join(rows)}." if rows else ""


if __name__ == "__main__":
    try:
        write_results(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    except RaysweepError as error:
        sys.exit(f"Error: {error}")
