"""Several studies in one report: Benjamini and Hochberg over the studies, Dunnett within each.

Benjamini and Bogomolov, "Selective inference on multiple families of hypotheses", JRSS B 2014. The p-value of a line,
for the hypothesis that none of its variants differs, is its smallest adjusted p-value. The Benjamini-Hochberg rule at
level a picks R of m lines; in those a variant is called different if its adjusted p-value is at most a R / m. The
q-value is the smallest level a at which the variant is called different.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from raysweep.analysis.load import Line
from raysweep.analysis.statistics.comparisons import LEVEL, Comparisons, comparisons

QValues = dict[str, float]


def q_values(lines: Sequence[Comparisons]) -> list[QValues]:
    """Variant -> q-value, for each line; lines that compare nothing do not count, and a single line keeps its p."""
    tested = [line for line in lines if line.family]
    ordered = np.sort([line.smallest_p for line in tested])
    ranks = np.arange(1, len(ordered) + 1)
    return [
        {name: float(np.min(len(ordered) / ranks * np.maximum(ordered, line.of[name].p))) for name in line.family}
        for line in lines
    ]


def claims(line: Line, q: QValues) -> dict[str, str]:
    """Variant -> verdict of each comparison of a line, at the level of all lines together."""
    return {name: one.verdict(q.get(name)) for name, one in comparisons(line).of.items()}


def lost(found: Comparisons, q: QValues) -> list[str]:
    """Variants that differ by the test within their study, but not after the correction for all studies."""
    return [name for name in found.family if found.of[name].p <= LEVEL < q.get(name, math.nan)]
