"""What a report says of a line in sentences: headline, caption, what is missing. No more than the intervals allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.load import FINISHED, Line
from analysis.metrics import METRICS
from analysis.stats import CONFIDENCE, Estimate, gains
from raysweep.waiting import NEXT_STEP, is_bottleneck, wait_share

MOST_NAMES = 5
"""Variants that a headline names; the figure and the table have all."""
LONGEST = 300
"""Characters of an error message that a report shows."""


def headline(line: Line) -> str:
    """What the study says so far."""
    found = {variant: gain for variant, gain in gains(line).items() if variant != line.baseline and gain.n}
    if not found:
        return f"No variant and {line.baseline} have finished with the same seed yet: nothing can be compared."
    if all(gain.n < 2 for gain in found.values()):
        best = max(found, key=lambda variant: found[variant].mean)
        gain = f"{found[best].text(METRICS['gain'])} points"
        more = "a search trains each point once" if line.is_search else "run with --seeds 3 for intervals"
        return f"One seed: no claim is made. Highest so far is {best} ({gain}); {more}."
    sure = {variant: gain for variant, gain in found.items() if gain.excludes_0}
    better = {variant: gain for variant, gain in sure.items() if gain.mean > 0}
    worse = {variant: gain for variant, gain in sure.items() if gain.mean < 0}
    parts = [
        _named(f"Better than {line.baseline}", better, most_first=True),
        _named("Worse", worse, most_first=False),
        _rest(line.baseline, found),
        _single(found),
    ]
    return " ".join(part for part in parts if part)


def _named(what: str, found: dict[str, Estimate], most_first: bool) -> str:
    if not found:
        return ""
    names = sorted(found, key=lambda variant: found[variant].mean, reverse=most_first)
    shown = [f"{name} ({found[name].text(METRICS['gain'])})" for name in names[:MOST_NAMES]]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{what}: {', '.join(shown)}{more}."


def _rest(baseline: str, found: dict[str, Estimate]) -> str:
    compared = [gain for gain in found.values() if gain.n > 1]
    rest = [gain for gain in compared if not gain.excludes_0]
    if not rest:
        return ""
    which = "No variant is" if len(rest) == len(compared) else f"{len(rest)} of {len(compared)} are not"
    return f"{which} distinguishable from the baseline {baseline}."


def _single(found: dict[str, Estimate]) -> str:
    single = [variant for variant, gain in found.items() if gain.n == 1]
    return f"No claim is made for {', '.join(single)}: one seed." if single else ""


def chance(line: Line) -> str:
    """How many intervals of this many would exclude 0 by chance; nothing where that is not yet an issue."""
    compared = sum(gain.n > 1 for variant, gain in gains(line).items() if variant != line.baseline)
    expected = (1 - CONFIDENCE) * compared
    if expected < 0.5:
        return ""
    return (
        f"Each of the {compared} intervals is taken alone: were no variant different from the baseline, about "
        f"{expected:.0f} of them would still exclude 0."
    )


def caption(line: Line) -> str:
    """What a reader must know of the numbers: study, protocol, images, epochs, device, seeds, interval."""
    recipe = line.baseline_recipe
    data = ", ".join(line.present("data_name")) or "no images yet"
    device = ", ".join(line.present("device")) or "no device yet"
    where = f"Study {line.study}, protocol {line.protocol} on {data}, {recipe.training.epochs:g} epochs, {device}."
    return f"{where} {_seeds(line)}"


def _seeds(line: Line) -> str:
    counts = line.finished.groupby("variant")["seed"].nunique()
    if not len(counts):
        return "No trial has finished."
    if counts.max() == 1:
        return "n = 1 seed: no intervals, no claim."
    n = f"n = {counts.min()}" if counts.nunique() == 1 else f"n = {counts.min()} to {counts.max()}"
    return f"{n} seeds."


def waiting(line: Line) -> str:
    """How much of the trials' time was spent waiting for images, and what helps where that is a lot; in a sentence."""
    timed = line.trials[line.trials["data_wait"].notna()]
    if timed.empty:
        return ""
    share = wait_share(timed["data_wait_s"].sum(), timed["wall_s"].sum())
    means = timed.groupby("variant")["data_wait"].mean()
    worst, most = means.idxmax(), float(means.max())
    told = f"Data wait: {share:.0%} of the time of training and testing, at most {most:.0%} ({worst})."
    if not is_bottleneck(most):
        return told
    return f"{told} Data is a bottleneck there: {NEXT_STEP}."


def missing(line: Line) -> list[str]:
    """Every trial that has no final accuracy, and why."""
    rows = line.trials[(line.trials["status"] != FINISHED) | line.trials["top1"].isna()]
    rows = rows.sort_values(["order", "seed"])
    return [f"{row.variant}, seed {row.seed} ({row.trial}): {_why(row)}" for row in rows.itertuples()]


def _why(row: Any) -> str:
    if row.status == "diverged":
        return "diverged" if pd.isna(row.diverged_epoch) else f"diverged in epoch {row.diverged_epoch:.0f}"
    if row.status == "failed":
        return f"failed: {last_line(row.error)}"
    planned = "" if pd.isna(row.planned_epochs) else f" of {row.planned_epochs:.0f}"
    return f"{row.status}, {row.epochs}{planned} epochs done"


def last_line(error: Any) -> str:
    """The line of a traceback that says what went wrong."""
    lines: Sequence[str] = str(error).strip().splitlines() if isinstance(error, str) else []
    return lines[-1][:LONGEST] if lines else "no message"
