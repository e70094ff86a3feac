"""Networks of ENAS' macro space, from their text to layers: each layer may take in what any earlier one gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from raysweep.genotypes.macro import MacroNetwork
from raysweep.nn.builder import Builder
from raysweep.nn.cell_ops import factorised_reduction, operation, pointwise

STYLE = "enas_macro"
"""Way to build operations, see `cell_ops`."""
States = dict[int, Tensor]
"""Maps of one shape by number: 0 that of the stem, n + 1 that of layer n."""


class SkipLayer(nn.Module):
    """An operation on the last state; its output and those of some earlier states are joined to a new state."""

    def __init__(self, operation: nn.Module, sources: Sequence[int], join: nn.Module) -> None:
        super().__init__()
        self.operation = operation
        self.sources = tuple(sources)
        self.join = join

    def forward(self, states: States) -> States:
        """States -> the same and the new one."""
        last = max(states)
        maps = [*(states[at] for at in self.sources), self.operation(states[last])]
        return states | {last + 1: self.join(torch.cat(maps, 1))}


class HalvedStates(nn.Module):
    """States that are still taken, each halved by weights of its own; the others are left behind."""

    def __init__(self, reductions: Mapping[int, nn.Module]) -> None:
        super().__init__()
        self.sources = tuple(reductions)
        self.reductions = nn.ModuleList(reductions.values())

    def forward(self, states: States) -> States:
        """States (N, C, H, W) -> (N, 2C, ceil(H / 2), ceil(W / 2))."""
        return {at: reduce(states[at]) for at, reduce in zip(self.sources, self.reductions, strict=True)}


class SkipLayers(nn.ModuleList):
    """Layers that add a state, and reductions; the last state is the output."""

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> (N, 2^r C, H / 2^r, W / 2^r), r the number of reductions."""
        states: States = {0: x}
        for layer in self:
            states = layer(states)
        return states[max(states)]


def add_layers(net: Builder, name: str, network: MacroNetwork) -> None:
    """Add the layers of a macro network to the present map, whose width they have until a reduction doubles it.

    A state that nothing takes any more is not halved: its weights would learn nothing.
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
    """The released code has no such convolution in the first layer, which has no skips."""
    if not first:
        pointwise(net, "join", width)
