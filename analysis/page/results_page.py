"""RESULTS.md: what a committed store says, study by study, beside what the paper says; `make report` writes it.

    python -m analysis.page.results_page STORE RESULTS.md FIGURES

The same store gives the same bytes: nothing on the page depends on when or where it was written.
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

from analysis import take_home as messages
from analysis.figures import STYLE, Drawing, Evidence, figures, gather, render
from analysis.load import ALL, Line, load_lines
from analysis.metrics import METRICS
from analysis.page.report import index_row
from analysis.page.section import file_stem, known_study, provenance, shown_overviews
from analysis.page.tables import markdown, readable, summary
from analysis.page.words import agreement_words, caption, headline, missing, trust
from analysis.published import published_study
from analysis.statistics.across import QValues, q_values
from analysis.statistics.comparisons import comparable_tops, comparisons
from raysweep.errors import RaysweepError
from raysweep.store.store import Store

EMBEDDED = "gains"
"""Name of the figure that stands under each study."""
MOST_PROPOSALS = 10
"""Of an architecture search that stand on the page; its figures show all."""
INTRODUCTION = """# Results

Written by `make report` from the trials in `{store}/`: every number below is computed from them or is a published one.
Gains are in points of top-1 over the baseline of the study, paired by seed; intervals and p are Dunnett's and hold for
all variants of a study at once; q is p in the light of all studies on this page (Benjamini and Hochberg over studies).
Published numbers are of the paper's own set-up: 64 epochs of ImageNet, one run each. This is another scale, and what
holds here need not hold there, nor the other way round.
"""


def write_results(store_uri: str, page: Path, folder: Path) -> None:
    """Write the page, and the figures that it shows into the folder.

    Raises:
        RaysweepError: no store, an empty one, or a page that cannot be written.
    """
    store = Store.open(store_uri)
    lines = load_lines(store, [ALL])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page.write_text(_page(store, lines, page, folder), encoding="utf-8")
    except OSError as error:
        raise RaysweepError(f"cannot write {page}: {error}. Name another one.") from error


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
    """The budget: what of each study's baseline differs from its protocol, said once for all studies that share it."""
    shared: dict[str, list[str]] = {}
    for line in lines:
        shared.setdefault(_budget(line), []).append(line.study)
    said = [f"- {budget}\n  Studies: {', '.join(dict.fromkeys(studies))}." for budget, studies in shared.items()]
    return "\n".join(["## Budget and protocol\n", *said, ""])


def _budget(line: Line) -> str:
    settings = ", ".join(f"`{path} = {value}`" for path, value in line.settings().items()) or "nothing"
    recipe = line.baseline_recipe
    images = ", ".join(line.present("data_name")) or "no images"
    return (
        f"Protocol `{line.protocol}` on {images}, {recipe.training.epochs:g} epochs, {_repeats(line)}. "
        f"Changed in the protocol: {settings}."
    )


def _repeats(line: Line) -> str:
    seeds = Counter(line.trials["variant"])
    if line.is_architecture_search:
        searches = line.trials["search"].nunique()
        return f"{searches} searches that share {line.trials['trial'].nunique()} trials of one seed"
    return f"{seeds[line.baseline]} seeds of the baseline, {min(seeds.values())} or more of each variant"


def _index(lines: Sequence[Line], together: Sequence[QValues]) -> pd.DataFrame:
    rows = [index_row(line, q) for line, q in zip(lines, together, strict=True)]
    columns = {
        "study": [row["study"] for row in rows],
        "protocol": [row["protocol"] for row in rows],
        "variants": [row["variants"] for row in rows],
        "seeds": [row["seeds"] for row in rows],
        "tau with the published order (95 %)": [row["tau"] for row in rows],
        "better": [row["better"] for row in rows],
        "worse": [row["worse"] for row in rows],
        "compared": [row["compared"] for row in rows],
        "diverged trials": [row["diverged"] for row in rows],
        "best": [row["best"] for row in rows],
    }
    return pd.DataFrame(columns).astype(str)


def _messages(lines: Sequence[Line]) -> str:
    table = messages.take_home(lines)
    if table.empty:
        return ""
    said = [
        f"{verdict}: {', '.join(dict.fromkeys(rows['message']))}"
        for verdict, rows in table.groupby("verdict", sort=False)
    ]
    told = "".join(f"- {line}.\n" for line in said)
    return f"## Take-home messages of the paper\n\n{told}\n{markdown(messages.readable(table))}"


def _across(evidence: Evidence, page: Path, folder: Path) -> str:
    """What spans studies, and what architecture searches found."""
    shown = [
        _embedded(entry.summary, entry.make, frame, said, folder / f"overview-{entry.name}.png", page)
        for entry, frame, said in shown_overviews(evidence)
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


def _embedded(title: str, drawing: Drawing[Any], frame: pd.DataFrame, said: str, file: Path, page: Path) -> str:
    with style.context(STYLE):  # the resolution is read when saving
        render(drawing, frame, said).savefig(file)
    return f"![{title}]({Path(os.path.relpath(file, page.parent)).as_posix()})"


def _unfinished(line: Line) -> str:
    rows = missing(line)
    return f"Without a final accuracy, {len(rows)} of {len(line.trials)} trials: {'; '.join(rows)}." if rows else ""


if __name__ == "__main__":
    try:
        write_results(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    except RaysweepError as error:
        sys.exit(f"Error: {error}")
