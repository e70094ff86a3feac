"""The take-home messages of the paper, each tested on the results of a store.

Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), conclusions. A message is tested by one comparison: the
recommendation against its alternative, in the same line, paired by seed. The p-values of all messages are adjusted
together (Benjamini and Hochberg).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from raysweep.analysis.load import DIVERGED, Line
from raysweep.analysis.metrics import METRICS, NOTHING
from raysweep.analysis.statistics.comparisons import LEVEL, Estimate, contrast

HOLDS, REVERSED, OPEN, NOT_RUN = "holds", "reversed", "not distinguishable", "not run"
FILE = Path(__file__).parent / "take_home.csv"
TESTED = ("study", "protocol", "line", "variant", "against", "gain", "gain_half", "n", "p", "verdict")


@cache
def messages() -> pd.DataFrame:
    """The messages in the paper's order, each with a row for every comparison that tests it.

    `study` is that of the message's subject, or `take_home`; the recommended `variant` should beat `against`. `note`
    says what the test shows, if that is not exactly the `message`.
    """
    return pd.read_csv(FILE, keep_default_na=False)


def take_home(lines: Iterable[Line]) -> pd.DataFrame:
    """One row per message and line that tests it, and one for each untested message.

    Columns: `message`, `study`, `protocol`, `line`, `variant`, `against`, `gain` and `gain_half` (points), `n` (seeds),
    `p` (adjusted for all rows), `verdict`, `note`. Empty if no message is tested.
    """
    lines, rows = list(lines), []
    for (message, note), places in messages().groupby(["message", "note"], sort=False):
        rows += list(_tests(places, lines)) or [{"message": message, "note": note, "n": 0, "p": math.nan}]
    adjusted = _adjusted([row["p"] for row in rows])
    rows = [row | {"p": p, "verdict": _verdict(row, p)} for row, p in zip(rows, adjusted, strict=True)]
    frame = pd.DataFrame(rows, columns=["message", *TESTED, "note"])
    return frame if frame["study"].notna().any() else frame.iloc[:0]


def _tests(places: pd.DataFrame, lines: Sequence[Line]) -> Iterator[dict[Any, Any]]:
    """The tests of a message in these lines; the same trials in two studies count once."""
    seen = set()
    for place in places.to_dict("records"):
        for line in (line for line in lines if line.study == place["study"]):
            pair = line.trials[line.trials["variant"].isin([place["variant"], place["against"]])]
            trials = frozenset(pair["trial"])
            if pair["variant"].nunique() == 2 and trials not in seen:
                seen.add(trials)
                yield place | _test(line, place["variant"], place["against"], place["note"])


def _test(line: Line, variant: str, against: str, note: str) -> dict[str, Any]:
    """The gain of the recommendation over its alternative in one line, in points of top-1."""
    gain, p = contrast(line, variant, against)
    diverged = {}
    for name in (variant, against):
        own = line.trials.loc[line.trials["variant"] == name, "status"]
        if count := int((own == DIVERGED).sum()):
            diverged[name] = f"{name}: {count} of {len(own)} diverged"
    found = {"gain": gain.mean, "gain_half": gain.half, "n": gain.n, "p": p, "unstable": variant in diverged}
    notes = "; ".join(filter(None, [*diverged.values(), note]))
    return found | {"protocol": line.protocol, "line": line.line, "note": notes}


def _verdict(row: Mapping[str, Any], p: float) -> str:
    """The verdict at an adjusted p-value. A recommendation that diverged with any seed does not hold."""
    if math.isnan(p):
        return "one seed: no claim" if row["n"] else NOT_RUN
    if p > LEVEL or (row["gain"] > 0 and row["unstable"]):
        return OPEN
    return HOLDS if row["gain"] > 0 else REVERSED


def _adjusted(p: Sequence[float]) -> list[float]:
    values = np.array(p, dtype=float)
    known = ~np.isnan(values)
    if known.any():
        values[known] = stats.false_discovery_control(values[known])
    return [float(value) for value in values]


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The table as text with headings."""
    known = frame["study"].notna()
    where = frame["study"].str.cat(frame["protocol"], sep=", ").where(known, NOTHING)
    tested = (frame["variant"] + " over " + frame["against"]).where(known, NOTHING)
    values = zip(frame["gain"].astype(float), frame["gain_half"].astype(float), frame["n"], strict=True)
    return pd.DataFrame(
        {
            "recommendation": frame["message"],
            "verdict": frame["verdict"],
            "gain, points (95 %)": [Estimate(*value).text(METRICS["gain"]) for value in values],
            "n": frame["n"].astype(str),
            "adjusted p": frame["p"].astype(float).map(METRICS["p"].text),
            "comparison": tested,
            "study": where,
            "note": frame["note"],
        }
    )
