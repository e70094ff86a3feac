"""The numbers behind the figures as a table: Markdown, CSV and HTML from one frame."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd

from analysis.load import Line
from analysis.published import published_top1
from analysis.stats import POINTS, Estimate, estimate, gains, top1
from raysweep.tables import short


def summary(line: Line) -> pd.DataFrame:
    """One row a variant in the study's order; accuracies in points of top-1."""
    paper, means, differences = published_top1(line.study), top1(line), gains(line)
    differences[line.baseline] = estimate([])  # 0 by definition, not by measurement
    rows = []
    for variant in line.variants:
        trials = line.trials[line.trials["variant"] == variant]
        rows.append(
            {
                "variant": variant,
                "n": means[variant].n,
                "top1": means[variant].mean,
                "top1_half": means[variant].half,
                "gain": differences[variant].mean,
                "gain_half": differences[variant].half,
                "published_top1": POINTS * paper.get(variant, math.nan),
                "published_gain": POINTS * (paper.get(variant, math.nan) - paper.get(line.baseline, math.nan)),
                "params": trials["params"].max(),
                "macs": trials["macs"].max(),
                "images_per_s": trials["images_per_s"].mean(),
                "ends": _ends(trials),
            }
        )
    return pd.DataFrame(rows)


def _ends(trials: pd.DataFrame) -> str:
    counts = trials["status"].value_counts().sort_index()
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table as text, with the column names a reader sees."""
    return pd.DataFrame(
        {
            "variant": frame["variant"],
            "n": frame["n"].astype(str),
            "top-1, % (95 %)": _pairs(frame, "top1", "{:.1f}"),
            "gain (95 %)": _pairs(frame, "gain", "{:+.1f}"),
            "published top-1": frame["published_top1"].map(_text("{:.1f}")),
            "published gain": frame["published_gain"].map(_text("{:+.1f}")),
            "parameters": frame["params"].map(_size),
            "MACs": frame["macs"].map(_size),
            "images/s": frame["images_per_s"].map(_text("{:,.0f}")),
            "trials": frame["ends"],
        }
    )


def _pairs(frame: pd.DataFrame, column: str, form: str) -> list[str]:
    values = zip(frame[column], frame[f"{column}_half"], frame["n"], strict=True)
    return [interval(Estimate(mean, half, n), form) for mean, half, n in values]


def interval(found: Estimate, form: str) -> str:
    """A mean with its half-width, the mean alone where there is none, or a dash."""
    if math.isnan(found.mean):
        return "–"
    return form.format(found.mean) + ("" if math.isnan(found.half) else f" ± {found.half:.1f}")


def _text(form: str) -> Callable[[float], str]:
    return lambda value: "–" if pd.isna(value) else form.format(value)


def _size(value: float) -> str:
    return "–" if pd.isna(value) else short(value)


def markdown(frame: pd.DataFrame) -> str:
    """The readable table as Markdown."""
    text = readable(frame)
    lines = [list(text.columns), ["---"] * len(text.columns), *text.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
