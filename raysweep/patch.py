"""Change a recipe by dotted path, and compare two recipes.

`patch(recipe, {"solver.lr": 0.02, "training.batch_size": Times(0.5)})` returns a new recipe. `Times` makes a value
relative to the baseline, so that a patch means the same on ImageNet and on ten thousand images.
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
from raysweep.networks.own_network import plain_name
from raysweep.recipe import Recipe


@dataclass(frozen=True)
class Times:
    """A patch value relative to the value that it replaces; integers stay integers (at least 1)."""

    factor: float
    at_most: str = ""
    """Path of another field, whose value is an upper bound."""

    def of(self, recipe: Recipe, path: str) -> int | float:
        """The value at the path times the factor, in the type of the value.

        Raises:
            RaysweepError: the value is not a number.
        """
        value = get(recipe, path)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RaysweepError(
                f"{path} is {value!r}, which cannot be multiplied by {self.factor:g}: it is not a number."
            )
        scaled = max(1, round(value * self.factor)) if isinstance(value, int) else value * self.factor
        return min(scaled, get(recipe, self.at_most)) if self.at_most else scaled


Patch = Mapping[str, Any]


@dataclass(frozen=True)
class FieldInfo:
    """A leaf field of the recipe: dotted path, type, default and description."""

    path: str
    type: Any
    default: Any
    doc: str


@cache
def recipe_fields() -> Mapping[str, FieldInfo]:
    """Every leaf field of a recipe by dotted path, in order of declaration."""
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
    # All values in one call: a plan of all studies reads a hundred thousand of them.
    return attrgetter(*recipe_fields())


def get(recipe: Recipe, path: str) -> Any:
    """The value at a dotted path.

    Raises:
        RaysweepError: no such field; the message lists the nearest ones.
    """
    field_info(path)
    return attrgetter(path)(recipe)


def field_info(path: str) -> FieldInfo:
    """The description of the field at a dotted path.

    Raises:
        RaysweepError: no such field; the message lists the nearest ones.
    """
    known = recipe_fields()
    if path not in known:
        raise unknown("recipe field", path, known, "raysweep list fields")
    return known[path]


def patch(recipe: Recipe, changes: Patch) -> Recipe:
    """A copy of the recipe with the fields at the given dotted paths replaced.

    A new `network.name` also sets the factors that belong to that network, unless the changes set them; `Times` is
    then relative to the network's own value.

    Raises:
        RaysweepError: unknown field or network, or a value of the wrong type.
    """
    name = changes.get("network.name", recipe.network.name)
    if isinstance(name, str) and name != recipe.network.name:
        recipe = set_fields(recipe, own_factors(recipe.network, name))
        changes = {**changes, "network.name": plain_name(name)}
    return set_fields(recipe, changes)


def set_fields(recipe: Recipe, changes: Patch) -> Recipe:
    """A copy of the recipe with exactly these fields replaced, as when a recipe is read from a file.

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
    """The value in the field's declared type: integers become floats, lists become tuples, nothing else is converted.

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
    """The field's type in plain words."""
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return words.get(info.type, "a list of numbers")


def parse(path: str, text: str) -> Any:
    """The value that `--set PATH=TEXT` sets, in the field's declared type.

    Raises:
        RaysweepError: unknown field, or a text that does not fit its type.
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
