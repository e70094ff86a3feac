"""The published numbers, from `published.csv`: top-1 (0..1) and log loss (nats) by study and variant."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd

FILE = Path(__file__).parent / "published.csv"


@cache
def published() -> pd.DataFrame:
    """Every published row, with the columns of the file; not to be modified."""
    return pd.read_csv(FILE)


def published_study(study: str, baseline: str) -> pd.DataFrame:
    """`published_top1` and `published_gain` (shares) of a study by variant; empty for unpublished studies.

    If a variant has several rows (other networks, other images), the first one counts, the benchmark's own. If that has
    no number, the number of another network does not replace it.
    """
    rows = published()
    own = rows[rows["study"] == study].drop_duplicates("variant").set_index("variant")
    top1 = own["top1"].astype(float).rename("published_top1")
    reference = top1.get(baseline, float("nan"))
    gain = (top1 - reference).drop(baseline, errors="ignore")  # the baseline's gain is 0 by definition
    return pd.DataFrame({"published_top1": top1, "published_gain": gain})
