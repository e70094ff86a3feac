"""Two stores compared: equal trials, gains of the same variants, their order, and what only one of the stores has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from raysweep.analysis.contrasts import LEVEL, MARGIN, Contrast
from raysweep.analysis.load import ALL, DIVERGED, FINISHED, Line, load_lines
from raysweep.analysis.metrics import METRICS, NOTHING
from raysweep.analysis.statistics.agreement import Agreement, agree
from raysweep.analysis.statistics.comparisons import CONFIDENCE, comparisons, on_one_page, page
from raysweep.analysis.statistics.ranks import drawn, ranked
from raysweep.deciding.verdicts import outcome_of
from raysweep.safe import printable
from raysweep.store.store import Store
from raysweep.terminal.tables import table

MEASURED = ("top1", "logloss", "epochs")
"""Columns in which two runs of one trial must agree."""
EQUAL, NOISE, DIFFERENT, ENDS, UNKNOWN = "equal", "within noise", "different", "ends differ", "noise not known"
MOST_NAMED = 5
PAIRED_BY = (("study", "baseline", "protocol", "line"), ("study", "baseline", "protocol"), ("study", "baseline"))
"""Fields of lines that are equal in a pair: lines that agree in more of them are paired first."""
TRIALS = ["trial", "study", "variant", "seed", "top1_a", "top1_b", "difference", "verdict"]
PAIR = ["pair", "study", "protocol_a", "protocol_b", "line_a", "line_b"]
VARIANTS = [*PAIR, "variant", "n_a", "n_b", "gain_a", "gain_b", "difference", "half", "p", "verdict", "differs"]
ORDERS = [*PAIR, "tau", "low", "high", "n", "p", "in_order", "pairs"]


@dataclass(frozen=True)
class StoreComparison:
    """The results of two stores, a and b, for the same things. Accuracies and gains are in points of top-1."""

    uri_a: str
    uri_b: str
    trials: pd.DataFrame
    """Columns `TRIALS`: one row per trial that has ended in both."""
    only_a: list[str]
    """Ids of trials that only a has."""
    only_b: list[str]
    variants: pd.DataFrame
    """Columns `VARIANTS`: one row per variant of a pair of lines, with the difference b - a and its interval."""
    orders: pd.DataFrame
    """Columns `ORDERS`: one row per pair of lines, with Kendall's tau of their orders."""
    problems: Sequence[str] = ()
    """What could not be read in the stores, and trials that were left out."""

    @property
    def unequal(self) -> pd.DataFrame:
        """Trials that have the same id and different numbers."""
        return self.trials[self.trials["verdict"] != EQUAL]

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON values; unknown numbers are null."""
        tables = {"trials": self.trials, "variants": self.variants, "orders": self.orders}
        ends = {"a": self.uri_a, "b": self.uri_b, "only_a": self.only_a, "only_b": self.only_b}
        return ends | {
            name: frame.astype(object).where(frame.notna(), None).to_dict("records") for name, frame in tables.items()
        }


def compare_stores(uri_a: str, uri_b: str, margin: float = MARGIN) -> StoreComparison:
    """Compare two stores; `margin` is the smallest difference of gains that matters, in points.

    Lines with the same study and settings are paired first, then lines of the same study and protocol, then lines of
    the same study. The interval of a difference of gains is Welch's, from the errors of both gains, at Bonferroni's
    level for the variants of the pair. Unequal numbers of one trial are within noise if 95 % of the pairs of trials
    that differ only by chance would differ at least as little.

    Raises:
        RaysweepError: one of the stores cannot be read, or is empty.
    """
    a, b = Store.open(uri_a), Store.open(uri_b)
    lines_a, lines_b = (on_one_page(load_lines(store, [ALL]), margin) for store in (a, b))
    pairs = list(_pairs(lines_a, lines_b))
    trials_a, trials_b = (set(store.trials(["trial"])["trial"].to_pylist()) for store in (a, b))
    rows = [row for number, pair in enumerate(pairs) for row in _variants(number, *pair)]
    orders = [order for number, pair in enumerate(pairs) if (order := _order(number, *pair))]
    return StoreComparison(
        a.uri,
        b.uri,
        _trials(lines_a, lines_b),
        sorted(trials_a - trials_b),
        sorted(trials_b - trials_a),
        pd.DataFrame(rows, columns=VARIANTS),
        pd.DataFrame(orders, columns=ORDERS),
        (*a.problems, *b.problems),
    )


def _pairs(lines_a: Sequence[Line], lines_b: Sequence[Line]) -> Iterator[tuple[Line, Line]]:
    left_a, left_b = list(lines_a), list(lines_b)
    for fields in PAIRED_BY:
        key = attrgetter(*fields)
        met = [(one, other) for one in left_a for other in left_b if key(one) == key(other)]
        yield from met
        paired = {line for pair in met for line in pair}
        left_a, left_b = ([line for line in left if line not in paired] for left in (left_a, left_b))


def _keys(number: int, a: Line, b: Line) -> dict[str, Any]:
    of_lines = {"protocol_a": a.protocol, "protocol_b": b.protocol, "line_a": a.line, "line_b": b.line}
    return {"pair": number, "study": a.study} | of_lines


def _variants(number: int, a: Line, b: Line) -> Iterator[dict[str, Any]]:
    found_a, found_b = comparisons(a), comparisons(b)
    both = [name for name in found_a if name in found_b and found_a[name].n and found_b[name].n]
    tested = sum(found_a[name].tested and found_b[name].tested for name in both)
    for name in both:
        one, other = found_a[name], found_b[name]
        difference = other.gain - one.gain
        half, p = _welch(difference, one, other, tested)
        verdict = (
            "one seed" if math.isnan(half) else str(outcome_of(difference - half, difference + half, page(a).margin))
        )
        gains = {"n_a": one.n, "n_b": other.n, "gain_a": one.gain, "gain_b": other.gain}
        test = {"difference": difference, "half": half, "p": p, "verdict": verdict, "differs": p <= LEVEL}
        yield _keys(number, a, b) | {"variant": name} | gains | test


def _welch(difference: float, a: Contrast, b: Contrast, tested: int) -> tuple[float, float]:
    """Half-width of the interval of a difference of two gains, and its p, at Bonferroni's level."""
    error = math.hypot(a.error, b.error)
    if math.isnan(error):
        return math.nan, math.nan
    df = error**4 / (a.error**4 / a.df + b.error**4 / b.df)
    half = stats.t.isf(LEVEL / 2 / tested, df) * error
    return float(half), float(min(1, tested * 2 * stats.t.sf(abs(difference) / error, df)))


def _order(number: int, a: Line, b: Line) -> dict[str, Any] | None:
    means_a, means_b = ranked(a), ranked(b)
    both = [name for name in means_a.index if name in means_b.index]
    draws_a, draws_b = drawn(a, both), drawn(b, both)
    # Draws are made with the same random numbers; the other way round they are independent.
    draws = None if draws_a is None or draws_b is None else (draws_a, draws_b[::-1])
    found = agree(means_a[both].to_numpy(dtype=float), means_b[both].to_numpy(dtype=float), draws)
    return _keys(number, a, b) | {"n": len(both)} | (vars(found) if found else {}) if both else None


def _trials(lines_a: Sequence[Line], lines_b: Sequence[Line]) -> pd.DataFrame:
    """Every trial that has ended in both stores, once, with how its numbers agree."""
    rows = pd.merge(_ended(lines_a), _ended(lines_b), on="trial", suffixes=("_a", "_b"))
    if rows.empty:
        return pd.DataFrame(columns=TRIALS)
    difference = 100 * (rows["top1_b"] - rows["top1_a"])
    same = [
        rows[f"{name}_a"].eq(rows[f"{name}_b"]) | rows[[f"{name}_a", f"{name}_b"]].isna().all(axis=1)
        for name in MEASURED
    ]
    noise = stats.norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(2) * rows["sd_a"].fillna(rows["sd_b"])
    verdict = np.select(
        [rows["status_a"] != rows["status_b"], np.logical_and.reduce(same), noise.isna(), difference.abs() <= noise],
        [ENDS, EQUAL, UNKNOWN, NOISE],
        DIFFERENT,
    )
    own = rows.rename(columns={"study_a": "study", "variant_a": "variant", "seed_a": "seed"})
    shown = {"top1_a": 100 * rows["top1_a"], "top1_b": 100 * rows["top1_b"], "difference": difference}
    return own.assign(**shown, verdict=verdict)[TRIALS]


def _ended(lines: Sequence[Line]) -> pd.DataFrame:
    names = ["trial", "study", "variant", "seed", "status", *MEASURED, "sd"]
    frames = [line.trials.assign(sd=_noise(line))[names] for line in lines]
    rows = pd.concat(frames, ignore_index=True)
    ended = rows[rows["status"].isin([FINISHED, DIVERGED])]
    # A trial in several lines counts in the line that can estimate its errors.
    return ended.sort_values("sd", na_position="last", kind="stable").drop_duplicates("trial").sort_values("trial")


def _noise(line: Line) -> float:
    """Standard deviation of one run of a stable variant, in points; not a number if it is unknown."""
    spread = page(line).spreads.get(line.protocol)
    return math.sqrt(spread.variance) if spread else math.nan


def comparison_text(found: StoreComparison) -> str:
    """The comparison as tables and sentences for a terminal."""
    parts = [trials_words(found)]
    if len(found.unequal):
        parts.append(_text_table(readable_trials(found.unequal)))
    for order in found.orders.to_dict("records"):
        own = found.variants[found.variants["pair"] == order["pair"]]
        parts += [order_words(order, own), _text_table(readable_variants(own))]
    return "\n\n".join(parts)


def trials_words(found: StoreComparison) -> str:
    """How the trials of two stores agree, in a few lines."""
    counts = found.trials["verdict"].value_counts()
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "none"
    ended = f"trials that have ended in both: {len(found.trials)} ({verdicts})"
    lines = [f"a: {found.uri_a}", f"b: {found.uri_b}", ended]
    for name, only in (("a", found.only_a), ("b", found.only_b)):
        if only:
            more = f" and {len(only) - MOST_NAMED} more" if len(only) > MOST_NAMED else ""
            lines.append(f"only in {name}: {len(only)} ({', '.join(only[:MOST_NAMED])}{more})")
    return "\n".join(map(printable, lines))


def order_words(order: Mapping[Any, Any], own: pd.DataFrame) -> str:
    """A sentence on one pair of lines: what is compared, how many gains differ, and how far the orders agree."""
    a, b = (f"{order[f'protocol_{side}']} ({order[f'line_{side}']})" for side in "ab")
    where = printable(f"{order['study']} on {a}" if a == b else f"{order['study']} on {a} and {b}")
    tested = own["p"].notna().sum()
    differing = f"{own['differs'].sum()} of {tested} gains differ" if tested else "one seed: no claim is made"
    if pd.isna(order["tau"]):
        return f"{where}: {differing}"
    agreement = Agreement(**{name: order[name] for name in ORDERS[len(PAIR) :]})
    return f"{where}: {differing}; Kendall's tau of the orders {agreement} over {agreement.n} variants"


def readable_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials with unequal numbers as text."""
    names = {name: trials[name].astype(str) for name in TRIALS[:4]}
    top1 = {f"top-1 {side}": trials[f"top1_{side}"].map(METRICS["top1"].text) for side in "ab"}
    found = {"difference": trials["difference"].map(METRICS["gain"].text), "verdict": trials["verdict"]}
    return pd.DataFrame(names | top1 | found)


def readable_variants(rows: pd.DataFrame) -> pd.DataFrame:
    """The gains of a pair of lines as text."""
    gain = METRICS["gain"].text
    halves = rows["half"].map(lambda half: NOTHING if pd.isna(half) else f"± {half:.1f}")
    columns = {"variant": rows["variant"], "n a": rows["n_a"].astype(str), "n b": rows["n_b"].astype(str)}
    gains = {"gain a": rows["gain_a"].map(gain), "gain b": rows["gain_b"].map(gain)}
    test = {"b - a": rows["difference"].map(gain), "95 %": halves, "p": rows["p"].map(METRICS["p"].text)}
    return pd.DataFrame(columns | gains | test | {"b against a": rows["verdict"]})


def _text_table(text: pd.DataFrame) -> str:
    return table(list(text.columns), text.to_numpy().tolist())
