"""The table of a line: gains, intervals, p-values and costs, as CSV, Markdown, LaTeX and HTML from one frame."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from raysweep.analysis.load import ALL, LINE, Line, load_lines
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.published import published_study
from raysweep.analysis.statistics.across import QValues, claims, q_values
from raysweep.analysis.statistics.comparisons import (
    SAME,
    Comparisons,
    Estimate,
    comparisons,
    ends,
    estimate,
    gains,
    top1,
)
from raysweep.analysis.statistics.power import seeds_needed
from raysweep.safe import csv_text, html_text, latex_text, markdown_text
from raysweep.store.store import Store

COSTS = ("params", "macs", "images_per_s", "data_wait")


def summary(line: Line, q: QValues | None = None) -> pd.DataFrame:
    """One row per shown variant, in the study's order; accuracies in points of top-1, `_half` half-widths of intervals.

    `p` is Dunnett's, over the study; `q` is adjusted for all studies in the report, if given. `seeds_needed` is the
    number of seeds that detect a difference of the observed size with a probability of 80 %, for those not detected.
    """
    means, differences, compared, verdicts = top1(line), gains(line), comparisons(line), claims(line, q or {})
    differences[line.baseline] = estimate([])  # its gain is 0 by definition, not measured
    statuses = ends(line.trials)
    frame = pd.DataFrame(
        {
            "variant": name,
            "n": means[name].n,
            "top1": means[name].mean,
            "top1_half": means[name].half,
            "gain": differences[name].mean,
            "gain_half": differences[name].half,
            "p": compared.of[name].p if name in compared.of else math.nan,
            "q": (q or {}).get(name, math.nan),
            "verdict": verdicts.get(name, ""),
            "seeds_needed": _more_seeds(differences[name], compared) if verdicts.get(name) == SAME else math.nan,
            "trials": statuses.get(name, ""),
        }
        for name in line.shown
    )
    of_trials = line.trials.groupby("variant").mean(numeric_only=True)
    known = pd.concat([of_trials, published_study(line.study, line.baseline)], axis="columns").reindex(line.shown)
    for name in ("published_top1", "published_gain", *COSTS):
        frame[name] = METRICS[name].of(known).to_numpy()
    return frame[[*(name for name in frame if name != "trials"), "trials"]]


def _more_seeds(gain: Estimate, compared: Comparisons) -> float:
    return seeds_needed(gain.mean, compared) or math.nan


def all_gains(store: Store, studies: Sequence[str]) -> pd.DataFrame:
    """The summaries of these studies, or of all in the store, in one frame with the columns that identify their lines.

    Raises:
        RaysweepError: the store has no such study.
    """
    lines = load_lines(store, studies or [ALL])
    together = q_values([comparisons(line) for line in lines])
    keys = [{name: getattr(line, name) for name in LINE} for line in lines]
    frames = [summary(line, q).assign(**key) for line, q, key in zip(lines, together, keys, strict=True)]
    found = pd.concat(frames, ignore_index=True)
    return found[[*LINE, *found.columns.drop(LINE)]]


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table as text with headings; columns without any value are left out."""
    columns = {
        "variant": frame["variant"].astype(str),
        "n": frame["n"].astype(str),
        f"{METRICS['top1'].label} (95 %)": _pairs(frame, "top1"),
        f"{METRICS['gain'].label} (95 %)": _pairs(frame, "gain"),
    }
    known = [name for name in ("p", "q") if frame[name].notna().any()]
    shown = [name for name in ("seeds_needed", "published_top1", "published_gain") if frame[name].notna().any()]
    for name in known:
        columns[METRICS[name].label] = frame[name].map(METRICS[name].text)
    if known:
        columns["verdict"] = frame["verdict"]
    for name in (*shown, *COSTS):
        columns[METRICS[name].label] = frame[name].map(METRICS[name].text)
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
