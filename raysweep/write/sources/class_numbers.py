"""Class numbers from a column of labels, which are numbers or the names of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raysweep.errors import RaysweepError
from raysweep.safe import printable
from raysweep.write.sources.base import check_range
from raysweep.write.sources.parquet_columns import is_text


def read_labels(values: Any, where: str) -> Any:
    """A column of labels as 64-bit numbers or, for names and truth values, as text; NaN becomes null.

    Raises:
        RaysweepError: some are fractions, or numbers beyond 64 bits; names the first.
    """
    if pa.types.is_dictionary(values.type):
        values = pc.cast(values, values.type.value_type)
    if is_text(values.type) or pa.types.is_boolean(values.type):
        return pc.cast(values, pa.large_string())
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    try:
        return pc.cast(values, pa.int64())
    except pa.ArrowInvalid as error:
        raise RaysweepError(
            f"{where}: the labels must be whole numbers from 0, or names: {printable(str(error))}."
        ) from None


def as_labels(values: Sequence[str]) -> Any:
    """Texts as numbers if all are whole numbers in their usual form, otherwise as they are; empty ones are missing."""
    texts = pa.array([value or None for value in values], pa.large_string())
    try:
        numbers = pc.cast(texts, pa.int64())
    except pa.ArrowInvalid:
        return texts
    return numbers if pc.cast(numbers, pa.large_string()).equals(texts) else texts


def number_classes(labels: Any, names: Sequence[str], where: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The class numbers (N,) of labels, and the names of the classes in use.

    `names` are those of the numbers 0, 1, ...; without them a number is its own name. Names that are labels themselves
    are numbered in their order.

    Raises:
        RaysweepError: a label is missing or out of range; lists them.
    """
    if labels.null_count:
        raise RaysweepError(f"{where}: {labels.null_count:,} of {len(labels):,} rows have no label; remove these rows.")
    if is_text(labels.type):
        classes = sorted(labels.unique().to_pylist())
        numbers = pc.index_in(labels, pa.array(classes, pa.large_string()))
        return np.asarray(numbers.to_numpy(), np.int64), tuple(classes)
    values = np.asarray(labels.to_numpy(), np.int64)
    _check_numbers(values, names, where)
    used, numbers = np.unique(values, return_inverse=True)
    return numbers.astype(np.int64), tuple(names[k] if names else str(k) for k in used.tolist())


def _check_numbers(values: NDArray[np.int64], names: Sequence[str], where: str) -> None:
    if missing := np.count_nonzero(values == -1):
        raise RaysweepError(
            f"{where}: {missing:,} of {len(values):,} rows have the label -1, which marks images without a label: use "
            "another split, or remove these rows."
        )
    if names and len(values) and (values.min(), values.max()) == (1, len(names)):
        raise RaysweepError(
            f"{where}: the labels are 1 to {len(names)} and there are {len(names)} class names, which are numbered "
            "from 0: subtract 1 from the labels."
        )
    check_range(values, len(names) or int(values.max(initial=0)) + 1, where)
