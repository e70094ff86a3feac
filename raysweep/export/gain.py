"""The gain of a trial's variant over its baseline, in the words and numbers of the report."""

from __future__ import annotations

from raysweep.analysis.load import Line, load_lines
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.statistics.comparisons import as_estimate, comparisons, on_one_page
from raysweep.store.store import Store


def gain_text(store: Store, trial: str, study: str = "") -> str:
    """A sentence on the gain of the variant of a trial, with its interval; empty if it is compared with nothing.

    The numbers are those of `raysweep report STUDY`: of `study`, or of the first study in which the trial belongs to a
    variant, since a trial may be the baseline of others.
    """
    own = [row for row in store.members().to_pylist() if row["trial"] == trial and study in ("", row["study"])]
    own.sort(key=lambda row: row["variant"] == row["baseline"])
    if not own:
        return ""
    lines = on_one_page(load_lines(store, [own[0]["study"]]))
    return next((_sentence(line, trial) for line in lines if trial in set(line.trials["trial"])), "")


def _sentence(line: Line, trial: str) -> str:
    variant = str(line.trials.loc[line.trials["trial"] == trial, "variant"].iloc[0])
    if line.is_architecture_search:
        return ""
    if variant == line.baseline:
        return f"It is a run of {variant}, the baseline of the study {line.study}."
    found = comparisons(line)[variant]
    if not found.trained:
        return f"It is a run of {variant} in the study {line.study}: {found.verdict}."
    gain = as_estimate(found).text(METRICS["gain"])
    return (
        f"In the study {line.study}, {variant} gains {gain} points of top-1 over {line.baseline}: {found.verdict} "
        f"({found.n} run{'s' * (found.n > 1)}; raysweep report {line.study} has the same numbers)."
    )
