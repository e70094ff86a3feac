"""Search methods as users write them: a name, and options as text. Loads neither torch nor ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from raysweep.errors import RaysweepError
from raysweep.nas.method import Method, make_method, methods
from raysweep.nas.methods.successive_halving import SuccessiveHalving
from raysweep.nas.methods.supernet_methods import SupernetMethod
from raysweep.units import brief

SUPERNET_OPTIONS: dict[str, Any] = {"preset": str, "cells": int, "width": int, "bn": str, "recalibration": int}
"""Options of the supernet: the name of a preset, and fields of `SupernetRecipe`."""
RUNGS_BELOW = 2
"""Default number of rungs of successive halving below the number of epochs in the settings."""


def has_supernet(name: str) -> bool:
    """Whether a method scores architectures with a supernet.

    Raises:
        RaysweepError: no such method.
    """
    return issubclass(_maker(name), SupernetMethod)


def option_names(name: str) -> list[str]:
    """The options of a method and, if it has one, of its supernet.

    Raises:
        RaysweepError: no such method.
    """
    return [option.name for option in fields(_maker(name))] + list(SUPERNET_OPTIONS if has_supernet(name) else ())


def make_named(name: str, options: Mapping[str, str], epochs: float, supernet_epochs: float | None = None) -> Method:
    """A method, with those of the options that it has.

    Unless the options say otherwise, the highest rung of successive halving has the epochs of the settings, and a
    supernet is trained for `supernet_epochs`.

    Raises:
        RaysweepError: no such method, or an invalid value.
    """
    hints = get_type_hints(_maker(name))
    given = {option: parse_option(option, hints[option], text) for option, text in options.items() if option in hints}
    if _maker(name) is SuccessiveHalving:
        highest = given.setdefault("highest", epochs)
        eta = given.get("eta", SuccessiveHalving.eta)
        given.setdefault("lowest", min(max(1.0, highest / max(eta, 2) ** RUNGS_BELOW), highest))
    if has_supernet(name) and supernet_epochs is not None:
        given.setdefault("epochs", max(1, round(supernet_epochs)))
    return make_method(name, given)


def _maker(name: str) -> Any:
    return methods()[name]


def parse_option(name: str, hint: Any, text: str) -> Any:
    """The value of a method's option, converted to its declared type.

    Raises:
        RaysweepError: text that cannot be converted.
    """
    if get_origin(hint) is Literal:
        return text
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kind = next(kind for kind in kinds if kind in (bool, int, float, str))
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        words = {bool: "true or false", int: "an integer", float: "a number"}[kind]
        raise RaysweepError(f"--option {name}={text}: it must be {words}.") from None


def label(name: str, method: Any) -> str:
    """The name of a method, followed by the options that differ from their defaults."""
    own = {option.name: getattr(method, option.name) for option in fields(method)}
    changed = [f"{o.name}={brief(own[o.name])}" for o in fields(method) if own[o.name] != o.default]
    return "+".join([name, *changed])
