"""What is asked of a function that makes a network outside of this package, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raysweep.errors import InapplicableError, RaysweepError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Wanted:
    """The network asked for. A function that makes networks uses what it can; surgery does the rest."""

    outputs: int
    channels: int
    """Of its input."""
    side: int
    """Of its input, px."""
    width: float = 1.0
    """Multiplier of the width."""
    dropped: float | None = None
    """Probability of leaving out the last block in training; None: the network's own."""
    auxiliary: bool = False
    """Whether auxiliary heads are trained."""


@dataclass(frozen=True)
class Outside:
    """A network from outside the package."""

    make: Callable[[Wanted], nn.Module]
    """Builds it on torch's default device.

    Raises `InapplicableError` for a width, a probability or auxiliary heads that it cannot have."""
    version: str
    """Of the code that builds it."""
    side: int = 224
    """Native image side, px."""
    classes: int = 1000
    """Native number of classes."""
    takes_outputs: bool = True
    """Whether it is made with the number of outputs asked for; otherwise its classifier is replaced."""
    is_released: bool = True
    """Whether it comes from a released package, whose networks of one seed are known to be equal."""

    def build(self, wanted: Wanted) -> nn.Module:
        """The network on torch's default device."""
        import torch

        if torch.get_default_device().type != "meta":
            return self.make(wanted)
        try:
            return self.make(wanted)
        except (NotImplementedError, RuntimeError, RaysweepError):
            # Some constructors compute with tensors, which needs memory.
            with torch.device("cpu"):
                network = self.make(wanted)
            return network.to("meta")


def inapplicable(name: str, field: str, neutral: object) -> InapplicableError:
    """The error about a field that a network has no other value of."""
    return InapplicableError(f"{name} cannot have another {field}: leave it at {neutral}.")
