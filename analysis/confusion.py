"""Which classes a trained network takes for which others: per-class accuracy and confused pairs of one trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from raysweep.analysis.last_test import LastTest
from raysweep.analysis.load import FINISHED, Line
from raysweep.analysis.metrics import METRICS, NOTHING
from raysweep.store.store import Store

MOST_CLASSES = 20
"""Most classes that a matrix, or a table on a page, shows."""


def with_tests(store: Store, lines: Iterable[Line]) -> list[Line]:
    """The lines, each with the counts of its best trial that has some: that of the highest final top-1."""
    kept = store.with_confusion()
    names = {digest: manifest.classes for digest, manifest in store.manifests().items()} if kept else {}
    return [replace(line, last_test=_last_test(store, line, kept, names)) for line in lines] if kept else list(lines)


def _last_test(store: Store, line: Line, kept: set[str], classes: Mapping[Any, tuple[str, ...]]) -> LastTest | None:
    trials = line.trials
    ended = trials[(trials["status"] == FINISHED) & trials["top1"].notna() & trials["trial"].isin(kept)]
    if ended.empty:
        return None
    best: Any = ended.sort_values("top1", ascending=False, kind="stable").iloc[0]
    counts = store.confusion(best["trial"]).to_pandas()[["label", "predicted", "images"]]
    names = classes.get(best["data_digest"], ())
    found = LastTest(best["trial"], best["variant"], int(best["seed"]), float(best["top1"]), names, counts)
    return found if len(counts) else None


def per_class(tested: LastTest) -> pd.DataFrame:
    """One row per class, in their order: `class`, `images`, `right` (0..1), `taken_for` and `share` of its images.

    `taken_for` is the wrong class that most of its images were taken for; empty if all are right.
    """
    labels = sorted(set(tested.counts["label"].tolist()))
    return pd.DataFrame([_class(tested, label, tested.counts[tested.counts["label"] == label]) for label in labels])


def _class(tested: LastTest, label: int, own: pd.DataFrame) -> dict[str, object]:
    total = int(own["images"].sum())
    right = int(own.loc[own["predicted"] == label, "images"].sum())
    wrong = own[own["predicted"] != label].sort_values("images", ascending=False, kind="stable")
    taken_for, images = wrong.iloc[0][["predicted", "images"]].tolist() if len(wrong) else (None, 0)
    return {
        "class": tested.name(label),
        "images": total,
        "right": right / total,
        "taken_for": "" if taken_for is None else tested.name(taken_for),
        "share": images / total,
    }


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table as text with headings: all classes if they are few, otherwise those with the lowest accuracy."""
    worst = table.sort_values("right", kind="stable").head(MOST_CLASSES)
    shown = table if len(table) <= MOST_CLASSES else worst
    percent = METRICS["top1"].text
    taken = [
        f"{name} ({percent(100 * share)} %)" if name else NOTHING
        for name, share in zip(shown["taken_for"], shown["share"], strict=True)
    ]
    columns = {
        "class": shown["class"],
        "images": shown["images"].map("{:,}".format),
        "right, %": [percent(100 * right) for right in shown["right"]],
        "most often taken for": taken,
    }
    return pd.DataFrame(columns).reset_index(drop=True)


def words(tested: LastTest) -> str:
    """A sentence on the trial behind the table."""
    classes = tested.counts["label"].nunique()
    few = f" The {MOST_CLASSES} of {classes:,} classes with the lowest accuracy." if classes > MOST_CLASSES else ""
    return (
        f"Trial {tested.trial}: {tested.title}, of the trials whose weights were kept the one with the highest top-1, "
        f"{METRICS['top1'].text(100 * tested.top1)} %, in its last test.{few} A class of few images has an uncertain "
        "accuracy: with 10 images and 90 % right, a 95 % interval is about 60 to 98 %."
    )
