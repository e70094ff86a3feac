"""Content-addressed trial ids: the same recipe has the same id on every machine, in every process and release.

The id is 12 hex digits of blake2b over canonical JSON of a version and the fields that differ from the defaults. Values
without a stable form (NaN, infinity, objects) are refused.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from raysweep.errors import RaysweepError
from raysweep.patch import coerce, diff, field_info, set_fields
from raysweep.recipe import Recipe

IDENTITY_VERSION = 1


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no white space: equal values give the same text.

    Raises:
        RaysweepError: a value without a stable form.
    """
    return json.dumps(_stable(value, "value"), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _stable(value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        if strange := [key for key in value if not isinstance(key, str)]:
            raise RaysweepError(f"{path} has the key {strange[0]!r}, which has no stable text form: use text keys.")
        return {key: _stable(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_stable(item, path) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RaysweepError(f"{path} is {value}: only finite numbers can identify a trial.")
        return value + 0.0  # -0.0 and 0.0 are one value
    if value is None or isinstance(value, bool | int | str):
        return value
    raise RaysweepError(
        f"{path} is a {type(value).__name__}, which has no stable text form: use numbers, text or lists of them."
    )


def digest(value: Any, size: int = 6) -> str:
    """`2 * size` hex digits of blake2b over the canonical JSON of a value."""
    return hashlib.blake2b(canonical_json(value).encode(), digest_size=size).hexdigest()


def changes(recipe: Recipe) -> dict[str, Any]:
    """The fields that differ from the defaults, in their declared types."""
    return {path: coerce(field_info(path), value) for path, value in diff(recipe, Recipe()).items()}


def trial_id(recipe: Recipe) -> str:
    """The id of the trial of this recipe, 12 hex digits.

    Raises:
        RaysweepError: a field has a value of the wrong type or without a stable form.
    """
    return digest({"version": IDENTITY_VERSION, "changes": changes(recipe)})


def line_id(recipe: Recipe) -> str:
    """The trial id at the default seed: it is the same for all repeats of a recipe."""
    return trial_id(replace(recipe, seed=Recipe().seed))


def recipe_json(recipe: Recipe) -> str:
    """The recipe as canonical JSON: a version and the fields that differ from the defaults."""
    return canonical_json({"version": IDENTITY_VERSION, "changes": changes(recipe)})


def recipe_from_json(text: str) -> Recipe:
    """The recipe in a text that `recipe_json` wrote.

    Raises:
        RaysweepError: the text is not a recipe, or is of a newer version.
    """
    try:
        content = json.loads(text)
        version, stored = content["version"], dict(content["changes"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RaysweepError(f"not a recipe in JSON: {str(text)[:80]!r}.") from None
    if version != IDENTITY_VERSION:
        raise RaysweepError(
            f"the recipe has version {version}, this raysweep reads {IDENTITY_VERSION}: upgrade raysweep."
        )
    return set_fields(Recipe(), stored)
