"""The names that splits have in folders, files and tables. Standard library only."""

from __future__ import annotations

import re

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
