"""The published numbers, from `published.csv`: top-1 (0..1) and log loss (nats) by study and variant."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd

FILE = Path(__file__).parent / "published.csv"


@cache
def published() -> pd.DataFrame:
    """Every published row; columns as in the file."""
    return pd.read_csv(FILE)


def published_top1(study: str) -> dict[str, float]:
    """Variant -> published top-1 of a study; empty for a study that was never published.

    A variant with several rows (other networks, other images) counts with its first, the benchmark's own: where that
    one has no number, a number of another network does not stand in for it.
    """
    rows = published()
    rows = rows[rows["study"] == study].drop_duplicates("variant")
    rows = rows[rows["top1"].notna()]
    return dict(zip(rows["variant"], rows["top1"].astype(float), strict=True))
