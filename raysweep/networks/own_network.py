"""Networks that a function of the user's makes: `models.py:build`, `package.module:function`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep import own_code
from raysweep.errors import RaysweepError, unknown
from raysweep.networks.making import Outside, Wanted, inapplicable

if TYPE_CHECKING:
    from torch import nn

OUTPUTS = ("num_classes", "num_outputs", "n_classes", "classes", "outputs")
CHANNELS = ("in_channels", "in_chans", "num_channels", "channels")
SIDES = ("image_size", "img_size", "side")
WIDTHS = ("width", "width_mult", "width_multiplier")
DROPPED = ("drop_path_rate", "drop_path", "stochastic_depth_prob")
TRIED_SIDES = (32, 224, 64, 128, 96, 28, 48, 144, 160, 192, 256, 299, 384)
"""Sides at which a user's network is looked at: one with a fixed side runs at that one only."""


def plain_name(name: str) -> str:
    """The name of a network as recipes hold it: of a user's file without its folder."""
    return Path(name).name if own_code.is_file(name) else name


def find_own(name: str, source: str, others: Iterable[str]) -> Outside:
    """The network that a function of the user's makes; `others` are the names of the packages that have networks.

    Raises:
        RaysweepError: no such file, module or function; the message lists the nearest ones.
    """
    place, _, function = name.partition(":")
    if own_code.is_file(name):
        code = own_code.known(source, plain_name(name)) if source else own_code.take_file(name)
        module, version = own_code.load(code), code.digest
    elif "." in place or find_spec(place):
        module = own_code.import_named(place)
        version = own_code.source_of(module)
    else:
        raise unknown("source of networks", place, others, "raysweep list networks")
    make = own_code.attribute(module, function, plain_name(place))
    takes_outputs = any(one in inspect.signature(make).parameters for one in OUTPUTS)
    made = partial(_make_own, plain_name(name), make)
    return Outside(made, version, takes_outputs=takes_outputs, is_released=False)


def _make_own(name: str, make: Callable[..., Any], wanted: Wanted) -> nn.Module:
    """The network of a user's function.

    Raises:
        RaysweepError: it raises an error, returns no module, or requires an argument that it is not given.
        InapplicableError: another width, or stochastic depth, where it takes none.
    """
    import torch

    values = {OUTPUTS: wanted.outputs, CHANNELS: wanted.channels, SIDES: wanted.side, WIDTHS: wanted.width}
    if wanted.dropped is not None:
        values[DROPPED] = wanted.dropped
    arguments = own_code.arguments_for(make, values, name)
    if wanted.width != 1 and not arguments.keys() & set(WIDTHS):
        raise inapplicable(name, "network.width", 1)
    if wanted.dropped is not None and not arguments.keys() & set(DROPPED):
        raise inapplicable(name, "network.survival", 1)
    try:
        network = make(**arguments)
    except Exception as error:
        text = ", ".join(f"{key}={value}" for key, value in arguments.items())
        raise RaysweepError(f"{name}({text}) raises {type(error).__name__}: {error}.") from error
    if not isinstance(network, torch.nn.Module):
        raise RaysweepError(f"{name} returns a {type(network).__name__}: it must return a torch.nn.Module.")
    return network
