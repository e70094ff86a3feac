"""ENAS' macro space: whole networks, an operation for every layer and a skip from any earlier one.

Pham et al. 2018, arXiv 1802.03268; operations and their order as in melodyguan/enas, `general_controller.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from raysweep.errors import RaysweepError
from raysweep.nas.space import Decision, Decisions

OPERATIONS = ("conv_3x3", "sep_conv_3x3", "conv_5x5", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3")
SKIPS = ("no", "yes")


@dataclass(frozen=True)
class MacroNetwork:
    """One layer after another: its operation, and for each earlier layer whether its output is taken in too."""

    layers: tuple[tuple[str, tuple[bool, ...]], ...]

    def __str__(self) -> str:
        return "; ".join(
            f"{operation} {''.join('01'[skip] for skip in skips)}".strip() for operation, skips in self.layers
        )

    @classmethod
    def parse(cls, text: str) -> MacroNetwork:
        """The network that `str` writes so.

        Raises:
            RaysweepError: it does not; says which layer is wrong.
        """
        return cls(tuple(_parsed(number, layer) for number, layer in enumerate(text.split(";"))))


def _parsed(number: int, text: str) -> tuple[str, tuple[bool, ...]]:
    found = re.fullmatch(r"\s*(\w+)(?: +([01]+))?\s*", text)
    skips = (found and found[2]) or ""
    if found is None or found[1] not in OPERATIONS or len(skips) != number:
        raise RaysweepError(
            f"layer {number}: {text.strip()!r} must be one of {', '.join(OPERATIONS)} and {number} digits."
        )
    return found[1], tuple(digit == "1" for digit in skips)


@dataclass(frozen=True)
class EnasMacro(Decisions[MacroNetwork]):
    """So many layers, 12 in the paper's search. Every layer is used, so each network is written in one way only.

    A mutation changes one decision: an operation to another one, or a skip. There are far more skips, and each decision
    is as likely.
    """

    num_layers: int = 12

    @property
    def name(self) -> str:
        """Of the space."""
        return f"enas-macro-{self.num_layers}"

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """For each layer its operation, then the skips from the first layer on."""
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


def _layer(layer: int) -> tuple[Decision, ...]:
    skips = (Decision(f"{layer} from {earlier}", SKIPS, "skip", "network", layer) for earlier in range(layer))
    return (Decision(f"{layer} operation", OPERATIONS, "operation", "network", layer), *skips)
