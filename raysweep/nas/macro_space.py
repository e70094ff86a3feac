"""ENAS' macro space: whole networks, an operation for every layer and a skip from any earlier one.

Pham et al. 2018, arXiv 1802.03268; operations and their order as in melodyguan/enas, `general_controller.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from raysweep.genotypes.macro import OPERATIONS, MacroNetwork
from raysweep.nas.limits import Limits, NetworkCost, no_limits
from raysweep.nas.macro_cost import MacroForm
from raysweep.nas.space import Decision, Decisions

SKIPS = ("no", "yes")
SEARCHED = MacroForm()
"""As the released search builds them, but that reductions double the width."""


@dataclass(frozen=True)
class EnasMacro(Decisions[MacroNetwork]):
    """So many layers, 12 in the paper's search. Every layer is used, so each network is written in one way only.

    A mutation changes one decision: an operation to another one, or a skip. There are far more skips, and each decision
    is as likely.
    """

    num_layers: int = 12
    network: MacroForm = SEARCHED
    """How large networks are built, where there are limits."""
    limits: Limits = no_limits

    @property
    def name(self) -> str:
        """Of the space."""
        return f"enas-macro-{self.num_layers}{self.limits}"

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """For each layer its operation, then the skips from the stem on."""
        return tuple(decision for layer in range(self.num_layers) for decision in _layer(layer))

    def build(self, code: Sequence[int]) -> MacroNetwork:
        """The network of a code."""
        rest = list(code)
        layers = []
        for layer in range(self.num_layers):
            own, rest = rest[: layer + 1], rest[layer + 1 :]
            layers.append((OPERATIONS[own[0]], tuple(map(bool, own[1:]))))
        return MacroNetwork(tuple(layers))

    def encode(self, architecture: MacroNetwork) -> tuple[int, ...]:
        """The code of a network."""
        return tuple(
            number
            for operation, skips in architecture.layers
            for number in (OPERATIONS.index(operation), *map(int, skips))
        )

    def key(self, architecture: MacroNetwork) -> str:
        """Its text."""
        return str(architecture)

    def is_valid(self, architecture: MacroNetwork) -> bool:
        """Whether it is within the limits."""
        return self.limits is no_limits or self.limits.hold(self.cost(architecture))

    def cost(self, architecture: MacroNetwork) -> NetworkCost:
        """Parameters and multiply-accumulates of the network of this text."""
        return self.network.cost(architecture)


def _layer(layer: int) -> tuple[Decision, ...]:
    skips = (Decision(f"{layer} from {earlier}", SKIPS, "skip", "network", layer) for earlier in range(layer))
    return (Decision(f"{layer} operation", OPERATIONS, "operation", "network", layer), *skips)
