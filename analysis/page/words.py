"""The sentences of a report on a line: headline, caveats, missing trials. None claims more than the intervals allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from raysweep.analysis.load import FINISHED, Line
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.statistics.across import QValues, claims, lost
from raysweep.analysis.statistics.agreement import with_published
from raysweep.analysis.statistics.comparisons import (
    BETTER,
    LEAST_FOR_BOOTSTRAP,
    ONE_SEED,
    SAME,
    WORSE,
    Comparison,
    Comparisons,
    comparisons,
)
from raysweep.analysis.statistics.power import MOST_SEEDS, POWER, detectable, seeds_needed
from raysweep.store.waiting import NEXT_STEP, is_bottleneck, wait_share

MOST_NAMES = 5
"""Most variants that a headline names; the figure and the table have all."""
LONGEST = 300
"""Most characters of an error message that a report shows."""


def headline(line: Line, q: QValues | None = None) -> str:
    """The findings of a study so far; with `q`, at the level of all studies in the report."""
    if line.is_architecture_search:
        return _best_found(line)
    compared = comparisons(line)
    found = {variant: one for variant, one in compared.of.items() if one.gain.n}
    if not found:
        return f"Nothing to compare yet: {line.baseline} and another variant must both finish with the same seed."
    if not compared.family:
        return _one_seed(line, found)
    verdicts = claims(line, q or {})
    better, worse = ({name: found[name] for name in found if verdicts[name] == verdict} for verdict in (BETTER, WORSE))
    single = [name for name in found if verdicts[name] == ONE_SEED]
    parts = [
        _with_gains(f"Better than {line.baseline}", better, largest_first=True),
        _with_gains("Worse", worse, largest_first=False),
        _rest(line.baseline, [verdicts[name] for name in found]),
        f"No claim is made for {_few(single)}: one seed." if single else "",
        _diverged(compared),
    ]
    return " ".join(part for part in parts if part)


def _best_found(line: Line) -> str:
    trials, finished = line.trials["trial"].nunique(), line.finished.drop_duplicates("trial")
    if finished.empty:
        return f"None of the {trials} trials has finished yet."
    tops = METRICS["top1"].of(finished).set_axis(finished["variant"])
    return (
        f"Highest of {len(finished)} finished trials on the held-out images: {tops.idxmax()} "
        f"({METRICS['top1'].text(tops.max())} %). Each was trained once, and the highest of many is partly luck, so no "
        "claim is made. Retrain it from scratch with several seeds (--retrain 3) for a comparison."
    )


def _one_seed(line: Line, found: Mapping[str, Comparison]) -> str:
    whole = {variant: one for variant, one in found.items() if not one.diverged} or found
    best = max(whole, key=lambda variant: whole[variant].gain.mean)
    more = "a search trains each point once" if line.is_search else "run with --seeds 3 for intervals"
    gain = whole[best].gain.text(METRICS["gain"])
    highest = f"One seed: no claim is made. The highest so far is {best} ({gain} points); {more}."
    return f"{highest} {_diverged(comparisons(line))}".rstrip()


def _with_gains(what: str, found: Mapping[str, Comparison], largest_first: bool) -> str:
    if not found:
        return ""
    names = sorted(found, key=lambda variant: found[variant].gain.mean, reverse=largest_first)
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


def _diverged(found: Comparisons) -> str:
    names = [f"{variant} ({one.diverged} of {one.trials})" for variant, one in found.of.items() if one.diverged]
    return f"Not called better because trials diverged: {_few(names)}." if names else ""


def trust(line: Line, q: QValues | None = None) -> list[str]:
    """Caveats: the detectable gain, the seeds needed, doubts about the errors, claims lost to the correction."""
    found = comparisons(line)
    if not found.family:
        return []
    parts = [_resolution(found), _next_seeds(found), _doubt(found)]
    if gone := lost(found, q or {}):
        parts.append(
            "Different by the test within this study, but not after the correction for all studies in this report "
            f"(Benjamini and Hochberg): {_few(gone)}."
        )
    return [part for part in parts if part]


def _resolution(found: Comparisons) -> str:
    return (
        f"Standard deviation of the errors: {found.sd:.2f} points with {found.df} degrees of freedom. With "
        f"{found.seeds} seeds a gain of {detectable(found):.1f} points is detected with a probability of {POWER:.0%}."
    ).replace("%", " %")


def _next_seeds(found: Comparisons) -> str:
    open_ones = {name: found.of[name].gain.mean for name in found.family if found.of[name].verdict() == SAME}
    if not open_ones:
        return ""
    name = max(open_ones, key=lambda variant: abs(open_ones[variant]))
    needed = seeds_needed(open_ones[name], found)
    if needed is not None and needed <= found.seeds:  # large, but missed by bad luck or because trials diverged
        return ""
    seeds = f"more than {MOST_SEEDS} seeds" if needed is None else f"{needed} seeds, {needed - found.seeds} more"
    gain = METRICS["gain"].text(open_ones[name])
    return f"The largest difference that is not distinguishable is that of {name} ({gain}); this size needs {seeds}."


def _doubt(found: Comparisons) -> str:
    if not found.doubtful:
        return ""
    p = METRICS["p"].text(found.normal_p)
    doubt = f"The errors are not normally distributed (Shapiro and Wilk, p {p if p.startswith('<') else f'= {p}'})"
    if any(one.bootstrap for one in found.of.values()):
        return f"{doubt}: a variant is called different only if the bootstrap interval (BCa) also excludes 0."
    return f"{doubt}: p-values are approximate; checking them by resampling takes {LEAST_FOR_BOOTSTRAP} seeds."


def agreement_words(line: Line) -> str:
    """A sentence on the agreement of our order with the published one; empty if there is no published order."""
    found = with_published(line)
    return f"Rank agreement with the published order over {found.n} variants: Kendall's tau {found}." if found else ""


def waiting(line: Line) -> str:
    """The share of the trials' time that was spent waiting for images, with advice if it is large."""
    timed = line.trials[line.trials["data_wait"].notna()]
    if timed.empty:
        return ""
    share = wait_share(timed["data_wait_s"].sum(), timed["wall_s"].sum())
    means = timed.groupby("variant")["data_wait"].mean()
    worst, most = means.idxmax(), float(means.max())
    waited = f"Trials waited for data {share:.0%} of their time, at most {most:.0%} ({worst})."
    return f"{waited} Data is a bottleneck there: {NEXT_STEP}." if is_bottleneck(most) else waited


def missing(line: Line) -> list[str]:
    """Every trial without a final accuracy, and why it has none."""
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
    """The last line of a traceback, which has the error."""
    lines: Sequence[str] = str(error).strip().splitlines() if isinstance(error, str) else []
    return lines[-1][:LONGEST] if lines else "no message"
