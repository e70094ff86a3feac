"""All improvements together: the gain of adding each in turn, and the sum of the single gains against all together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from scipy import special

from raysweep.analysis.figures import FIGURES, Figure, stacked
from raysweep.analysis.figures import _style as style
from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.published import published_study
from raysweep.analysis.statistics.comparisons import (
    INTERVAL,
    NO_ESTIMATE,
    Estimate,
    as_estimate,
    contrast,
    groups,
    page,
    unfinished,
)
from raysweep.study import find_study

STUDY, ALL = "combined", "caffenet128_all"
PUBLISHED_SINGLE: Mapping[str, tuple[str, str]] = {
    "elu": ("activation", "elu"),
    "colorspace": ("learned_colorspace", "vlrelu_10_3"),
    "max_plus_average": ("pooling", "max_plus_average"),
    "spp3": ("classifier", "spp3_fc_fc_clf"),
    "linear": ("lr_policy", "linear"),
    "nesterov": ("solver", "nesterov_step"),
}
"""Part -> the study and variant in which it was published as a single change."""
SINGLE, STEP, SUM, TOGETHER = "single", "step", "sum of single gains", "all together"
ROW_INCHES = 0.3


def data(line: Line) -> pd.DataFrame:
    """One row per bar: `part`, `kind`, `start`, `gain`, `half`, `n`, `published`, `crossed`; points of top-1.

    A step is the gain of adding a part to those before it and starts at their gain. The sum of the single gains has the
    baseline in each of them, which counts in its error.
    """
    if line.study != STUDY or line.finished.empty:
        return pd.DataFrame()
    frame = pd.DataFrame([*_parts(line), *_sums(line)])
    why = unfinished(line)
    return frame.assign(crossed=frame["variant"].map(lambda variant: why.get(variant, "")))


def _parts(line: Line) -> Iterator[dict[str, Any]]:
    paper, before = _published(), line.baseline
    for number, part in enumerate(PUBLISHED_SINGLE, 1):
        after, single = _after(number, part), f"only_{part}"
        start = 0.0 if before == line.baseline else _gain(line, before).mean
        yield _bar(part, after, STEP, _gain(line, after, before), math.nan, start)
        yield _bar(part, single, SINGLE, _gain(line, single), paper[part])
        before = after


def _gain(line: Line, variant: str, against: str = "") -> Estimate:
    against = against or line.baseline
    known = groups(line)
    return as_estimate(contrast(line, variant, against)) if {variant, against} <= known.keys() else NO_ESTIMATE


def _sums(line: Line) -> Iterator[dict[str, Any]]:
    paper = _published()
    yield _bar(TOGETHER, ALL, TOGETHER, _gain(line, ALL), paper[ALL])
    yield _bar(SUM, SUM, SUM, _sum(line), paper[SUM])


def _sum(line: Line) -> Estimate:
    """The sum of the single gains: the sum of the means minus as many times the mean of the baseline."""
    singles = [f"only_{part}" for part in PUBLISHED_SINGLE]
    gains = [_gain(line, name) for name in singles]
    if any(math.isnan(one.mean) for one in gains):
        return NO_ESTIMATE
    errors = [page(line).error(groups(line)[name]) for name in (*singles, line.baseline)]
    half = math.nan
    if all(errors) and not any(math.isnan(one.half) for one in gains):
        shares = [*(1.0 for _ in singles), float(len(singles))]
        error = math.hypot(*(share * one.standard_error for share, one in zip(shares, errors, strict=True) if one))
        half = -float(special.ndtri(page(line).level / 2)) * error
    return Estimate(sum(one.mean for one in gains), half, min(one.n for one in gains))


def _after(number: int, part: str) -> str:
    """The variant with the first `number` parts."""
    return f"only_{part}" if number == 1 else ALL if number == len(PUBLISHED_SINGLE) else f"add{number}_{part}"


def _bar(part: str, variant: str, kind: str, gain: Estimate, published: float, start: float = 0.0) -> dict[str, Any]:
    about = {"part": part, "variant": variant, "kind": kind, "start": start, "published": published}
    return about | gain.row()


def _published() -> dict[str, float]:
    """Part -> its published single gain, with those of all parts together and the sum, in points."""
    found = {}
    for part, (study, variant) in PUBLISHED_SINGLE.items():
        known = METRICS["published_gain"].of(published_study(study, find_study(study).baseline))
        found[part] = float(known[variant])
    base = METRICS["published_top1"].of(published_study("activation", "relu"))["relu"]
    top = METRICS["published_top1"].of(published_study(STUDY, "caffenet128"))[ALL]
    return found | {SUM: sum(found.values()), ALL: float(top - base)}


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Draw steps as bars that start at the end of the last one, each with a thin bar of the single gain below."""
    parts = list(dict.fromkeys(frame["part"]))
    ax.axvline(0, color=style.DARK, lw=0.9)
    for entry in frame.itertuples():
        _draw_bar(ax, parts.index(str(entry.part)), entry)
    ends = frame["start"] + frame["gain"]
    reach = [*(frame["gain"] - frame["half"]), *(frame["gain"] + frame["half"]), *(ends - frame["half"])]
    ax.set_xlim(*style.rise([0.0, *reach, *(ends + frame["half"]), *frame["published"], *ends]))
    ax.axhline(len(PUBLISHED_SINGLE) - 0.5, color=style.BEHIND, lw=0.8)
    style.name_rows(ax, [part if part in (SUM, TOGETHER) else f"+ {part}" for part in parts])
    ax.set_xlabel("gain over the baseline, points of top-1")


PLACES = {STEP: (-0.17, 0.34), SINGLE: (0.16, 0.2), TOGETHER: (0.0, 0.5), SUM: (0.0, 0.5)}
"""Kind -> offset of its bar in the row, and height."""


def _draw_bar(ax: Axes, row: int, entry: Any) -> None:
    (shift, height), dark = PLACES[entry.kind], entry.kind in (STEP, TOGETHER)
    if math.isnan(entry.gain):
        style.cross(ax, row + shift)
    else:
        ax.barh(row + shift, entry.gain, height, entry.start, color=style.OURS if dark else style.SEED, zorder=2)
        end = entry.start + entry.gain
        ax.errorbar(end, row + shift, xerr=entry.half, color=style.DARK, lw=0.9, capsize=2, zorder=3)
    if not math.isnan(entry.published):
        place = row + (0.36 if entry.kind == SINGLE else shift)
        ax.plot(entry.published, place, "D", ms=4, color=style.PUBLISHED, zorder=4)
    text = Estimate(entry.gain, entry.half, entry.n).text(METRICS["gain"])
    style.right_of(ax, row, text, 8 if dark else 62, 7, style.DARK if dark else style.FAINT)


NOTE = (
    "Dark: the change from adding a part to those above it, and all together; light: the gain of a single part, and "
    f"the sum of these. Error bars: {INTERVAL}. Diamonds: the published gains of a "
    "single part, of all together and their sum, each over the baseline of its own table. Numbers at the right: dark "
    "and light bars."
)
FIGURES.add("waterfall", "the gain of adding each part in turn, and the sum of single gains", "Mishkin et al. 2017")(
    Figure(data, draw, stacked(0.8, ROW_INCHES, "part"), NOTE, order=4)
)
