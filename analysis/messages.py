"""The take-home messages of the paper, each tested on the results of a store.

Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), conclusions. A message is tested by one contrast, chosen
beforehand: that of the first place in `take_home.csv` of which the store has both variants.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from raysweep.analysis.contrasts import ONE_SEED, Contrast
from raysweep.analysis.load import Line
from raysweep.analysis.metrics import METRICS, NOTHING
from raysweep.analysis.published import published
from raysweep.analysis.statistics.comparisons import Estimate, contrast, groups, untrained
from raysweep.deciding.verdicts import Outcome

HOLDS, REVERSED, SAME = "holds", "reversed", "no difference within the margin"
OPEN, UNTESTABLE, NOT_RUN = "undecided", "could not be tested here", "not run"
UNCLAIMED = "worse here; no difference published"
"""The published difference is smaller than the margin, so that nothing is reversed."""
WORDS = {Outcome.BETTER: HOLDS, Outcome.WORSE: REVERSED, Outcome.EQUAL: SAME, ONE_SEED: "one seed: no claim"}
FILE = Path(__file__).parent / "take_home.csv"
TESTED = ("study", "protocol", "line", "variant", "against", "gain", "gain_half", "n", "p", "published", "verdict")


@cache
def messages() -> pd.DataFrame:
    """The messages in the paper's order, each with a row for every comparison that tests it.

    `study` is that of the message's subject, or `take_home`; the recommended `variant` should beat `against`. `note`
    says what the test shows, if that is not exactly the `message`.
    """
    return pd.read_csv(FILE, keep_default_na=False)


def take_home(lines: Iterable[Line]) -> pd.DataFrame:
    """One row per message.

    Columns: `message`, `study`, `protocol`, `line`, `variant`, `against`, `gain` and `gain_half` (points), `n` (runs of
    the variant), `p` (adjusted, as in the tables), `published` (difference, points), `verdict`, `note`. Empty if no
    message is tested.
    """
    lines = list(lines)
    rows = [
        {"message": message, "note": note, "n": 0, "p": math.nan, "verdict": NOT_RUN} | _first(places, lines)
        for (message, note), places in messages().groupby(["message", "note"], sort=False)
    ]
    frame = pd.DataFrame(rows, columns=["message", *TESTED, "note"])
    return frame if frame["study"].notna().any() else frame.iloc[:0]


def _first(places: pd.DataFrame, lines: Sequence[Line]) -> dict[Any, Any]:
    """The test of the first place of a message that these lines have, whatever its result; empty if there is none."""
    gap = _published(places)
    for place in places.to_dict("records"):
        for line in (line for line in lines if line.study == place["study"]):
            runs = groups(line)
            pair = [runs[name] for name in (place["variant"], place["against"]) if name in runs]
            if len(pair) == 2 and all(group.ended for group in pair):
                return place | _test(line, place["variant"], place["against"], place["note"], gap)
    return {}


def _published(places: pd.DataFrame) -> float:
    """The published difference of the first place that has one, in points; not a number if none has."""
    rows = published().drop_duplicates(["study", "variant"])
    points = METRICS["top1"].of(rows)
    top1 = dict(zip(zip(rows["study"], rows["variant"], strict=True), points, strict=True))
    gaps = [
        top1.get((place.study, place.variant), math.nan) - top1.get((place.study, place.against), math.nan)
        for place in places.itertuples()
    ]
    return next((gap for gap in gaps if not math.isnan(gap)), math.nan)


def _test(line: Line, variant: str, against: str, note: str, gap: float) -> dict[str, Any]:
    """The gain of the recommendation over its alternative in one line, in points of top-1."""
    one = contrast(line, variant, against)
    failed = untrained(line)
    notes = [f"{name}: {failed[name]}" for name in (variant, against) if name in failed]
    found = {"gain": one.gain, "gain_half": one.half, "n": one.n, "p": one.p, "published": gap}
    about = {"protocol": line.protocol, "line": line.line, "note": "; ".join(filter(None, [*notes, note]))}
    return found | about | {"verdict": _verdict(one, gap)}


def _verdict(one: Contrast, gap: float) -> str:
    """The verdict on a message. A test that could not show the published difference says nothing about it."""
    if one.verdict == Outcome.UNDECIDED:
        return UNTESTABLE if abs(gap) < one.half else OPEN
    if one.verdict == Outcome.WORSE and abs(gap) < one.margin:
        return UNCLAIMED
    return WORDS.get(one.verdict, str(one.verdict))


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
            METRICS["gain"].label: [Estimate(*value).text(METRICS["gain"]) for value in values],
            "published difference": frame["published"].astype(float).map(METRICS["gain"].text),
            "n": frame["n"].astype(str),
            METRICS["p"].label: frame["p"].astype(float).map(METRICS["p"].text),
            "comparison": tested,
            "study": where,
            "note": frame["note"],
        }
    )
