"""Content-addressed trial ids: the same recipe has the same id on any machine, in any process, in any year.

The id is 12 hex digits of blake2b over canonical JSON of the fields that differ from the defaults, and a version. What
has no stable form (NaN, infinity, objects) is refused.
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
    """JSON with sorted keys and no white space; the same text for equal values.

    Raises:
        RaysweepError: a value without a stable form.
    """
    return json.dumps(_stable(value, "value"), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _stable(value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        return {_key(key, path): _stable(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_stable(item, path) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RaysweepError(f"{path} is {value}: a trial can only be identified by finite numbers.")
        return value + 0.0  # -0.0 and 0.0 are one value
    if value is None or isinstance(value, bool | int | str):
        return value
    raise RaysweepError(
        f"{path} is a {type(value).__name__}, which has no stable form: use numbers, text or lists of them."
    )


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise RaysweepError(f"{path} has the key {key!r}: only text keys have a stable form.")
    return key


def digest(value: Any, size: int = 6) -> str:
    """`2 * size` hex digits of blake2b over the canonical JSON of a value."""
    return hashlib.blake2b(canonical_json(value).encode(), digest_size=size).hexdigest()


def changes(recipe: Recipe) -> dict[str, Any]:
    """The fields that differ from the defaults, each in its declared type."""
    return {path: coerce(field_info(path), value) for path, value in diff(recipe, Recipe()).items()}


def trial_id(recipe: Recipe) -> str:
    """12 hex digits that name the trial of this recipe.

    Raises:
        RaysweepError: a field holds a value without a stable form, or of the wrong type.
    """
    return digest({"version": IDENTITY_VERSION, "changes": changes(recipe)})


def line_id(recipe: Recipe) -> str:
    """The trial id with the seed left out: what the repeats of one recipe share."""
    return trial_id(replace(recipe, seed=Recipe().seed))


def recipe_json(recipe: Recipe) -> str:
    """The recipe as canonical JSON: version and the fields that differ from the defaults."""
    return canonical_json({"version": IDENTITY_VERSION, "changes": changes(recipe)})


def recipe_from_json(text: str) -> Recipe:
    """The recipe that `recipe_json` wrote.

    Raises:
        RaysweepError: not such a text, or of a newer version.
    """
    try:
        content = json.loads(text)
        version, stored = content["version"], content["changes"]
    except (ValueError, KeyError, TypeError):
        raise RaysweepError(f"not a recipe: {text[:80]!r}.") from None
    if version != IDENTITY_VERSION:
        raise RaysweepError(f"recipe of version {version}; this raysweep knows {IDENTITY_VERSION}: upgrade raysweep.")
    return set_fields(Recipe(), stored)
