"""Batch normalisation before and after the non-linearity, by network and non-linearity, ours and published."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from raysweep.analysis.captions import caption
from raysweep.analysis.figures import OVERVIEWS, Evidence, Overview
from raysweep.analysis.figures import _style as style
from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.published import published
from raysweep.analysis.statistics.comparisons import INTERVAL, Estimate, as_estimate, contrast, unfinished
from raysweep.recipe import Recipe

STUDIES = ("batchnorm", "bn_cifar")
PAPER_NAMES: Mapping[str, str] = {"caffenet": "CaffeNet128-FC2048", "googlenet": "GoogLeNet128", "fitnet4": "FitNet4"}
"""Network -> its name in the published table."""
FORMS = ("none", "before", "before, scale and bias", "after", "after, scale and bias")
ROW_INCHES = 0.24


def data(evidence: Evidence) -> pd.DataFrame:
    """One row per group (network, non-linearity, protocol) and form: gains in points over `reference`.

    The reference is the network without normalisation, or with it before the non-linearity if that was not run.
    """
    return pd.DataFrame(row for line in evidence.of(*STUDIES) for row in _line(line))


def _line(line: Line) -> Iterator[dict[str, Any]]:
    why = unfinished(line)
    about = pd.DataFrame([_form(name, recipe) for name, recipe in line.recipes.items()])
    known = published()
    for (network, activation), group in about.groupby(["network", "activation"], sort=False):
        variants: dict[str, str] = dict(zip(group["form"], group["variant"], strict=True))
        reference = next(form for form in FORMS if form in variants)
        own = known[(known["study"] == line.study) & (known["network"] == PAPER_NAMES.get(str(network)))]
        paper = METRICS["top1"].of(own.drop_duplicates("variant").set_index("variant"))
        for form in (form for form in FORMS if form in variants and form != reference):
            found = as_estimate(contrast(line, variants[form], variants[reference]))
            gap = paper.get(variants[form], math.nan) - paper.get(variants[reference], math.nan)
            yield found.row() | {
                "group": f"{network}, {activation}, {line.protocol}",
                "form": form,
                "reference": reference,
                "variant": variants[form],
                "published": gap,
                "crossed": why.get(variants[form], ""),
                "caption": caption(line),
            }


def _form(variant: str, recipe: Recipe) -> dict[str, str]:
    network = recipe.network
    form = "none" if network.norm == "none" else network.norm_position
    form += ", scale and bias" if network.norm == "batch_affine" else ""
    return {"variant": variant, "network": network.name, "activation": network.activation, "form": form}


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw pairs of bars in groups, ours above the published one."""
    names: list[str] = []
    for group, rows in frame.groupby("group", sort=False):
        heading = f"{group}: gain over {rows['reference'].iloc[0]}"
        ax.annotate(heading, (0, len(names)), (4, 0), ("axes fraction", "data"), "offset points", va="center",
                    fontsize=7.5)  # fmt: skip
        for row, entry in enumerate(rows.itertuples(), len(names) + 1):
            _bars(ax, row, entry)
        names += ["", *map(str, rows["form"])]
    ax.axvline(0, color=style.DARK, lw=0.9)
    ax.set_xlim(*style.reach(frame, "gain", [0.0, *frame["published"]]))
    style.name_rows(ax, names, 7.5)
    ax.set_xlabel("gain, points of top-1")


def _bars(ax: Axes, row: float, entry: Any) -> None:
    if math.isnan(entry.gain):
        style.cross(ax, row - 0.18)
    else:
        thin = {"lw": 0.9, "capsize": 2}
        ax.barh(row - 0.18, entry.gain, 0.34, color=style.OURS, xerr=entry.half, error_kw=thin, zorder=2)
    if not math.isnan(entry.published):
        ax.barh(row + 0.18, entry.published, 0.34, color=style.PUBLISHED, zorder=2)
    style.right_of(ax, row, Estimate(entry.gain, entry.half, entry.n).text(METRICS["gain"]), 6, 7)


NOTE = f"Blue: ours, with the {INTERVAL}; numbers at the right. Vermilion: published."
OVERVIEWS.add("bn_position", "batch normalisation before and after the non-linearity", "Mishkin et al. 2017")(
    Overview(data, draw, lambda frame: 0.6 + ROW_INCHES * (len(frame) + frame["group"].nunique()), NOTE, order=2)
)
