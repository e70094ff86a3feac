"""Change a recipe by dotted path, and say in what two recipes differ.

`patch(recipe, {"solver.lr": 0.02, "training.batch_size": Times(0.5)})` returns a new recipe. `Times` makes a value
relative to the baseline, so that one patch means the same on ImageNet and on ten thousand images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from operator import attrgetter
from types import MappingProxyType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from raysweep.errors import RaysweepError, unknown
from raysweep.networks import own_factors
from raysweep.recipe import Recipe


@dataclass(frozen=True)
class Times:
    """A patch value relative to what it replaces; whole numbers stay whole (at least 1)."""

    factor: float
    at_most: str = ""
    """Path of another field; the value becomes no larger than that one's."""

    def of(self, recipe: Recipe, path: str) -> int | float:
        """The value at the path times the factor, in its type.

        Raises:
            RaysweepError: it is no number.
        """
        value = get(recipe, path)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RaysweepError(f"{path} is {value!r}: only a number can be multiplied by {self.factor:g}.")
        made = max(1, round(value * self.factor)) if isinstance(value, int) else value * self.factor
        return min(made, get(recipe, self.at_most)) if self.at_most else made


Patch = Mapping[str, Any]


@dataclass(frozen=True)
class FieldInfo:
    """One leaf of the recipe: dotted path, type, default, and what it is in a sentence."""

    path: str
    type: Any
    default: Any
    doc: str


@cache
def recipe_fields() -> Mapping[str, FieldInfo]:
    """Every leaf field of a recipe by dotted path, in the order of declaration."""
    return MappingProxyType({info.path: info for info in _walk(Recipe(), "")})


def _walk(node: Any, prefix: str) -> Iterator[FieldInfo]:
    hints = get_type_hints(type(node), include_extras=True)
    for item in fields(node):
        value, hint = getattr(node, item.name), hints[item.name]
        if is_dataclass(value):
            yield from _walk(value, f"{prefix}{item.name}.")
        else:
            kind, doc = get_args(hint)[:2] if get_origin(hint) is Annotated else (hint, "")
            yield FieldInfo(prefix + item.name, kind, value, doc)


def flatten(recipe: Recipe) -> dict[str, Any]:
    """Every leaf value by dotted path."""
    return dict(zip(recipe_fields(), _leaves()(recipe), strict=True))


@cache
def _leaves() -> Callable[[Recipe], tuple[Any, ...]]:
    # In one go: a plan of the whole table asks for a hundred thousand values.
    return attrgetter(*recipe_fields())


def get(recipe: Recipe, path: str) -> Any:
    """The value at a dotted path.

    Raises:
        RaysweepError: no such field; the message holds the nearest ones.
    """
    field_info(path)
    value: Any = recipe
    for name in path.split("."):
        value = getattr(value, name)
    return value


def field_info(path: str) -> FieldInfo:
    """The declaration of the field at a dotted path.

    Raises:
        RaysweepError: no such field; the message holds the nearest ones.
    """
    known = recipe_fields()
    if path not in known:
        raise unknown("recipe field", path, known, "raysweep list fields")
    return known[path]


def patch(recipe: Recipe, changes: Patch) -> Recipe:
    """A copy of the recipe with the fields at the given dotted paths replaced.

    Another `network.name` brings the factors of that network's own, unless the changes name them; `Times` of one of
    them is that of the network's own.

    Raises:
        RaysweepError: unknown field or network, or a value of the wrong type.
    """
    name = changes.get("network.name", recipe.network.name)
    if isinstance(name, str) and name != recipe.network.name:
        recipe = set_fields(recipe, own_factors(recipe.network, name))
    return set_fields(recipe, changes)


def set_fields(recipe: Recipe, changes: Patch) -> Recipe:
    """A copy of the recipe with these fields replaced and nothing else, as where a recipe is read from a file.

    Raises:
        RaysweepError: unknown field, or a value of the wrong type.
    """
    for path, value in changes.items():
        info = field_info(path)
        if isinstance(value, Times):
            value = value.of(recipe, path)
        recipe = _replace_at(recipe, path.split("."), coerce(info, value))
    return recipe


def _replace_at(node: Any, names: list[str], value: Any) -> Any:
    head, *rest = names
    return replace(node, **{head: _replace_at(getattr(node, head), rest, value) if rest else value})


def coerce(info: FieldInfo, value: Any) -> Any:
    """`value` in the field's declared type: whole numbers become floats, lists become tuples, nothing else changes.

    Raises:
        RaysweepError: a value of another type.
    """
    if get_origin(info.type) is tuple and isinstance(value, list | tuple):
        item = FieldInfo(info.path, get_args(info.type)[0], None, info.doc)
        return tuple(coerce(item, part) for part in value)
    if info.type is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not info.type:
        raise RaysweepError(
            f"{info.path} must be {type_name(info)}, not {value!r} ({type(value).__name__}): {info.doc}."
        )
    return value


def type_name(info: FieldInfo) -> str:
    """The field's type in words a user knows."""
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return words.get(info.type, "a list of numbers")


def parse(path: str, text: str) -> Any:
    """The value that `--set PATH=TEXT` means, by the field's declared type.

    Raises:
        RaysweepError: unknown field, or a text that is not of its type.
    """
    info = field_info(path)
    try:
        if get_origin(info.type) is tuple:
            return tuple(get_args(info.type)[0](part) for part in text.split(",") if part.strip())
        if info.type is bool:
            return {"true": True, "false": False}[text.lower()]
        return info.type(text)
    except (ValueError, KeyError):
        raise RaysweepError(f"{path} must be {type_name(info)}, not {text!r}: {info.doc}.") from None


def diff(recipe: Recipe, baseline: Recipe) -> dict[str, Any]:
    """Dotted path -> value of `recipe` for every field in which it differs from `baseline`."""
    other = flatten(baseline)
    return {path: value for path, value in flatten(recipe).items() if value != other[path]}
