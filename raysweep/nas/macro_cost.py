"""Parameters and multiply-accumulates of networks of ENAS' macro space, by arithmetic: nothing is built."""

from __future__ import annotations

from dataclasses import dataclass

from raysweep.genotypes.macro import MacroNetwork
from raysweep.nas.cell_cost import Maps, Tally
from raysweep.nas.limits import NetworkCost


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
