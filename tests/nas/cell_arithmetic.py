"""Parameters and multiply-accumulates of networks of cells by arithmetic: an oracle that builds no network.

Three ways to build the same cell are in use, and differ in how inputs, identities and pools are fitted: `slim`, the
released NASNet and AmoebaNet code (tensorflow/models slim `nasnet_utils.py`, tensorflow/tpu amoeba_net
`network_utils.py`); `darts` (quark0/darts `cnn/model.py`), in which the literature compares cells; `enas`, the final
network of melodyguan/enas. Auxiliary heads are not counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from raysweep.errors import RaysweepError
from raysweep.genotypes.cells import CONV_1, CONV_1X3, CONV_1X7, IDENTITY, Cell, Genotype
from raysweep.genotypes.macro import MacroNetwork
from raysweep.genotypes.nasbench201 import CELLS, STACKS, STEM


@dataclass(frozen=True)
class NetworkCost:
    """Parameters, and multiply-accumulates of one image, forward."""

    params: int
    macs: int


@dataclass(frozen=True)
class CellNetwork:
    """What a genotype is built into."""

    style: Literal["slim", "darts", "enas"] = "slim"
    width: int = 32
    """Channels of each operation before the first reduction: F of NASNet, C of DARTS."""
    cells: int = 18
    """Without reductions in `slim`, where it is 3N; with the two of them in the others."""
    stem: Literal["cifar", "imagenet"] = "cifar"
    side: int = 32
    """Of the images, px."""
    classes: int = 10

    def cost(self, genotype: Genotype) -> NetworkCost:
        """Of the whole network.

        Raises:
            RaysweepError: an operation that this way to build does not know.
        """
        return COUNTS[self.style](self).network(genotype)


@dataclass(frozen=True)
class Maps:
    """Feature maps: channels and side."""

    width: int
    side: int

    def halved(self, stride: int) -> int:
        """Their side after a stride, with padding."""
        return -(-self.side // stride)


class Tally:
    """A running sum over layers; each method adds one and returns what comes out."""

    def __init__(self) -> None:
        self.params, self.macs = 0, 0

    def weights(self, weights: int, places: int, outputs: int = 0) -> None:
        """A convolution of so many weights at so many places of its output, and normalisation of so many outputs."""
        self.params += weights + 2 * outputs
        self.macs += weights * places

    def pointwise(self, maps: Maps, width: int, stride: int = 1) -> Maps:
        """1x1 convolution and normalisation; with stride 2 it may be one half each of two, the second one px off."""
        side = maps.halved(stride)
        self.weights(maps.width * width, side**2, width)
        return Maps(width, side)

    def separable(self, maps: Maps, width: int, kernel: int, stride: int) -> Maps:
        """Depthwise, pointwise, normalisation."""
        self.weights(maps.width * kernel**2, maps.halved(stride) ** 2)
        return self.pointwise(Maps(maps.width, maps.halved(stride)), width)


class Count(Tally):
    """The sum of a network of cells."""

    def __init__(self, network: CellNetwork) -> None:
        super().__init__()
        self.of = network

    def concatenated(self, cell: Cell, states: list[Maps]) -> Maps:
        """The output of a cell: its states, made to fit the last one."""
        last = states[-1]
        for state in (states[at] for at in cell.concat):
            if state != last:
                self.pointwise(state, last.width, 1 if state.side == last.side else 2)
        return Maps(len(cell.concat) * last.width, last.side)

    def classifier(self, width: int) -> NetworkCost:
        """The fully connected layer, and the sum."""
        classes = self.of.classes
        return NetworkCost(self.params + (width + 1) * classes, self.macs + width * classes)

    def square(self, operation: str) -> int:
        """Kernel of an operation whose name ends in it."""
        found = re.search(r"_(\d)x\1$", operation)
        if found is None:
            raise RaysweepError(f"operation {operation!r} is not known to networks of style {self.of.style}.")
        return int(found[1])


class SlimCount(Count):
    """The released NASNet and AmoebaNet code."""

    def network(self, genotype: Genotype) -> NetworkCost:
        """Stem, three stacks of normal cells, a reduction before the second and the third, classifier."""
        states, width = self._stem(genotype)
        for stack in range(3):
            if stack:
                width *= 2
                states.append(self._cell(genotype.reduction, states, width, stride=2))
            for _ in range(self.of.cells // 3):
                states.append(self._cell(genotype.normal, states, width, stride=1))
        return self.classifier(states[-1].width)

    def _stem(self, genotype: Genotype) -> tuple[list[Maps], int]:
        width = self.of.width
        if self.of.stem == "cifar":
            self.weights(3 * 9 * 3 * width, self.of.side**2, 3 * width)
            return [Maps(3 * width, self.of.side)], width
        side = (self.of.side - 3) // 2 + 1
        self.weights(3 * 9 * 32, side**2, 32)
        states = [Maps(32, side)]
        for shrunk in (max(2, width // 4), max(2, width // 2)):
            states.append(self._cell(genotype.reduction, states, shrunk, stride=2))
        return states, width

    def _cell(self, cell: Cell, outputs: list[Maps], width: int, stride: int) -> Maps:
        now = outputs[-1]
        states = [self._older(outputs, width), self.pointwise(now, width)]
        for steps in cell.nodes:
            made = [self._step(name, states[at], width, stride if at < 2 else 1) for name, at in steps]
            states.append(made[0])
        return self.concatenated(cell, states)

    def _older(self, outputs: list[Maps], width: int) -> Maps:
        """State 0: the output before the last one, fitted to the last one; before there is one, the last as it is."""
        now = outputs[-1]
        if len(outputs) == 1:
            return now
        older = outputs[-2]
        if older.side != now.side:
            return self.pointwise(older, width, 2)
        return older if older.width == width else self.pointwise(older, width)

    def _step(self, name: str, maps: Maps, width: int, stride: int) -> Maps:
        fitted = Maps(width, maps.halved(stride))
        if name == IDENTITY:
            return self.pointwise(maps, width, stride) if fitted != maps else maps
        if "pool" in name:
            return self.pointwise(Maps(maps.width, fitted.side), width) if maps.width != width else fitted
        if "sep_conv" in name:
            middle = self.separable(maps, width, self.square(name), stride)
            return self.separable(middle, width, self.square(name), 1)
        return self.pointwise(maps, width, stride) if name == CONV_1 else self._bottleneck(name, maps, width, stride)

    def _bottleneck(self, name: str, maps: Maps, width: int, stride: int) -> Maps:
        """Other convolutions, of a quarter of the width, or 3/8 for 1x3 and 3x1, between two 1x1."""
        middle = self.pointwise(maps, max(1, 3 * width // 8 if name == CONV_1X3 else width // 4))
        made, crossed = Maps(middle.width, middle.halved(stride)), {CONV_1X3: 3, CONV_1X7: 7}.get(name)
        if crossed:  # a row, then a column, each striding along itself
            self.weights(middle.width**2 * crossed, middle.side * made.side, middle.width)
        self.weights(middle.width**2 * (crossed or self.square(name) ** 2), made.side**2, middle.width)
        return self.pointwise(made, width)


class DartsCount(Count):
    """The network in which DARTS and its followers compare cells."""

    def network(self, genotype: Genotype) -> NetworkCost:
        """Stem, cells with reductions at a third and two thirds, classifier."""
        older, now, halved = self._stem()
        width = self.of.width
        for at in range(self.of.cells):
            reduces = at in (self.of.cells // 3, 2 * self.of.cells // 3)
            width *= 2 if reduces else 1
            cell = genotype.reduction if reduces else genotype.normal
            states = [self.older(older, width, 2 if halved else 1), self.newer(now, width)]
            older, now, halved = now, self._cell(cell, states, 2 if reduces else 1), reduces
        return self.classifier(now.width)

    def _stem(self) -> tuple[Maps, Maps, bool]:
        """The two inputs of the first cell, and whether the first of them is the larger one."""
        width, side = self.of.width, self.of.side
        if self.of.stem == "cifar":
            self.weights(3 * 9 * 3 * width, side**2, 3 * width)
            return Maps(3 * width, side), Maps(3 * width, side), False
        widths, sides = (3, width // 2, width, width), [side]
        for before, after in pairwise(widths):
            sides.append(-(-sides[-1] // 2))
            self.weights(before * 9 * after, sides[-1] ** 2, after)
        return Maps(width, sides[-2]), Maps(width, sides[-1]), True

    def older(self, maps: Maps, width: int, stride: int) -> Maps:
        """State 0."""
        return self.pointwise(maps, width, stride)

    def newer(self, maps: Maps, width: int) -> Maps:
        """State 1."""
        return self.pointwise(maps, width)

    def _cell(self, cell: Cell, states: list[Maps], stride: int) -> Maps:
        for steps in cell.nodes:
            made = [self._step(name, states[at], stride if at < 2 else 1) for name, at in steps]
            states.append(made[0])
        return self.concatenated(cell, states)

    def _step(self, name: str, maps: Maps, stride: int) -> Maps:
        made = Maps(maps.width, maps.halved(stride))
        if name == IDENTITY:
            return self.pointwise(maps, maps.width, stride) if stride > 1 else maps
        if "pool" in name:
            return made
        if name == CONV_1X7:
            return self._crossed(maps, made)
        if "sep_conv" not in name:
            raise RaysweepError(f"operation {name!r} is not known to networks of style {self.of.style}.")
        middle = self.separable(maps, maps.width, self.square(name), stride)
        return middle if name.startswith("dil") else self.separable(middle, maps.width, self.square(name), 1)

    def _crossed(self, maps: Maps, made: Maps) -> Maps:
        """A row of 7, then a column, each striding along itself; one normalisation."""
        self.weights(maps.width**2 * 7, maps.side * made.side)
        self.weights(maps.width**2 * 7, made.side**2, made.width)
        return made


class EnasCount(DartsCount):
    """The released code's final network: inputs are fitted where they do not, and no bias is in the classifier."""

    def older(self, maps: Maps, width: int, stride: int) -> Maps:
        """State 0."""
        return maps if stride == 1 and maps.width == width else self.pointwise(maps, width, stride)

    def newer(self, maps: Maps, width: int) -> Maps:
        """State 1, which has a 1x1 convolution in any case."""
        return self.pointwise(maps if maps.width == width else self.pointwise(maps, width), width)

    def classifier(self, width: int) -> NetworkCost:
        """The fully connected layer, and the sum."""
        return NetworkCost(self.params + width * self.of.classes, self.macs + width * self.of.classes)


COUNTS: dict[str, type[SlimCount | DartsCount]] = {"slim": SlimCount, "darts": DartsCount, "enas": EnasCount}


@dataclass(frozen=True)
class MacroForm:
    """How large a macro network is built; the standard is the released search's."""

    width: int = 36
    """Channels before the first reduction; each doubles them."""
    side: int = 32
    """Of the images, px."""
    classes: int = 10

    def cost(self, network: MacroNetwork) -> NetworkCost:
        """Stem, layers with reductions of every state that is still taken, classifier without bias."""
        tally, maps = Tally(), Maps(self.width, self.side)
        tally.weights(3 * 9 * self.width, self.side**2, self.width)
        for number, (operation, skips) in enumerate(network.layers):
            _count(tally, operation, maps)
            if number:
                tally.pointwise(Maps(maps.width * (1 + sum(skips)), maps.side), maps.width)
            if number in network.reductions:
                halved = [tally.pointwise(maps, 2 * maps.width, 2) for _ in network.taken_after(number)]
                maps = halved[-1]
        weights = maps.width * self.classes
        return NetworkCost(tally.params + weights, tally.macs + weights)


def _count(tally: Tally, operation: str, maps: Maps) -> None:
    """A 1x1 convolution, then what the operation is named after."""
    kernel = int(operation[-1])
    tally.pointwise(maps, maps.width)
    if operation.startswith("sep_conv"):
        tally.separable(maps, maps.width, kernel, 1)
    elif operation.startswith("conv"):
        tally.weights(maps.width**2 * kernel**2, maps.side**2, maps.width)


def nasbench201_cost(operations: tuple[str, ...], side: int = 32, classes: int = 10) -> NetworkCost:
    """Stem, three stacks of cells with a residual block of stride 2 between, batch normalisation, classifier."""
    params, macs = 3 * 9 * STEM + 2 * STEM, 3 * 9 * STEM * side**2
    kernels = [{"nor_conv_1x1": 1, "nor_conv_3x3": 9}.get(operation, 0) for operation in operations]
    for stack in range(STACKS):
        width = STEM << stack
        if stack:
            side = (side + 1) // 2
            weights = (width // 2) * width * (9 + 1) + 9 * width**2
            params, macs = params + weights + 2 * 2 * width, macs + weights * side**2
        weights = CELLS * sum(kernels) * width**2
        params += weights + CELLS * sum(map(bool, kernels)) * 2 * width
        macs += weights * side**2
    return NetworkCost(params + 2 * width + (width + 1) * classes, macs + width * classes)
