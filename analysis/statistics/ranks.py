"""The order of the variants of a line: which may be the best, and where those stand that did not train."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from raysweep.analysis.contrasts import Floats
from raysweep.analysis.load import Line, once_a_line
from raysweep.analysis.statistics.comparisons import comparisons, groups, page
from raysweep.deciding.allocation import Standing, standing_of
from raysweep.deciding.verdicts import Outcome

TOP = 3


@once_a_line
def standing(line: Line) -> Standing | None:
    """Draws of the true mean of each variant that trained; None if the errors are unknown."""
    spread = page(line).spreads.get(line.protocol)
    found = comparisons(line)
    runs = {
        name: group.runs
        for name, group in groups(line).items()
        if group.values and not (name in found and found[name].verdict == Outcome.DID_NOT_TRAIN)
    }
    return standing_of(runs, spread) if spread and len(runs) > 1 else None


@once_a_line
def chances(line: Line) -> Mapping[str, tuple[float, float]]:
    """Variant -> its probabilities to be the best and among the best three; empty if no contrast has an interval."""
    now = standing(line)
    if now is None or not any(one.tested for one in comparisons(line).values()):
        return {}
    best, top = now.top(1), now.top(TOP)
    out = {name: (0.0, 0.0) for name, one in comparisons(line).items() if one.verdict == Outcome.DID_NOT_TRAIN}
    return out | {name: (best[name], top[name]) for name in now.names}


@once_a_line
def ranked(line: Line) -> pd.Series:
    """Mean top-1 of the variants by name, in points, the best first; those that did not train come last.

    The latter have made-up values below all others, equal ones, so that an order can be computed.
    """
    found, values = comparisons(line), groups(line)
    last = [name for name, one in found.items() if one.verdict == Outcome.DID_NOT_TRAIN]
    means = {name: group.runs.mean for name, group in values.items() if group.values and name not in last}
    floor = min(means.values(), default=0.0) - 1.0
    series = pd.Series(means | dict.fromkeys(last, floor), dtype=float)
    return series.sort_values(ascending=False, kind="stable")


def drawn(line: Line, names: list[str]) -> Floats | None:
    """Draws of the true means of these variants, one row a draw; those that did not train below all others."""
    now = standing(line)
    if now is None or not names:
        return None
    columns = dict(zip(now.names, now.draws.T, strict=True))
    floor = np.full(len(now.draws), now.draws.min() - 1.0)
    return np.column_stack([columns.get(name, floor) for name in names])
