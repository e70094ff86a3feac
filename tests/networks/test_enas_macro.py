"""Networks of ENAS' macro space, against one written from the released code and the count of its parameters."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raysweep.errors import InapplicableError, RaysweepError
from raysweep.genotypes.macro import ENAS_MACRO, MacroNetwork
from raysweep.nas import EnasMacro
from tests.nas.cell_arithmetic import MacroForm
from tests.networks.comparison import assert_the_same_function, built, native, size

EVERY = "avg_pool_3x3; conv_3x3 1; sep_conv_5x5 01; max_pool_3x3 111; conv_5x5 1010; sep_conv_3x3 11111"
"""Each operation once, without unused states."""


def conv(before: int, after: int, kernel: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, padding=kernel // 2, groups=groups, bias=False)


def kernel_layers(name: str, width: int) -> list[nn.Module]:
    """The layers after the 1x1 convolution of an operation."""
    return {
        "conv_3x3": lambda: [conv(width, width, 3), nn.BatchNorm2d(width)],
        "conv_5x5": lambda: [conv(width, width, 5), nn.BatchNorm2d(width)],
        "sep_conv_3x3": lambda: [conv(width, width, 3, width), conv(width, width, 1), nn.BatchNorm2d(width)],
        "sep_conv_5x5": lambda: [conv(width, width, 5, width), conv(width, width, 1), nn.BatchNorm2d(width)],
        "avg_pool_3x3": lambda: [nn.AvgPool2d(3, 1, 1, count_include_pad=False)],
        "max_pool_3x3": lambda: [nn.MaxPool2d(3, 1, 1)],
    }[name]()


class Released(nn.Module):
    """`general_child.py` in torch: `_model` with `_fixed_layer`, whose missing operations are those of `_enas_layer`.

    Takes rows as the scripts write them, without the operation, and nothing of the code that is tested.
    """

    def __init__(self, operations: list[str], rows: list[list[int]], filters: int) -> None:
        super().__init__()
        self.rows, third = rows, len(rows) // 3
        self.halving = {third - 1, 2 * third - 1}
        self.stem = nn.Sequential(conv(3, filters, 3), nn.BatchNorm2d(filters))
        self.operations, self.joins, self.halves = nn.ModuleList(), nn.ModuleList([nn.Identity()]), nn.ModuleDict()
        for at, (name, row) in enumerate(zip(operations, rows, strict=True)):
            first = (nn.ReLU(), conv(filters, filters, 1), nn.BatchNorm2d(filters), nn.ReLU())
            self.operations.append(nn.Sequential(*first, *kernel_layers(name, filters)))
            if at:
                joined = conv(filters * (sum(row) + 1), filters, 1)
                self.joins.append(nn.Sequential(nn.ReLU(), joined, nn.BatchNorm2d(filters)))
            if at in self.halving:
                halves = [nn.Sequential(conv(filters, filters, 1), nn.BatchNorm2d(filters)) for _ in range(2 * at + 4)]
                self.halves[str(at)] = nn.ModuleList(halves)
                filters *= 2
        self.fc = nn.Linear(filters, 10, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        layers = [self.stem(images)]
        for at, row in enumerate(self.rows):
            made = self.operations[at](layers[-1])
            taken = [layers[source] for source, skip in enumerate(row) if skip]
            layers.append(self.joins[at](torch.cat([*taken, made], 1)))
            if at in self.halving:
                pairs = list(pairwise(self.halves[str(at)]))[::2]  # type: ignore[call-overload]
                layers = [self.reduced(map_, *pair) for map_, pair in zip(layers, pairs, strict=True)]
        logits: Tensor = self.fc(layers[-1].mean((2, 3)))
        return logits

    @staticmethod
    def reduced(x: Tensor, even: nn.Module, odd: nn.Module) -> Tensor:
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return torch.cat([even(x[:, :, ::2, ::2]), odd(shifted[:, :, ::2, ::2])], 1)


def released(text: str, filters: int) -> Released:
    words = [layer.split() for layer in text.split(";")]
    return Released([word[0] for word in words], [list(map(int, "".join(word[1:]))) for word in words], filters)


def test_it_is_the_function_of_the_released_code() -> None:
    assert_the_same_function(native("enas_macro", genotype=EVERY, width=1 / 6), released(EVERY, 6))


def test_the_released_network_is_that_function_with_plain_convolutions() -> None:
    plain = str(ENAS_MACRO).replace("sep_conv", "conv")
    assert_the_same_function(native("enas_macro_released", width=1 / 24), released(plain, 4))


def test_the_released_network_has_the_parameters_counted_in_it() -> None:
    assert sum(weight.numel() for weight in built(native("enas_macro_released")).parameters()) == 42_559_392


def assert_costs_agree(number: int) -> None:
    """On the random network with this number, of 12 layers or, if it is even, of few."""
    space = EnasMacro() if number % 2 else EnasMacro(number // 2 + 1)
    network = space.sample(np.random.default_rng(number))
    cost = MacroForm().cost(network)
    assert size(native("enas_macro", genotype=str(network))) == (cost.params, cost.macs)


@pytest.mark.parametrize("number", [0, 1, 6])
def test_a_built_network_costs_what_arithmetic_says(number: int) -> None:
    assert_costs_agree(number)


@pytest.mark.long
def test_many_built_networks_cost_what_arithmetic_says() -> None:
    for number in range(20):
        assert_costs_agree(number)


def test_unused_states_are_not_halved() -> None:
    """Their weights would learn nothing, and workers that average gradients would wait for them."""
    text = "; ".join(f"conv_3x3 {'0' * layer}".strip() for layer in range(6))
    network = built(native("enas_macro", genotype=text, width=1 / 18), "cpu")
    network.train()(torch.randn(2, 3, 32, 32)).square().sum().backward()
    assert not [name for name, weight in network.named_parameters() if weight.grad is None]


def test_random_networks_are_read_back() -> None:
    space, rng = EnasMacro(), np.random.default_rng(3)
    for _ in range(50):
        network = space.sample(rng)
        assert MacroNetwork.parse(str(network)) == network


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv_3x3; conv_3x3", "layer 1.*'conv_3x3'.* 1 "),
        ("conv_3x3; conv_3x3 1; conv_3x3 1", "layer 2.*'conv_3x3 1'.* 2 "),
        ("conv_3x3; conv_3x3 2", "layer 1.*'conv_3x3 2'"),
        ("conv_3x3 0", "layer 0.*'conv_3x3 0'.*'conv_3x3'"),
        ("conv_3x3; conv_3y3 1", "layer 1.*'conv_3y3'.*conv_3x3"),
    ],
)
def test_an_invalid_network_is_refused_with_its_layer(text: str, message: str) -> None:
    with pytest.raises(RaysweepError, match=message):
        MacroNetwork.parse(text)


def test_genotypes_that_do_not_apply_are_refused() -> None:
    with pytest.raises(RaysweepError, match=r"enas_macro.*network\.genotype"):
        built(native("enas_macro", genotype=""))
    with pytest.raises(InapplicableError, match=r"enas_macro_released.*network\.genotype"):
        built(native("enas_macro_released", genotype=EVERY))
