"""The numbers behind the figures as a table: CSV, Markdown and HTML from one frame."""

from __future__ import annotations

from html import escape

import pandas as pd

from analysis.load import Line
from analysis.metrics import METRICS
from analysis.published import published_study
from analysis.stats import Estimate, ends, estimate, gains, top1

COSTS = ("params", "macs", "images_per_s", "data_wait")


def summary(line: Line) -> pd.DataFrame:
    """One row a variant in the study's order; accuracies in points of top-1, `_half` the half-width of an interval."""
    means, differences = top1(line), gains(line)
    differences[line.baseline] = estimate([])  # 0 by definition, not by measurement
    paper = published_study(line.study, line.baseline).reindex(line.variants)
    trials = line.trials.groupby("variant")
    frame = pd.DataFrame(
        {
            "variant": line.variants,
            "n": [means[variant].n for variant in line.variants],
            "top1": [means[variant].mean for variant in line.variants],
            "top1_half": [means[variant].half for variant in line.variants],
            "gain": [differences[variant].mean for variant in line.variants],
            "gain_half": [differences[variant].half for variant in line.variants],
        }
    )
    for name in ("published_top1", "published_gain"):
        frame[name] = METRICS[name].of(paper).to_numpy()
    for name in COSTS:
        frame[name] = METRICS[name].of(trials.mean(numeric_only=True).reindex(line.variants)).to_numpy()
    said = ends(line.trials)
    frame["trials"] = [said.get(variant, "") for variant in line.variants]
    return frame


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table as text, with the column names a reader sees; published columns only where there are any."""
    columns = {
        "variant": frame["variant"].astype(str),
        "n": frame["n"].astype(str),
        f"{METRICS['top1'].label} (95 %)": _pairs(frame, "top1"),
        f"{METRICS['gain'].label} (95 %)": _pairs(frame, "gain"),
    }
    shown = [name for name in ("published_top1", "published_gain") if frame[name].notna().any()]
    for name in (*shown, *COSTS):
        columns[METRICS[name].label] = frame[name].map(METRICS[name].text)
    return pd.DataFrame(columns | {"trials": frame["trials"]})


def _pairs(frame: pd.DataFrame, column: str) -> list[str]:
    values = zip(frame[column], frame[f"{column}_half"], frame["n"], strict=True)
    return [Estimate(mean, half, n).text(METRICS[column]) for mean, half, n in values]


def markdown(frame: pd.DataFrame) -> str:
    """The readable table as Markdown."""
    text = readable(frame)
    lines = [list(text.columns), ["---", *["---:"] * (len(text.columns) - 2), "---"], *text.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def html(frame: pd.DataFrame) -> str:
    """The readable table as an HTML table; every text is escaped."""
    text = readable(frame)
    head = "".join(f"<th>{escape(name)}</th>" for name in text.columns).replace(" %", "&nbsp;%")
    rows = ("".join(f"<td>{escape(cell)}</td>" for cell in cells) for cells in text.to_numpy().tolist())
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
