"""ENAS' macro space: whole networks, an operation for every layer and an optional skip from each earlier layer.

Pham et al. 2018, arXiv 1802.03268; operations and their order as in melodyguan/enas, `general_controller.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from raysweep.genotypes.macro import OPERATIONS, MacroNetwork
from raysweep.nas.space import Decision, Decisions

SKIPS = ("no", "yes")


@dataclass(frozen=True)
class EnasMacro(Decisions[MacroNetwork]):
    """Networks of `num_layers` layers, 12 in the paper's search. All layers are used, so each network has one text.

    A mutation changes one decision, each with equal probability: an operation, or a skip, of which there are many more.
    """

    num_layers: int = 12

    @property
    def name(self) -> str:
        """The name of the space."""
        return f"enas-macro-{self.num_layers}"

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """For each layer its operation, then its skips, beginning with the one from the stem."""
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
        """The text form of the network."""
        return str(architecture)


def _layer(layer: int) -> tuple[Decision, ...]:
    skips = (Decision(f"{layer} from {earlier}", SKIPS, "skip", "network", layer) for earlier in range(layer))
    return (Decision(f"{layer} operation", OPERATIONS, "operation", "network", layer), *skips)
