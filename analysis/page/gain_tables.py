"""The table of a line: gains, intervals, p-values and costs, as CSV, Markdown, LaTeX and HTML from one frame."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from raysweep.analysis.contrasts import MARGIN, Contrast
from raysweep.analysis.load import ALL, LINE, Line, load_lines
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.our_networks import network_of_trial
from raysweep.analysis.published import published_study
from raysweep.analysis.statistics.comparisons import (
    NO_ESTIMATE,
    Estimate,
    comparisons,
    gains,
    on_one_page,
    page,
    statuses,
    top1,
)
from raysweep.analysis.statistics.power import seeds_needed
from raysweep.analysis.statistics.ranks import chances
from raysweep.deciding.verdicts import Outcome
from raysweep.identity import recipe_from_json
from raysweep.safe import csv_text, html_text, latex_text, markdown_text
from raysweep.store.store import Store

ANSWERS = ("p", "best", "top3", "more_seeds", "seeds_published", "published_top1", "published_gain")
"""Columns that are shown if they have any value."""
COSTS = ("params", "macs", "images_per_s", "data_wait")


NO_CHANCES = (math.nan, math.nan)


def summary(line: Line) -> pd.DataFrame:
    """One row per shown variant, in the study's order; accuracies in points of top-1, `_half` half-widths of intervals.

    `p` is adjusted for all contrasts of the page. `best` and `top3` are probabilities. `more_seeds` of an undecided
    variant show a gain as large as the margin with a probability of 80 %; `seeds_published` seeds in all show the
    published gain. `our_network` says whether the published number is of the same network.
    """
    means, found, of_trials, likely = top1(line), comparisons(line), statuses(line), chances(line)
    differences = gains(line) | {line.baseline: NO_ESTIMATE}  # 0 by definition, not measured
    paper = METRICS["published_gain"].of(published_study(line.study, line.baseline))
    frame = pd.DataFrame(
        {
            "variant": name,
            "n": means[name].n,
            "top1": means[name].mean,
            "top1_half": means[name].half,
            "gain": differences[name].mean,
            "gain_half": differences[name].half,
            "p": found[name].p if name in found else math.nan,
            "verdict": str(found[name].verdict) if name in found else "",
            "best": likely.get(name, NO_CHANCES)[0],
            "top3": likely.get(name, NO_CHANCES)[1],
            "more_seeds": _more_seeds(found[name], line) if name in found else math.nan,
            "seeds_published": _seeds(found[name], paper.get(name, math.nan), line) if name in found else math.nan,
            "trials": of_trials.get(name, ""),
        }
        for name in line.shown
    )
    averages = line.trials.groupby("variant").mean(numeric_only=True)
    known = pd.concat([averages, published_study(line.study, line.baseline)], axis="columns").reindex(line.shown)
    for name in ("published_top1", "published_gain", *COSTS):
        frame[name] = METRICS[name].of(known).to_numpy()
    frame["our_network"] = _networks(line)
    return frame[[*(name for name in frame if name != "trials"), "trials"]]


def _networks(line: Line) -> list[str]:
    """What the network of each shown variant is to the one of its published number."""
    recipes = line.trials.drop_duplicates("variant").set_index("variant")["recipe"]
    return [
        network_of_trial(line.study, name, recipe_from_json(recipes[name])) if name in recipes else ""
        for name in line.shown
    ]


def _seeds(found: Contrast, gain: float, line: Line) -> float:
    return seeds_needed(found, gain, page(line).level) or math.nan


def _more_seeds(found: Contrast, line: Line) -> float:
    """Seeds that an undecided contrast lacks until a gain as large as the margin would be shown."""
    needed = _seeds(found, page(line).margin, line)
    if found.verdict != Outcome.UNDECIDED or math.isnan(needed):
        return math.nan
    return max(1.0, needed - found.n)


def all_gains(store: Store, studies: Sequence[str], margin: float = MARGIN) -> pd.DataFrame:
    """The summaries of these studies, or of all in the store, in one frame with the columns that identify their lines.

    Raises:
        RaysweepError: the store has no such study.
    """
    lines = on_one_page(load_lines(store, studies or [ALL]), margin)
    frames = [summary(line).assign(**{name: getattr(line, name) for name in LINE}) for line in lines]
    found = pd.concat(frames, ignore_index=True)
    return found[[*LINE, *found.columns.drop(LINE)]]


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table as text with headings; columns without any value are left out."""
    columns = {
        "variant": frame["variant"].astype(str),
        "n": frame["n"].astype(str),
        f"{METRICS['top1'].label} (95 %)": _pairs(frame, "top1"),
        METRICS["gain"].label: _pairs(frame, "gain"),
    }
    if frame["gain_half"].notna().any() or frame["verdict"].eq(Outcome.DID_NOT_TRAIN).any():
        columns["verdict"] = frame["verdict"]
    for name in (*ANSWERS, *COSTS):
        if name in COSTS or frame[name].notna().any():
            columns[METRICS[name].label] = frame[name].map(METRICS[name].text)
        if name == "published_gain" and frame["our_network"].ne("").any():
            columns["our network"] = frame["our_network"]
    return pd.DataFrame(columns | {"trials": frame["trials"]})


def _pairs(frame: pd.DataFrame, column: str) -> list[str]:
    values = zip(frame[column], frame[f"{column}_half"], frame["n"], strict=True)
    return [Estimate(mean, half, n).text(METRICS[column]) for mean, half, n in values]


def csv(numbers: pd.DataFrame) -> str:
    """A table of numbers and names as CSV that a spreadsheet does not compute."""
    shown: str = numbers.map(lambda cell: csv_text(cell) if isinstance(cell, str) else cell).to_csv(index=False)
    return shown


def markdown(text: pd.DataFrame) -> str:
    """A table of texts as Markdown, with all columns but the first and the last aligned to the right."""
    safe = text.map(markdown_text).rename(columns=markdown_text)
    head, *rows = [list(safe.columns), *safe.to_numpy().tolist()]
    lines = [head, ["---", *["---:"] * (len(head) - 2), "---"], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def html(text: pd.DataFrame) -> str:
    """A table of texts as HTML, with every text escaped."""
    head = "".join(f"<th>{html_text(name)}</th>" for name in text.columns).replace(" %", "&nbsp;%")
    rows = ("".join(f"<td>{html_text(cell)}</td>" for cell in cells) for cells in text.to_numpy().tolist())
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"


def latex(text: pd.DataFrame) -> str:
    """A table of texts as a LaTeX tabular with booktabs rules."""
    columns = "l" + "r" * (len(text.columns) - 2) + "l"
    found: str = text.map(latex_text).rename(columns=latex_text).to_latex(index=False, column_format=columns)
    return found
