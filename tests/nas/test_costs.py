"""The arithmetic that networks are checked against: its numbers are the published ones, and those of built networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from raysweep.errors import RaysweepError
from raysweep.genotypes.cells import GENOTYPES
from raysweep.genotypes.macro import ENAS_MACRO, MacroNetwork
from raysweep.genotypes.nasbench201 import EDGES, Cell201
from raysweep.nas import NASBench201, cell_space
from tests.nas.cell_arithmetic import CellNetwork, MacroForm, NetworkCost, nasbench201_cost

MOBILE: dict[str, Any] = {"stem": "imagenet", "side": 224, "classes": 1000}
DARTS_CIFAR = CellNetwork("darts", 36, 20)
DARTS_MOBILE = CellNetwork("darts", 48, 14, **MOBILE)


@pytest.mark.parametrize(
    ("name", "network", "params"),
    [
        ("nasnet_a", CellNetwork(), 3_346_538),
        ("nasnet_a", CellNetwork(width=44, cells=12, **MOBILE), 5_289_978),
        ("amoebanet_a", CellNetwork(), 2_567_754),
        ("amoebanet_a", CellNetwork(width=36), 3_218_266),
        # Counted elsewhere as 5,086,898: with 24 of the 25 channels that a factorised reduction of 32 makes.
        ("amoebanet_a", CellNetwork(width=50, cells=12, **MOBILE), 5_086_898 + 32),
        ("darts_v2", DARTS_CIFAR, 3_349_342),
        ("darts_v2", DARTS_MOBILE, 4_718_752),
        ("amoebanet_darts", DARTS_CIFAR, 3_145_078),
        ("amoebanet_darts", DARTS_MOBILE, 4_627_360),
        ("nasnet_darts", DARTS_CIFAR, 3_830_950),
        ("nasnet_darts", DARTS_MOBILE, 5_564_320),
        ("enas_micro", CellNetwork("enas", 36, 17), 3_894_372),
    ],
)
def test_parameters_are_those_counted_in_released_networks(name: str, network: CellNetwork, params: int) -> None:
    assert network.cost(GENOTYPES[name]).params == params


@pytest.mark.parametrize(
    ("name", "network", "millions"),
    [
        ("nasnet_a", CellNetwork(), 544.3),
        ("nasnet_a", CellNetwork(width=44, cells=12, **MOBILE), 563.6),
        ("darts_v2", DARTS_MOBILE, 529.9),
    ],
)
def test_multiply_accumulates_are_those_counted_in_released_networks(
    name: str, network: CellNetwork, millions: float
) -> None:
    assert network.cost(GENOTYPES[name]).macs / 1e6 == pytest.approx(millions, abs=0.05)


def test_the_released_macro_network_has_the_parameters_counted_in_it() -> None:
    """The released code builds plain convolutions in place of separable ones."""
    plain = MacroNetwork.parse(str(ENAS_MACRO).replace("sep_conv", "conv"))
    assert MacroForm(width=96).cost(plain).params == 42_559_392
    assert MacroForm(width=96).cost(ENAS_MACRO).params < 42_559_392


def test_operations_that_a_network_does_not_have_are_refused() -> None:
    space = cell_space("nasnet")
    genotype = space.decode([0, 0, 1, 1] * 10)
    with pytest.raises(RaysweepError, match=r"conv_1x3_3x1.*darts"):
        DARTS_CIFAR.cost(genotype)
    assert CellNetwork().cost(genotype).params > 0


def nasbench201_network(cell: Cell201, classes: int) -> Any:
    """The benchmark's network in torch, after its description: nothing of the arithmetic is used."""
    from torch import nn

    def conv(before: int, after: int, kernel: int, stride: int = 1) -> Any:
        layer = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
        return nn.Sequential(nn.ReLU(), layer, nn.BatchNorm2d(after))

    class Cell(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            make = {
                "nor_conv_1x1": lambda: conv(width, width, 1),
                "nor_conv_3x3": lambda: conv(width, width, 3),
                "avg_pool_3x3": lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
                "skip_connect": nn.Identity,
                "none": lambda: nn.Threshold(float("inf"), 0.0),
            }
            self.edges = nn.ModuleList(make[name]() for name in cell.operations)

        def forward(self, x: Any) -> Any:
            states = [x]
            for node in (1, 2, 3):
                own = [edge for edge, (_, to) in zip(self.edges, EDGES, strict=True) if to == node]
                states.append(sum(edge(state) for edge, state in zip(own, states, strict=True)))
            return states[-1]

    class Residual(nn.Module):
        def __init__(self, before: int, after: int) -> None:
            super().__init__()
            self.main = nn.Sequential(conv(before, after, 3, 2), conv(after, after, 3))
            self.skip = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(before, after, 1, bias=False))

        def forward(self, x: Any) -> Any:
            return self.main(x) + self.skip(x)

    layers: list[Any] = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)]
    for width in (16, 32, 64):
        layers += [Residual(width // 2, width)] if width > 16 else []
        layers += [Cell(width) for _ in range(5)]
    head = (nn.BatchNorm2d(64), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))
    return nn.Sequential(*layers, *head)


def counted(network: Any, side: int) -> NetworkCost:
    import torch
    from torch import nn

    macs = 0

    def count(module: Any, inputs: Any, output: Any) -> None:
        nonlocal macs
        macs += output[0].numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.device("meta"):
        network.to("meta").eval()(torch.empty(1, 3, side, side))
    return NetworkCost(sum(parameter.numel() for parameter in network.parameters()), macs)


@pytest.mark.parametrize(("classes", "side"), [(10, 32), (120, 16)])
def test_costs_of_nasbench201_match_a_built_network(classes: int, side: int) -> None:
    space = NASBench201()
    for cell in (space.decode([3, 2, 0, 3, 1, 4]), space.sample(np.random.default_rng(classes))):
        assert nasbench201_cost(cell.operations, side, classes) == counted(nasbench201_network(cell, classes), side)


def test_a_cell_is_written_as_the_benchmark_does() -> None:
    space = NASBench201()
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"
    assert str(space.parse(text)) == text
    assert space.parse(text).operations == (
        *("nor_conv_3x3", "none", "skip_connect"),
        *("avg_pool_3x3", "nor_conv_1x1", "skip_connect"),
    )
    with pytest.raises(RaysweepError, match="nor_conv_5x5"):
        space.parse(text.replace("nor_conv_3x3", "nor_conv_5x5"))
    for wrong in (text[:-1], text.replace("~2", "~1"), "|none~0|", ""):
        with pytest.raises(RaysweepError, match="cell"):
            space.parse(wrong)
