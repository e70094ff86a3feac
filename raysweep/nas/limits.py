"""How large and how costly a network of a space may be."""

from __future__ import annotations

from dataclasses import dataclass

from raysweep.errors import RaysweepError


@dataclass(frozen=True)
class NetworkCost:
    """Of one network, known without building it."""

    params: int
    """Trained ones."""
    macs: int
    """Multiply-accumulates of convolutions and fully connected layers, one image, forward."""


@dataclass(frozen=True)
class Limits:
    """Bounds of a space; what breaks one is never sampled, mutated to, or a neighbour."""

    max_params: int | None = None
    max_macs: int | None = None

    def __post_init__(self) -> None:
        for name, limit in vars(self).items():
            if limit is not None and limit < 1:
                raise RaysweepError(f"{name} is {limit}: no network is that small.")

    def hold(self, cost: NetworkCost) -> bool:
        """Whether a network is within them."""
        return (self.max_params is None or cost.params <= self.max_params) and (
            self.max_macs is None or cost.macs <= self.max_macs
        )

    def __str__(self) -> str:
        """As names of spaces end."""
        return "".join(f" {name}={limit}" for name, limit in vars(self).items() if limit is not None)


no_limits = Limits()
