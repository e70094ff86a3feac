"""Which columns of a table hold the images, class numbers and splits: decided by the schema, before any row is read."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raysweep.errors import RaysweepError, did_you_mean
from raysweep.safe import printable

IMAGE_NAMES = ("image", "img", "images", "picture", "photo", "jpg", "jpeg", "png")
LABEL_NAMES = ("label", "labels", "class", "target", "category")
SPLIT_NAMES = ("split",)


@dataclass(frozen=True)
class Wanted:
    """The columns that a user asks for by name; None finds them."""

    image: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Columns:
    """The columns of one table."""

    image: str
    field: str
    """The field of the image column that has the encoded image; empty if the column itself has it."""
    label: str
    split: str | None
    classes: tuple[str, ...]
    """Class names by number, from the metadata; empty if it has none."""

    @property
    def path(self) -> str:
        """The encoded images, as Parquet names them."""
        return f"{self.image}.{self.field}" if self.field else self.image

    def text(self) -> str:
        """The columns that do not have the usual names."""
        parts = {"images": (self.image, "image"), "labels": (self.label, "label")}
        return "".join(f", {what} from column {name!r}" for what, (name, usual) in parts.items() if name != usual)


def has_images(schema: pa.Schema) -> bool:
    """Whether any column can hold encoded images."""
    return any(bytes_field(column.type) is not None for column in schema)


def find_columns(schema: pa.Schema, where: str, wanted: Wanted) -> Columns:
    """The columns of a table.

    Raises:
        RaysweepError: one is missing, ambiguous or of a type that cannot be read; names it, its type and what to do.
    """
    schema = pa.schema([column for column in schema if schema.names.count(column.name) == 1], schema.metadata)
    features = _features(schema)
    image = _image(schema, features, where, wanted.image)
    label = _label(schema, features, where, wanted.label)
    split = next((name for name in schema.names if name.casefold() in SPLIT_NAMES), None)
    kinds = {column.name: column.type for column in schema}
    field = bytes_field(kinds[image])
    if field is None:
        raise _not_images(where, image, kinds[image])
    if not _can_label(kinds[label]):
        raise _not_labels(where, label, kinds[label])
    if split and not is_text(kinds[split]):
        raise _wrong_type(where, split, kinds[split], "the name of a split, such as train or test, in each row.")
    return Columns(image, field, label, split, _class_names(schema, features.get(label)))


def bytes_field(kind: pa.DataType) -> str | None:
    """The field with an encoded image, empty if values of this type are one themselves; None if there is none."""
    if is_binary(kind):
        return ""
    if not pa.types.is_struct(kind):
        return None
    fields = [field.name for field in kind if is_binary(field.type)]
    return "bytes" if "bytes" in fields else fields[0] if len(fields) == 1 else None


def is_binary(kind: pa.DataType) -> bool:
    """Whether values of a type are bytes."""
    return _any(kind, pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, _is_binary_view)


def is_text(kind: pa.DataType) -> bool:
    """Whether values of a type are text."""
    return _any(kind, pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


def _is_binary_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary_view(kind))


def _any(kind: pa.DataType, *tests: Callable[[pa.DataType], bool]) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(test(value) for test in tests)


def _image(schema: pa.Schema, features: dict[str, Any], where: str, wanted: str | None) -> str:
    able = [column.name for column in schema if bytes_field(column.type) is not None]
    if not able and "image" not in schema.names and wanted is None:
        raise RaysweepError(f"{where} has no column with encoded images. It has {_listed(schema)}.")
    ways = [
        [name for name in schema.names if name == "image"],
        [name for name in able if _kind(features.get(name)) == "Image"],
        [name for name in able if name.casefold() in IMAGE_NAMES],
        able,
    ]
    return _one(schema, "image", where, wanted, ways)


def _label(schema: pa.Schema, features: dict[str, Any], where: str, wanted: str | None) -> str:
    ways = [
        [name for name in schema.names if name == "label"],
        [name for name in schema.names if _kind(features.get(name)) == "ClassLabel"],
        [name for name in schema.names if name.casefold() in LABEL_NAMES],
    ]
    return _one(schema, "label", where, wanted, ways)


def _one(schema: pa.Schema, what: str, where: str, wanted: str | None, ways: list[list[str]]) -> str:
    """The column asked for, or the first that one of these ways to choose finds alone."""
    if wanted is not None:
        if wanted not in schema.names:
            raise RaysweepError(f"{where} has no column {wanted!r}.{did_you_mean(wanted, schema.names)}")
        return wanted
    found = next((names[0] for names in ways if len(names) == 1), None)
    if found is None:
        raise RaysweepError(
            f"{where} has no column `{what}`. It has {_listed(schema)}: choose one with --{what}-column NAME."
        )
    return found


def _listed(schema: pa.Schema) -> str:
    shown = [f"`{printable(column.name)}` ({_short(column.type)})" for column in schema]
    return ", ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "") or "no columns"


def _short(kind: pa.DataType) -> str:
    return textwrap.shorten(printable(str(kind)), 60, placeholder=" ...")


def _not_images(where: str, name: str, kind: pa.DataType) -> RaysweepError:
    if is_text(kind):
        how = "Paths: embed the files, or sort them into class folders. Base64: decode it with base64.b64decode."
    elif pa.types.is_nested(kind):
        how = "Encode the pixels as PNG, or join the numbers of an encoded image with bytes(...)."
    else:
        how = "Another column may have them: choose it with --image-column NAME."
    return _wrong_type(where, name, kind, f"the bytes of image files, or a struct with `bytes`. {how}")


def _not_labels(where: str, name: str, kind: pa.DataType) -> RaysweepError:
    how = (
        "For one-hot labels store the position of the 1; an image with several labels has no single class."
        if pa.types.is_nested(kind)
        else "Another column may have them: choose it with --label-column NAME."
    )
    return _wrong_type(where, name, kind, f"a class number or name in each row. {how}")


def _wrong_type(where: str, name: str, kind: pa.DataType, needed: str) -> RaysweepError:
    return RaysweepError(f"{where}: column `{printable(name)}` has type {_short(kind)}: it must hold {needed}")


def _can_label(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    return is_text(kind) or _any(kind, *tests)


def _features(schema: pa.Schema) -> dict[str, Any]:
    """The description of the columns in a table of the `datasets` library."""
    found = _json(schema, "huggingface")
    for key in ("info", "features"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _kind(feature: Any) -> str:
    return str(feature.get("_type")) if isinstance(feature, dict) else ""


def _class_names(schema: pa.Schema, feature: Any) -> tuple[str, ...]:
    found = _json(schema, "class_names") or (feature.get("names") if isinstance(feature, dict) else None)
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _json(schema: pa.Schema, key: str) -> Any:
    try:
        return json.loads((schema.metadata or {}).get(key.encode(), b"null"))
    except ValueError:
        return None
