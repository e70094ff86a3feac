"""The sentences of a report on a line: headline, caveats, missing trials. None claims more than the verdicts do."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from raysweep.analysis.contrasts import LEVEL, NOTHING, ONE_SEED, Contrast, Contrasts
from raysweep.analysis.load import FINISHED, Line
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.statistics.agreement import with_published
from raysweep.analysis.statistics.comparisons import as_estimate, comparisons, finals, groups, page
from raysweep.analysis.statistics.power import MOST_SEEDS, POWER, detectable, seeds_needed
from raysweep.deciding.verdicts import Outcome
from raysweep.store.waiting import NEXT_STEP, is_bottleneck, wait_share

MOST_NAMES = 5
"""Most variants that a headline names; the figure and the table have all."""
LONGEST = 300
"""Most characters of an error message that a report shows."""


def controlled(lines: Sequence[Line]) -> str:
    """What the intervals, adjusted p-values and verdicts of a page promise, in a few sentences."""
    raced = _controlled_by_races(lines)
    if lines and page(lines[0]).tested:
        together = _controlled_together(page(lines[0]), "other " if raced else "")
        return f"{together} {raced}".rstrip()
    return raced or "No contrast has two seeds of both variants: no claim is made."


def _controlled_by_races(lines: Sequence[Line]) -> str:
    """What the verdicts of `raysweep decide` promise; empty if the page has none."""
    asked = {line.study: question for line in lines for question in line.asked}
    if not asked:
        return ""
    last = " The final comparison has a 95 % interval of its own." if finals(lines) else ""
    level = 100 * max(question.level for question in asked.values())
    return (
        f"Gains, intervals and verdicts of {_few(list(asked))} are those of raysweep decide at its last look: with a "
        f"probability of {100 - level:.3g} % all verdicts of a question are right, over every look at its runs and "
        f"wherever it stops. Such intervals are wider than those of a single look, and have no adjusted p.{last}"
    )


def _controlled_together(found: Contrasts, other: str) -> str:
    """What the claims that are made together promise."""
    return (
        f"At most {LEVEL:.0%} of the {other}claims on this page (better, worse, equal within {points(found.margin)}) "
        f"are expected to be wrong. {found.different} of {found.tested} distinct {other}contrasts with a baseline "
        f"differ. Every {other}interval of a gain has a coverage of {1 - found.level:.1%}; that of a variant that "
        "trained excludes 0 exactly if the verdict is better or worse, so if the adjusted p is at most 0.05 (Benjamini "
        "and Yekutieli 2005)."
    ).replace("%", " %")


def points(margin: float) -> str:
    """A margin with its unit."""
    return f"{margin:g} point{'s' if margin != 1 else ''}"


def headline(line: Line) -> str:
    """The findings of a study so far, at the level of the page."""
    if line.is_architecture_search:
        return _best_found(line)
    compared = comparisons(line)
    if groups(line)[line.baseline].ended and not groups(line)[line.baseline].values:
        return f"Nothing can be compared: the baseline {line.baseline} did not train."
    found = {variant: one for variant, one in compared.items() if one.ended and one.verdict != NOTHING}
    if not found:
        return f"Nothing to compare yet: {line.baseline} and another variant must both finish."
    if not line.asked and not any(one.tested for one in found.values()):
        return _one_seed(line, found)
    of = {verdict: {name: one for name, one in found.items() if one.verdict == verdict} for verdict in Outcome}
    single = [name for name in found if found[name].verdict == ONE_SEED]
    parts = [
        _with_gains(f"Better than {line.baseline}", of[Outcome.BETTER], largest_first=True),
        _with_gains("Worse", of[Outcome.WORSE], largest_first=False),
        *_equal(of[Outcome.EQUAL]),
        _did_not_train(compared),
        _rest(line.baseline, list(found.values())),
        f"No claim is made for {_few(single)}: one seed." if single else "",
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


def _one_seed(line: Line, found: Mapping[str, Contrast]) -> str:
    whole = {variant: one for variant, one in found.items() if one.trained}
    if not whole:
        return _did_not_train(found)
    best = max(whole, key=lambda variant: whole[variant].gain)
    more = "a search trains each point once" if line.is_search else "run with --seeds 3 for intervals"
    gain = as_estimate(whole[best]).text(METRICS["gain"])
    highest = f"One seed: no claim is made. The highest so far is {best} ({gain} points); {more}."
    return f"{highest} {_did_not_train(found)}".rstrip()


def _with_gains(what: str, found: Mapping[str, Contrast], largest_first: bool) -> str:
    if not found:
        return ""
    names = sorted(found, key=lambda variant: found[variant].gain, reverse=largest_first)
    with_gains = [f"{name} ({as_estimate(found[name]).text(METRICS['gain'])})" for name in names]
    return f"{what}: {_few(with_gains)}."


def _equal(found: Mapping[str, Contrast]) -> Iterator[str]:
    for margin in sorted({one.margin for one in found.values()}):
        own = {name: one for name, one in found.items() if one.margin == margin}
        yield _with_gains(f"Equal within {points(margin)}", own, largest_first=True)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"


def _rest(baseline: str, found: Sequence[Contrast]) -> str:
    compared = [one for one in found if one.verdict in set(Outcome)]
    rest = sum(one.verdict == Outcome.UNDECIDED for one in compared)
    if not rest:
        return ""
    which = "No variant is" if rest == len(compared) else f"{rest} of {len(compared)} are not"
    return f"{which} decided against the baseline {baseline}."


def _did_not_train(found: Mapping[str, Contrast]) -> str:
    names = [
        f"{variant} ({one.failed} of {one.ended}{_conditional(one)})"
        for variant, one in found.items()
        if one.verdict == Outcome.DID_NOT_TRAIN
    ]
    return f"Did not train: {_few(names)}." if names else ""


def _conditional(one: Contrast) -> str:
    """The exact test of the rate, and the gain of the runs that did train."""
    trained = f"; trained runs {METRICS['gain'].text(one.gain)}" if one.n and not math.isnan(one.gain) else ""
    p = "" if one.raced else f", exact p {METRICS['p'].text(one.rate_p)}"
    return f"{p}{trained}"


def trust(line: Line) -> list[str]:
    """What this study can show: the detectable gain, and the seeds for the margin and for the published gains."""
    tested = {name: one for name, one in comparisons(line).items() if one.tested and not one.raced}
    return [part for part in (_resolution(line, tested), _next_seeds(line, tested)) if part] if tested else []


def _resolution(line: Line, tested: Mapping[str, Contrast]) -> str:
    found = page(line)
    gain = statistics.median(detectable(one) for one in tested.values())
    spread = found.spreads[line.protocol]
    return (
        f"Standard deviation of a run of a stable variant: {math.sqrt(spread.variance):.2f} points, of which seeds "
        f"explain {found.shared[line.protocol]:.0%} of the variance (whole page). With these seeds a gain of "
        f"{gain:.1f} points (median of the variants) is shown with a probability of {POWER:.0%}."
    ).replace("%", " %")


def _next_seeds(line: Line, tested: Mapping[str, Contrast]) -> str:
    waiting = [one for one in tested.values() if one.verdict == Outcome.UNDECIDED]
    if not waiting:
        return ""
    margin = page(line).margin
    needed = [seeds_needed(one, margin, page(line).level) for one in waiting]
    known = sorted(number for number in needed if number is not None)
    seeds = f"about {known[len(known) // 2]} seeds" if known else f"more than {MOST_SEEDS} seeds"
    return f"To show a gain of {points(margin)}, the undecided variants need {seeds}, and the baseline as many."


def agreement_words(line: Line) -> str:
    """A sentence on the agreement of our order with the published one; empty if there is no published order."""
    found = with_published(line)
    if not found:
        return ""
    p = METRICS["p"].text(found.p)
    return (
        f"Of the pairs of variants that differ in published accuracy, {found.share} are ordered as published (chance "
        f"50 %); Kendall's tau {found} over {found.n} variants, exact p {p}; the interval is over seeds."
    )


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
