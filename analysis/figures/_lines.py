"""What overviews ask of lines: which of them were run under the same conditions, and gains over any variant."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from analysis.figures import Evidence
from analysis.load import Line
from analysis.statistics.comparisons import Estimate, estimate
from raysweep.identity import canonical_json
from raysweep.study import find_study


def lines_of(evidence: Evidence, studies: Iterable[str]) -> list[Line]:
    """The lines of these studies with a result."""
    wanted = set(studies)
    return [line for line in evidence.lines if line.study in wanted and not line.finished.empty]


def conditions(line: Line) -> str:
    """Protocol and settings but for what the study's own baseline changes: equal for lines that can be compared."""
    own = find_study(line.study).variant(line.baseline).patch
    kept = {path: value for path, value in line.settings().items() if path not in own}
    images = line.present("data_digest")
    return canonical_json({"protocol": line.protocol, "settings": kept, "images": images})


def gain_over(line: Line, variant: str, reference: str) -> Estimate:
    """Gain of one variant over another in points of top-1, paired by seed."""
    tops = line.finished.pivot_table(index="seed", columns="variant", values="top1")
    tops = 100 * tops.reindex(columns=[variant, reference])
    difference: pd.Series = tops[variant] - tops[reference]
    return estimate(difference.dropna().tolist())
