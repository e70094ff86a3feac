"""The take-home messages of the paper, each tested on the results of a store.

Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), conclusions. A message is tested by one comparison: the
recommendation against its alternative, in the same line, paired by seed. The p-values of all messages are adjusted
together (Benjamini and Hochberg).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis.load import DIVERGED, Line
from analysis.metrics import METRICS
from analysis.statistics.comparisons import LEVEL, Estimate, contrast

HOLDS, REVERSED, OPEN, NOT_RUN = "holds", "reversed", "not distinguishable", "not run"
TESTED = ["study", "protocol", "line", "variant", "against", "gain", "gain_half", "n", "p"]
"""Columns that are empty for an untested message."""


@dataclass(frozen=True)
class Place:
    """A test of a message: the recommended variant of a study and the variant that it should beat."""

    study: str
    variant: str
    against: str


@dataclass(frozen=True)
class Message:
    """One recommendation and the comparisons that test it, in the study of its subject and in `take_home`."""

    text: str
    places: tuple[Place, ...] = ()
    note: str = ""
    """What the test shows, if that is not exactly the message."""


def _message(text: str, *places: tuple[str, str, str], note: str = "") -> Message:
    return Message(text, tuple(Place(*place) for place in places), note)


MESSAGES = (
    _message(
        "ELU where there is no batch normalisation",
        ("activation", "elu", "relu"),
        ("take_home", "do_elu_without_bn", "baseline"),
    ),
    _message(
        "ReLU where there is batch normalisation",
        ("bn_activation", "relu", "elu"),
        ("take_home", "do_relu_with_bn", "dont_elu_with_bn"),
        note="tested against ELU with batch normalisation; published 49.9 and 49.8, also a small difference",
    ),
    _message(
        "a learned colour space of RGB",
        ("learned_colorspace", "vlrelu_10_3", "rgb"),
        ("take_home", "do_learned_colorspace", "baseline"),
    ),
    _message(
        "a learning rate that falls in a straight line",
        ("lr_policy", "linear", "step"),
        ("take_home", "do_linear_decay", "baseline"),
    ),
    _message(
        "the sum of maximum and average pooling",
        ("pooling", "max_plus_average", "max"),
        ("take_home", "do_max_plus_average", "baseline"),
    ),
    _message(
        "a learning rate in proportion to the batch",
        ("batch_size", "bs1024_lr0_04", "bs1024_lr0_01"),
        ("take_home", "do_scale_lr_with_batch", "dont_keep_lr"),
        note="tested at four times the batch size",
    ),
    _message(
        "fully connected layers as convolutions whose predictions are averaged",
        ("classifier", "conv5_c3_c1_clf_avepool", "pool5_fc_fc_clf"),
        ("take_home", "do_average_predictions", "dont_average_features"),
    ),
    _message(
        "more images, unless accuracy has levelled off",
        ("dataset_size", "n1200k", "n800k"),
        note="tested: whether all images are better than 62 % of them",
    ),
    _message("clean labels before more images", ("take_home", "do_clean_labels", "dont_noisy_labels")),
    _message(
        "a smaller stride of the first layer where images cannot be larger",
        ("take_home", "do_smaller_stride", "dont_keep_stride"),
    ),
    _message(
        "care with changes to a highly optimised network",
        note="no single comparison tests it: run studies with --network googlenet",
    ),
)


def take_home(lines: Iterable[Line]) -> pd.DataFrame:
    """One row per message and line that tests it, and one for each untested message.

    Columns: `message`, `study`, `protocol`, `line`, `variant`, `against`, `gain` and `gain_half` (points), `n` (seeds),
    `p` (adjusted for all rows), `verdict`, `note`. Empty if no message is tested.
    """
    lines, rows = list(lines), []
    for message in MESSAGES:
        tests = list(_tests(message, lines))
        rows += tests or [{"message": message.text, "p": math.nan, "verdict": NOT_RUN, "note": message.note, "n": 0}]
    adjusted = _adjusted([row["p"] for row in rows])
    rows = [row | {"p": p} | ({} if "verdict" in row else {"verdict": _verdict(row, p)})
            for row, p in zip(rows, adjusted, strict=True)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["message", *TESTED, "verdict", "note"])
    return frame if frame["study"].notna().any() else frame.iloc[:0]


def _tests(message: Message, lines: Sequence[Line]) -> Iterator[dict[str, Any]]:
    """The tests of a message in these lines; the same trials in two studies count once."""
    seen = set()
    for place in message.places:
        for line in (line for line in lines if line.study == place.study):
            pair = line.trials[line.trials["variant"].isin([place.variant, place.against])]
            trials = frozenset(pair["trial"])
            if pair["variant"].nunique() == 2 and trials not in seen:
                seen.add(trials)
                yield _test(message, place, line, pair)


def _test(message: Message, place: Place, line: Line, pair: pd.DataFrame) -> dict[str, Any]:
    """The gain of the recommendation over its alternative in one line, in points of top-1."""
    gain, p = contrast(line, place.variant, place.against)
    diverged = {}
    for variant in (place.variant, place.against):
        own = pair.loc[pair["variant"] == variant, "status"]
        if count := int((own == DIVERGED).sum()):
            diverged[variant] = f"{variant}: {count} of {len(own)} diverged"
    about = {"message": message.text, "study": place.study, "protocol": line.protocol, "line": line.line}
    tested = {"variant": place.variant, "against": place.against, "unstable": place.variant in diverged}
    found = {"gain": gain.mean, "gain_half": gain.half, "n": gain.n, "p": p}
    return about | tested | found | {"note": "; ".join(filter(None, [*diverged.values(), message.note]))}


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
    where = frame["study"].str.cat(frame["protocol"], sep=", ").where(known, METRICS["p"].text(math.nan))
    tested = (frame["variant"] + " over " + frame["against"]).where(known, METRICS["p"].text(math.nan))
    values = zip(frame["gain"].astype(float), frame["gain_half"].astype(float), frame["n"], strict=True)
    columns = {
        "recommendation": frame["message"],
        "verdict": frame["verdict"],
        "gain, points (95 %)": [Estimate(*value).text(METRICS["gain"]) for value in values],
        "n": frame["n"].astype(str),
        "adjusted p": frame["p"].astype(float).map(METRICS["p"].text),
        "comparison": tested,
        "study": where,
        "note": frame["note"],
    }
    return pd.DataFrame(columns)
