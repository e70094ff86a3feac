"""Builds layers of networks in ENAS' macro space, in which each layer may use the output of any earlier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from raysweep.genotypes.macro import MacroNetwork
from raysweep.nn.builder import Builder
from raysweep.nn.cell_ops import factorised_reduction, operation, pointwise

STYLE = "enas_macro"
"""How operations are built, see `cell_ops`."""
States = dict[int, Tensor]
"""Maps of equal shape by number: 0 for the stem, n + 1 for layer n."""


class SkipLayer(nn.Module):
    """Applies an operation to the last state, and joins the result with some earlier states into a new state."""

    def __init__(self, operation: nn.Module, sources: Sequence[int], join: nn.Module) -> None:
        super().__init__()
        self.operation = operation
        self.sources = tuple(sources)
        self.join = join

    def forward(self, states: States) -> States:
        """States -> the same states and the new one."""
        last = max(states)
        maps = [*(states[at] for at in self.sources), self.operation(states[last])]
        return states | {last + 1: self.join(torch.cat(maps, 1))}


class HalvedStates(nn.Module):
    """Halves each state that is still used, with separate weights, and drops the others."""

    def __init__(self, reductions: Mapping[int, nn.Module]) -> None:
        super().__init__()
        self.sources = tuple(reductions)
        self.reductions = nn.ModuleList(reductions.values())

    def forward(self, states: States) -> States:
        """States (N, C, H, W) -> (N, 2C, ceil(H / 2), ceil(W / 2))."""
        return {at: reduce(states[at]) for at, reduce in zip(self.sources, self.reductions, strict=True)}


class SkipLayers(nn.ModuleList):
    """Layers that each add a state, and reductions. The last state is the output."""

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> (N, 2^r C, H / 2^r, W / 2^r), r the number of reductions."""
        states: States = {0: x}
        for layer in self:
            states = layer(states)
        return states[max(states)]


def add_layers(net: Builder, name: str, network: MacroNetwork) -> None:
    """Add the layers of a macro network. They have the width of the present map, which each reduction doubles.

    States that are no longer used are not halved, because these weights would not learn.
    """
    shape, layers = net.shape, nn.ModuleList()
    for number, (word, skips) in enumerate(network.layers):
        sources = [at for at, skip in enumerate(skips) if skip]
        made, _ = net.part(operation(word, STYLE, shape[0]), shape)
        joined = (shape[0] * (1 + len(sources)), *shape[1:])
        join, _ = net.part(partial(_join, shape[0], number == 0), joined)
        layers.append(SkipLayer(made, sources, join))
        if number in network.reductions:
            halve = partial(factorised_reduction, width=2 * shape[0])
            halved = {at: net.part(halve, shape) for at in network.taken_after(number)}
            layers.append(HalvedStates({at: part for at, (part, _) in halved.items()}))
            shape = halved[number + 1][1]
    net.add(name, SkipLayers(layers), shape)


def _join(width: int, first: bool, net: Builder) -> None:
    """Add the 1x1 convolution that joins states; as in the released code, the first layer has none."""
    if not first:
        pointwise(net, "join", width)
