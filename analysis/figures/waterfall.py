"""All improvements together: each gain added in turn, and the sum of the single gains against the combined gain."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from analysis.figures import FIGURES, Figure
from analysis.figures import _look as look
from analysis.load import Line
from analysis.metrics import METRICS
from analysis.published import published_study
from analysis.statistics.comparisons import Estimate, estimate, tops, unfinished
from raysweep.study import find_study

STUDY, ALL = "combined", "caffenet128_all"
PUBLISHED_ALONE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "elu": ("activation", "elu"),
        "colorspace": ("learned_colorspace", "vlrelu_10_3"),
        "max_plus_average": ("pooling", "max_plus_average"),
        "spp3": ("classifier", "spp3_fc_fc_clf"),
        "linear": ("lr_policy", "linear"),
        "nesterov": ("solver", "nesterov_step"),
    }
)
"""Part -> study and variant that it was published in alone."""
ALONE, STEP, SUM, TOGETHER = "alone", "step", "sum of all alone", "all together"
COLUMNS = ("part", "variant", "kind", "start", "gain", "half", "n", "published", "crossed")
ROW_INCHES = 0.3


def data(line: Line) -> pd.DataFrame:
    """One row a bar: `part`, `kind`, `start`, `gain`, `half`, `n`, `published`, `crossed`; points of top-1.

    A step is the gain of adding a part to those before it and starts where they ended; seeds count that have both.
    The sum of the single gains is over seeds that have all of them.
    """
    if line.study != STUDY or line.finished.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    over = tops(line).reindex(columns=[variant.name for variant in find_study(STUDY).variants])
    over = over.sub(over[line.baseline], axis=0)  # gains over the baseline, by seed
    frame = pd.DataFrame([*_parts(over, line.baseline), *_sums(over)], columns=list(COLUMNS))
    why = unfinished(line)
    return frame.assign(crossed=frame["variant"].map(lambda variant: why.get(variant, "")))


def _parts(over: pd.DataFrame, baseline: str) -> Iterator[dict[str, Any]]:
    paper, before = _published(), baseline
    for number, part in enumerate(PUBLISHED_ALONE, 1):
        after, alone = _after(number, part), f"only_{part}"
        yield _bar(part, after, STEP, over[after] - over[before], math.nan, over[before].mean())
        yield _bar(part, alone, ALONE, over[alone], paper[part])
        before = after


def _sums(over: pd.DataFrame) -> Iterator[dict[str, Any]]:
    paper, alone = _published(), over[[f"only_{part}" for part in PUBLISHED_ALONE]]
    yield _bar(TOGETHER, ALL, TOGETHER, over[ALL], paper[ALL])
    yield _bar(SUM, SUM, SUM, alone.sum(axis=1, skipna=False), paper[SUM])


def _after(number: int, part: str) -> str:
    """The variant with the first `number` parts."""
    return f"only_{part}" if number == 1 else ALL if number == len(PUBLISHED_ALONE) else f"add{number}_{part}"


def _bar(part: str, variant: str, kind: str, gains: pd.Series, published: float, start: float = 0.0) -> dict[str, Any]:
    found = estimate(gains.dropna().tolist())
    values = {"start": start, "gain": found.mean, "half": found.half, "n": found.n, "published": published}
    return {"part": part, "variant": variant, "kind": kind} | values


def _published() -> dict[str, float]:
    """Part -> published gain of it alone, of all, and the sum; points."""
    found = {}
    for part, (study, variant) in PUBLISHED_ALONE.items():
        known = METRICS["published_gain"].of(published_study(study, find_study(study).baseline))
        found[part] = float(known[variant])
    base = METRICS["published_top1"].of(published_study("activation", "relu"))["relu"]
    top = METRICS["published_top1"].of(published_study(STUDY, "caffenet128"))[ALL]
    return found | {SUM: sum(found.values()), ALL: float(top - base)}


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """One row a part, and two for the sums."""
    return 7.4, 0.8 + ROW_INCHES * frame["part"].nunique()


def draw(frame: pd.DataFrame, ax: Axes) -> None:
    """Steps as bars from where the last one ended; under each a thin bar of the part alone."""
    parts = list(dict.fromkeys(frame["part"]))
    ax.axvline(0, color=look.DARK, lw=0.9)
    for entry in frame.itertuples():
        _draw_bar(ax, parts.index(str(entry.part)), entry)
    ends = frame["start"] + frame["gain"]
    reach = [*(frame["gain"] - frame["half"]), *(frame["gain"] + frame["half"]), *(ends - frame["half"])]
    ax.set_xlim(*look.rise([0.0, *reach, *(ends + frame["half"]), *frame["published"], *ends]))
    ax.set_ylim(len(parts) - 0.4, -0.6)
    ax.axhline(len(PUBLISHED_ALONE) - 0.5, color=look.BEHIND, lw=0.8)
    names = [part if part in (SUM, TOGETHER) else f"+ {part}" for part in parts]
    ax.set_yticks(range(len(parts)), names)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("gain over the baseline, points of top-1")


SHADES = {STEP: look.OURS, ALONE: look.SEED, TOGETHER: look.OURS, SUM: look.SEED}
PLACES = {STEP: (-0.17, 0.34), ALONE: (0.16, 0.2), TOGETHER: (0.0, 0.5), SUM: (0.0, 0.5)}
"""Kind -> where in its row the bar is, and how high."""


def _draw_bar(ax: Axes, row: int, entry: Any) -> None:
    shift, height = PLACES[entry.kind]
    beside: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
    if math.isnan(entry.gain):
        look.cross(ax, row + shift)
    else:
        ax.barh(row + shift, entry.gain, height, entry.start, color=SHADES[entry.kind], zorder=2)
        if not math.isnan(entry.half):
            at = entry.start + entry.gain
            ax.errorbar(at, row + shift, xerr=entry.half, color=look.DARK, lw=0.9, capsize=2, zorder=3)
    if not math.isnan(entry.published):
        place = row + (0.36 if entry.kind == ALONE else shift)
        ax.plot(entry.published, place, "D", ms=4, color=look.PUBLISHED, zorder=4)
    text = Estimate(entry.gain, entry.half, entry.n).text(METRICS["gain"])
    far = {STEP: 8, ALONE: 62, TOGETHER: 8, SUM: 62}[entry.kind]
    shade = look.DARK if entry.kind in (STEP, TOGETHER) else look.FAINT
    ax.annotate(text, (1, row), (far, 0), **beside, fontsize=7, color=shade)


NOTE = (
    "Dark: what adding a part to those above it changes, and all together; light: a part alone, and the sum of all "
    f"alone. At their ends: {look.STUDENT} of the change, paired by seed. Diamonds: published gains of a part alone, "
    "of all together and their sum, each over the baseline of its own table. Right: the numbers, dark and light."
)
FIGURES.add("waterfall", "each gain added in turn, and the sum of single gains", "Mishkin et al. 2017")(
    Figure(data, draw, size, NOTE, order=4)
)
