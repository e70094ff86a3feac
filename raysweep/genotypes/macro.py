"""Networks of ENAS' macro space and their text form, see `raysweep.nas.macro_space`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from raysweep.errors import RaysweepError, unknown

OPERATIONS = ("conv_3x3", "sep_conv_3x3", "conv_5x5", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3")
Layer = tuple[str, tuple[bool, ...]]
"""An operation, and for each earlier state whether it is an additional input."""


@dataclass(frozen=True)
class MacroNetwork:
    """A sequence of layers, counted from 0. State 0 is the output of the stem, state n + 1 that of layer n.

    Layer n applies its operation to state n and may have a skip from each of the states 0 to n - 1.
    """

    layers: tuple[Layer, ...]

    def __str__(self) -> str:
        return "; ".join(
            f"{operation} {''.join('01'[skip] for skip in skips)}".strip() for operation, skips in self.layers
        )

    @cached_property
    def reductions(self) -> tuple[int, ...]:
        """Layers after which maps are halved: the last one of the first third and of the second third."""
        third = len(self.layers) // 3
        return (third - 1, 2 * third - 1) if third else ()

    def taken_after(self, layer: int) -> tuple[int, ...]:
        """States up to that of `layer` that later layers use, in order; the last one is the input of the next layer."""
        later = self.layers[layer + 1 :]
        return (*(at for at in range(layer + 1) if any(skips[at] for _, skips in later)), layer + 1)

    @classmethod
    def parse(cls, text: str) -> MacroNetwork:
        """The network of a text written by `str`.

        Raises:
            RaysweepError: the text is invalid; the message names the layer and what is expected.
        """
        return cls(tuple(_layer(number, layer) for number, layer in enumerate(text.split(";"))))


def _layer(number: int, text: str) -> Layer:
    found = re.fullmatch(rf"\s*(\w+){' +' * bool(number)}([01]{{{number}}})\s*", text)
    if found is None:
        skips = f" and {number} digits 0 or 1, one for each earlier state" if number else ""
        example = f"{OPERATIONS[0]} {'1'.zfill(number) if number else ''}".strip()
        raise RaysweepError(
            f"macro network, layer {number}: {text.strip()!r} must be an operation{skips}, such as '{example}'."
        )
    if found[1] not in OPERATIONS:
        raise unknown(f"operation of layer {number}", found[1], OPERATIONS)
    return found[1], tuple(digit == "1" for digit in found[2])


ENAS_MACRO = MacroNetwork.parse(
    "conv_3x3; sep_conv_5x5 0; conv_3x3 10; conv_5x5 001; conv_5x5 0000; sep_conv_5x5 11010; conv_5x5 000001;"
    "conv_5x5 0110111; sep_conv_3x3 01110101; conv_3x3 000000000; conv_5x5 0000010000; conv_3x3 10011000011;"
    "conv_5x5 010000010110; sep_conv_3x3 0010001110101; conv_3x3 11010100000100; conv_5x5 001000000010101;"
    "conv_5x5 0100010011110010; conv_5x5 00001010100101001; sep_conv_5x5 011010000010101000;"
    "sep_conv_5x5 0110000000001100001; conv_3x3 10010110001000001100; sep_conv_5x5 010110010110110100100;"
    "conv_3x3 1010100000000101001000; conv_3x3 11000111010001010011000"
)
"""The network found by the released search: melodyguan/enas, `scripts/cifar10_macro_final.sh`."""
