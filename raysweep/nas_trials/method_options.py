"""Search methods as a user writes them: a name, and options as text. Loads neither torch nor ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from raysweep.errors import RaysweepError
from raysweep.nas.method import Method, make_method, methods
from raysweep.nas.successive_halving import SuccessiveHalving
from raysweep.nas.supernet_methods import WeightSharing
from raysweep.units import brief

SHARED_OPTIONS: dict[str, Any] = {"preset": str, "cells": int, "width": int, "bn": str, "recalibration": int}
"""Options of the weights that architectures share: a preset's name, and the fields of `SharedRecipe`."""
RUNGS_BELOW = 2
"""Rungs of successive halving below the settings' own number of epochs, where none are asked for."""


def shares_weights(name: str) -> bool:
    """Whether the architectures of a method are scored with weights that they share.

    Raises:
        RaysweepError: no such method.
    """
    return issubclass(_maker(name), WeightSharing)


def option_names(name: str) -> list[str]:
    """Options of a method, and of the weights that its architectures share.

    Raises:
        RaysweepError: no such method.
    """
    return [option.name for option in fields(_maker(name))] + list(SHARED_OPTIONS if shares_weights(name) else ())


def make_named(name: str, options: Mapping[str, str], epochs: float, shared_epochs: float | None = None) -> Method:
    """A method with those of the options that it has.

    The highest rung of successive halving is the settings' number of epochs, unless the options name another; weights
    that are shared are trained for `shared_epochs`.

    Raises:
        RaysweepError: no such method, or a value that does not serve.
    """
    hints = get_type_hints(_maker(name))
    given = {option: parse_option(option, hints[option], text) for option, text in options.items() if option in hints}
    if _maker(name) is SuccessiveHalving:
        highest = given.setdefault("highest", epochs)
        eta = given.get("eta", SuccessiveHalving.eta)
        given.setdefault("lowest", min(max(1.0, highest / max(eta, 2) ** RUNGS_BELOW), highest))
    if shares_weights(name) and shared_epochs is not None:
        given.setdefault("epochs", max(1, round(shared_epochs)))
    return make_method(name, given)


def _maker(name: str) -> Any:
    return methods()[name]


def parse_option(name: str, hint: Any, text: str) -> Any:
    """The value of a method's option, by its declared type.

    Raises:
        RaysweepError: a text that is not of its type.
    """
    if get_origin(hint) is Literal:
        return text
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kind = next(kind for kind in kinds if kind in (bool, int, float, str))
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        words = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise RaysweepError(f"--option {name}={text}: it must be {words}.") from None


def label(name: str, method: Any) -> str:
    """A method's name with the options that are not its defaults."""
    own = {option.name: getattr(method, option.name) for option in fields(method)}
    changed = [f"{o.name}={brief(own[o.name])}" for o in fields(method) if own[o.name] != o.default]
    return "+".join([name, *changed])
