"""The names that splits have in folders, files and tables. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Collection

from raysweep.errors import RaysweepError
from raysweep.safe import printable

TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("val", "valid", "validation", "dev", "test", "testing", "eval", "evaluation")
"""Names of the test split; the first one that exists is used. ImageNet's `val` has labels, its `test` has none."""


def role(name: str) -> str:
    """`train` or `test` for a name of such a split, whatever its case; otherwise empty."""
    name = name.strip().casefold()
    return "train" if name in TRAIN_NAMES else "test" if name in TEST_NAMES else ""


def split_in(text: str) -> str:
    """The one split name among the words of a text, such as a file's name; empty if there is none or several."""
    found = {word for word in re.split(r"[\W\d_]+", text.casefold()) if role(word)}
    return found.pop() if len(found) == 1 else ""


def used_splits(names: Collection[str], hold_out: bool, spec: str) -> dict[str, str]:
    """The names that are used as `train` and, if there is one, `test`; empty names stand for no split.

    If nothing has a split, all of it is `train`. With `hold_out` no test split is needed.

    Raises:
        RaysweepError: there are splits, but none to train on, or others that may be the one to test on.
    """
    train, test = (next((name for name in known if name in names), None) for known in (TRAIN_NAMES, TEST_NAMES))
    if set(names) == {""}:
        return {"train": ""}
    if train is None or (test is None and len(names) > 1 and not hold_out):
        found = ", ".join(printable(name) for name in sorted(filter(None, names))[:5])
        raise RaysweepError(
            f"{spec} has the splits {found}: it needs `train` and one of "
            f"{', '.join(f'`{name}`' for name in TEST_NAMES)}, in a column `split`, or in the names of files or of "
            "their folders, such as train-0.parquet. Or hold out a share of `train`: --holdout 0.2."
        )
    return {"train": train} | ({} if test is None else {"test": test})
