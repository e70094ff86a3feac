"""What a report says of a line in sentences: headline, caption, what is missing. No more than the intervals allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.load import FINISHED, Line
from analysis.metrics import METRICS
from analysis.statistics.across import QValues, claims, lost
from analysis.statistics.agreement import with_published
from analysis.statistics.comparisons import (
    BETTER,
    LEAST_FOR_BOOTSTRAP,
    ONE_SEED,
    SAME,
    WORSE,
    Comparison,
    Comparisons,
    comparisons,
)
from analysis.statistics.power import MOST_SEEDS, POWER, detectable, seeds_needed
from raysweep.store.waiting import NEXT_STEP, is_bottleneck, wait_share

MOST_NAMES = 5
"""Variants that a headline names; the figure and the table have all."""
LONGEST = 300
"""Characters of an error message that a report shows."""


def headline(line: Line, q: QValues | None = None) -> str:
    """What the study says so far; `q`: in the light of the other studies reported."""
    if line.is_architecture_search:
        return _best_found(line)
    compared = comparisons(line)
    found = {variant: one for variant, one in compared.of.items() if one.gain.n}
    if not found:
        return f"No variant and {line.baseline} have finished with the same seed yet: nothing can be compared."
    if not compared.family:
        return _one_seed(line, found)
    said = claims(line, q or {})
    better, worse = ({name: found[name] for name in found if said[name] == verdict} for verdict in (BETTER, WORSE))
    parts = [
        _named(f"Better than {line.baseline}", better, most_first=True),
        _named("Worse", worse, most_first=False),
        _rest(line.baseline, [said[name] for name in found]),
        _single([name for name in found if said[name] == ONE_SEED]),
        _diverged(compared),
    ]
    return " ".join(part for part in parts if part)


def _best_found(line: Line) -> str:
    trials, finished = line.trials["trial"].nunique(), line.finished.drop_duplicates("trial")
    if finished.empty:
        return f"None of {trials} trials has finished yet."
    tops = METRICS["top1"].of(finished).set_axis(finished["variant"])
    return (
        f"Highest of {len(finished)} finished trials on the images held out: {tops.idxmax()} "
        f"({METRICS['top1'].text(tops.max())} %). Each was "
        "trained once, and the highest of many is lucky: no claim is made. Trained anew, by --retrain 3, it is a study."
    )


def _one_seed(line: Line, found: Mapping[str, Comparison]) -> str:
    whole = {variant: one for variant, one in found.items() if not one.diverged} or found
    best = max(whole, key=lambda variant: whole[variant].gain.mean)
    more = "a search trains each point once" if line.is_search else "run with --seeds 3 for intervals"
    gain = whole[best].gain.text(METRICS["gain"])
    told = f"One seed: no claim is made. Highest so far is {best} ({gain} points); {more}."
    return f"{told} {_diverged(comparisons(line))}".rstrip()


def _named(what: str, found: Mapping[str, Comparison], most_first: bool) -> str:
    if not found:
        return ""
    names = sorted(found, key=lambda variant: found[variant].gain.mean, reverse=most_first)
    with_gains = [f"{name} ({found[name].gain.text(METRICS['gain'])})" for name in names]
    return f"{what}: {_few(with_gains)}."


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"


def _rest(baseline: str, verdicts: Sequence[str]) -> str:
    compared = [verdict for verdict in verdicts if verdict != ONE_SEED]
    rest = compared.count(SAME)
    if not rest:
        return ""
    which = "No variant is" if rest == len(compared) else f"{rest} of {len(compared)} are not"
    return f"{which} distinguishable from the baseline {baseline}."


def _single(names: Sequence[str]) -> str:
    return f"No claim is made for {_few(names)}: one seed." if names else ""


def _diverged(found: Comparisons) -> str:
    named = [f"{variant} ({one.diverged} of {one.trials})" for variant, one in found.of.items() if one.diverged]
    return f"Diverged, so not called better: {_few(named)}." if named else ""


def trust(line: Line, q: QValues | None = None) -> list[str]:
    """How far the numbers go: what is detectable, what more seeds would show, doubts, what other studies take away."""
    found = comparisons(line)
    if not found.family:
        return []
    parts = [_resolution(found), _next_seeds(found), _doubt(found)]
    if gone := lost(found, q or {}):
        parts.append(
            f"Different within this study alone, and not in the light of all studies reported together "
            f"(Benjamini and Hochberg): {_few(gone)}."
        )
    return [part for part in parts if part]


def _resolution(found: Comparisons) -> str:
    return (
        f"Errors: standard deviation {found.sd:.2f} points with {found.df} degrees of freedom. "
        f"With {found.seeds} seeds a gain of {detectable(found):.1f} points is found with a chance of {POWER:.0%}."
    ).replace("%", " %")


def _next_seeds(found: Comparisons) -> str:
    open_ones = {name: found.of[name].gain.mean for name in found.family if found.of[name].verdict() == SAME}
    if not open_ones:
        return ""
    name = max(open_ones, key=lambda variant: abs(open_ones[variant]))
    needed = seeds_needed(open_ones[name], found)
    if needed is not None and needed <= found.seeds:  # large, and missed by bad luck or for its divergence
        return ""
    seeds = f"more than {MOST_SEEDS} seeds" if needed is None else f"{needed} seeds, {needed - found.seeds} more"
    gain = METRICS["gain"].text(open_ones[name])
    return f"The largest difference not distinguishable is that of {name} ({gain}); one of this size needs {seeds}."


def _doubt(found: Comparisons) -> str:
    if not found.doubtful:
        return ""
    doubt = f"The errors are not normal (Shapiro and Wilk, p {_equal(found.normal_p)})"
    if any(one.bootstrap for one in found.of.values()):
        return f"{doubt}: a variant is called different only where the bootstrap interval (BCa) excludes 0 too."
    return f"{doubt}: p-values are approximate, and {LEAST_FOR_BOOTSTRAP} seeds are needed to check them by resampling."


def _equal(p: float) -> str:
    text = METRICS["p"].text(p)
    return text if text.startswith("<") else f"= {text}"


def agreement_words(line: Line) -> str:
    """Our order beside the published one, in a sentence; nothing where it was never published."""
    found = with_published(line)
    return f"Rank agreement with the published order over {found.n} variants: Kendall's tau {found}." if found else ""


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
    rows = rows.sort_values(["order", "seed"], kind="stable")
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
