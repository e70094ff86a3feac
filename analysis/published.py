"""The published numbers, from `published.csv`: top-1 (0..1) and log loss (nats) by study and variant."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd

FILE = Path(__file__).parent / "published.csv"


@cache
def _rows() -> pd.DataFrame:
    return pd.read_csv(FILE)


def published() -> pd.DataFrame:
    """Every published row; columns as in the file."""
    return _rows().copy()


def published_study(study: str, baseline: str) -> pd.DataFrame:
    """`published_top1` and `published_gain` (shares) of a study by variant; empty where it was never published.

    A variant with several rows (other networks, other images) counts with its first, the benchmark's own: where that
    one has no number, a number of another network does not stand in for it.
    """
    rows = _rows()
    own = rows[rows["study"] == study].drop_duplicates("variant").set_index("variant")
    top1 = own["top1"].astype(float).rename("published_top1")
    reference = top1.get(baseline, float("nan"))
    gain = (top1 - reference).drop(baseline, errors="ignore")  # its own is 0 by definition
    return pd.DataFrame({"published_top1": top1, "published_gain": gain})
