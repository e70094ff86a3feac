"""Networks that a function of the user's makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from raysweep import own_code
from raysweep.errors import RaysweepError
from raysweep.networks.wanted import Wanted, inapplicable

if TYPE_CHECKING:
    from torch import nn

OUTPUTS = ("num_classes", "num_outputs", "n_classes", "classes", "outputs")
CHANNELS = ("in_channels", "in_chans", "num_channels", "channels")
SIDES = ("image_size", "img_size", "side")
WIDTHS = ("width", "width_mult", "width_multiplier")
DROPPED = ("drop_path_rate", "drop_path", "stochastic_depth_prob")
"""The names of arguments that a user's function may have."""


def make_own(name: str, make: Callable[..., Any], wanted: Wanted) -> nn.Module:
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
