"""The best value so far of every search against the cost of finding it, in evaluations and in simulated hours.

Regret, if the best value of the space is known, is the difference between that and the best value so far.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from raysweep.analysis.figures import OVERVIEWS, Evidence, Overview, stacked
from raysweep.analysis.figures import _style as style
from raysweep.analysis.figures._searches import SHARED, evaluated, numbers
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.statistics.comparisons import MEAN_INTERVAL, estimate

STEPS = 200
"""Points of a curve, in addition to those where searches begin and end."""
BEGUN = 0.1
"""Share of the axis after which all values must be in the panel; the first values are far below."""
AXES: Mapping[str, str] = {"evaluations": "evaluations", "hours": "simulated hours"}
VALUES: Mapping[bool, str] = {False: METRICS["top1"].label, True: "regret, points of top-1"}
PANEL_INCHES = 2.3
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Anytime:
    """A figure of best values so far against some columns, as accuracy or as regret."""

    against: tuple[str, ...]
    regret: bool = False

    def data(self, evidence: Evidence) -> pd.DataFrame:
        """One row per search and step: `x`, its `best` so far, and the `mean` and `half` over the `n` active seeds.

        `seeds` is the number of searches of the method. A search is active from its first evaluation that counts to its
        last one. Empty if nothing has finished; regret, also in points, needs rows with an `optimum` (0..1).
        """
        rows = evaluated(evidence)
        rows = rows[rows["epochs"] != SHARED]  # scores of shared weights in training are not best values so far
        if self.regret:
            best = 100 * rows.get("optimum", pd.Series(math.nan, rows.index)).astype(float)
            rows = rows.assign(top1=best - rows["top1"])[best.notna()]
        begun = (own for _, own in rows.groupby("panel") if own["top1"].notna().any())
        curves = [curve for own in begun for curve in self._curves(own)]
        return pd.concat(curves, ignore_index=True) if curves else pd.DataFrame()

    def _curves(self, panel: pd.DataFrame) -> Iterator[pd.DataFrame]:
        """The curves of the methods of a panel, on steps that they share."""
        for against in self.against:
            steps = steps_of(panel, against)
            for method, own in panel.groupby("method"):
                about = {"panel": panel["panel"].iloc[0], "against": against, "method": method}
                found = over_seeds(own, against, steps, self.regret)
                yield found.assign(**about, caption=panel["caption"].iloc[0])

    def draw(self, frame: pd.DataFrame, ax: Axes) -> None:
        """Draw a panel for each set of searches that can be compared, and for each axis."""
        number, groups = numbers(frame["method"]), list(frame.groupby(["panel", "against"], sort=False))
        panels = style.fill(ax, len(groups))
        for (_, own), panel in zip(groups, panels, strict=True):
            _panel(panel, own, number, self.regret)
        style.key_above(panels[0], list(number))


def steps_of(rows: pd.DataFrame, against: str) -> Floats:
    """The steps of curves: evenly spaced, with those at which a search has its first value or ends."""
    first, last = rows[against].min(), rows[against].max()
    even = np.linspace(first, last, STEPS)
    begins, ends = rows.dropna(subset="top1").groupby("search")[against].min(), rows.groupby("search")[against].max()
    return np.unique([*(even.round() if against == "evaluations" else even), *begins, *ends])


def over_seeds(rows: pd.DataFrame, against: str, steps: Floats, regret: bool) -> pd.DataFrame:
    """The best value so far of each search of a method at these steps, and their mean with its interval."""
    searches = list(rows.groupby("search"))
    best = np.array([best_at(own, against, steps, regret) for _, own in searches])
    means = [estimate(column[~np.isnan(column)].tolist()) for column in best.T]
    shared = {"mean": [m.mean for m in means], "half": [m.half for m in means], "n": [m.n for m in means]}
    seeds = [pd.DataFrame({"x": steps, "best": line, "seed": own["seed"].iloc[0], **shared})
             for line, (_, own) in zip(best, searches, strict=True)]  # fmt: skip
    return pd.concat(seeds, ignore_index=True).assign(seeds=len(searches))


def best_at(rows: pd.DataFrame, against: str, steps: Floats, regret: bool) -> Floats:
    """The best value so far of one search as a step function; NaN before its first value and after its end."""
    values = rows["top1"].cummin() if regret else rows["top1"].cummax()
    times, known = rows[against].to_numpy(dtype=float), values.ffill().to_numpy(dtype=float)
    place = np.searchsorted(times, steps, side="right") - 1
    active = (place >= 0) & (steps <= times[-1])
    return np.where(active, known[place], np.nan)


def _panel(panel: Axes, frame: pd.DataFrame, number: Mapping[str, int], regret: bool) -> None:
    for method, own in frame.groupby("method", sort=False):
        shade = style.colour(str(method), number[str(method)])
        for _, seed in own.groupby("seed"):
            _seed(panel, seed.dropna(subset="best"), shade, own["x"][own["n"] > 0].max())
        _mean(panel, own.drop_duplicates("x"), shade)
    _scale(panel, frame, regret)
    style.small(panel, AXES[frame["against"].iloc[0]], VALUES[regret])
    style.title(panel, str(frame["panel"].iloc[0]))


def _seed(panel: Axes, rows: pd.DataFrame, shade: str, last: float) -> None:
    """Draw one search with a vertex at each change, and a dot at its end if others of its method go on."""
    if rows.empty:
        return
    kept = rows[(rows["best"] != rows["best"].shift()) | (rows["x"] == rows["x"].max())]
    panel.plot(kept["x"], kept["best"], drawstyle="steps-post", color=shade, lw=0.5, alpha=0.3, zorder=2)
    if rows["x"].max() < last:
        panel.plot(kept["x"].iloc[-1:], kept["best"].iloc[-1:], "o", ms=2.4, color=shade, alpha=0.6, mec="none")


def _mean(panel: Axes, rows: pd.DataFrame, shade: str) -> None:
    """Draw the mean, dotted where some seeds are missing: the others are not a fair sample of all."""
    whole, most = rows["n"] == rows["seeds"], 2 * rows["n"] >= rows["seeds"]
    panel.plot(rows["x"], rows["mean"].where(most), ":", drawstyle="steps-post", color=shade, lw=1.3, zorder=3)
    panel.plot(rows["x"], rows["mean"].where(whole), drawstyle="steps-post", color=shade, lw=1.5, zorder=4)
    half = rows["half"].where(whole)
    low, high = rows["mean"] - half, rows["mean"] + half
    panel.fill_between(rows["x"], low, high, step="post", color=shade, alpha=0.13, lw=0, zorder=1)


def _scale(panel: Axes, frame: pd.DataFrame, regret: bool) -> None:
    """Scale the axes: regret logarithmically, accuracy to all seeds after the beginning."""
    panel.margins(x=0.02)
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=frame["against"].iloc[0] == "evaluations"))
    if regret:
        drawn = frame["mean"][(frame["mean"] > 0) & (2 * frame["n"] >= frame["seeds"])]
        _scale_log(panel, drawn.min(), frame["best"].max())
        return
    begun = frame["x"] >= frame["x"].min() + BEGUN * (frame["x"].max() - frame["x"].min())
    panel.set_ylim(*style.rise(frame["best"][begun], 0.06, 0.1))
    panel.yaxis.set_major_locator(MaxNLocator(5))


def _scale_log(panel: Axes, low: float, high: float) -> None:
    if not low > 0:  # every search started with the best value of the space
        low = high = 1.0
    panel.set_ylim(low / 3, 1.3 * high)
    panel.set_yscale("log")
    style.log_ticks(panel.yaxis, "{:g}".format, (1,) if high > 30 * low else (1, 2, 5))


NOTE = (
    f"Best so far on held-out images, mean over seeds; bands: pointwise {MEAN_INTERVAL} of the mean; thin lines: "
    "single seeds, with a dot where one ended before others. Dotted, without a band: some seeds have not begun or have "
    "ended, so the others, at least half, are not a fair sample. If a method chooses the length of training, only the "
    "longest trainings have values, but shorter ones count as evaluations."
)
HOURS = (
    "Simulated hours: as if a search had never been interrupted and had shared its workers with no other; a cached "
    "result costs what its training cost."
)
REGRET = "Regret: points below the best value of the space. Searches that have found it are below the axis."


def _add(name: str, summary: str, figure: Anytime, note: str, order: int) -> None:
    height = stacked(0.6, PANEL_INCHES, "panel", "against", across=2)
    OVERVIEWS.add(name, summary)(Overview(figure.data, figure.draw, height, note, order))


_add("search_evaluations", "best architecture so far against evaluations", Anytime(("evaluations",)), NOTE, 10)
_add("search_hours", "best architecture so far against simulated hours", Anytime(("hours",)), f"{NOTE} {HOURS}", 11)
_add("search_regret", "regret against evaluations and simulated hours",
     Anytime(("evaluations", "hours"), regret=True), f"{REGRET} {NOTE} {HOURS}", 12)  # fmt: skip
