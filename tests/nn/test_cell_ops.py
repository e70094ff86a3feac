"""Operations of cells, against their definitions in plain torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raysweep.errors import RaysweepError
from raysweep.genotypes.cells import OPERATIONS
from raysweep.genotypes.macro import OPERATIONS as OPERATIONS_MACRO
from raysweep.genotypes.nasbench201 import OPERATIONS as OPERATIONS_201
from raysweep.nn.blocks import DropPath, Graph, Layers, Paired
from raysweep.nn.builder import Builder
from raysweep.nn.cell_ops import STYLES, factorised_reduction, operation
from raysweep.nn.norms import CaffeBatchNorm
from raysweep.recipe import NetworkRecipe

RECIPE = NetworkRecipe(norm="batch_affine", norm_position="before", conv_bias=False)
LISTS = [*((style, OPERATIONS[style]) for style in ("darts", "enas")), ("nasbench201", OPERATIONS_201)]
LISTS += [("enas_macro", OPERATIONS_MACRO)]
LISTS += [("slim", OPERATIONS[name]) for name in ("nasnet", "amoebanet", "pnas", "enas")]


def made(style: str, name: str, width: int = 8, stride: int = 1, side: int = 8, **factors: Any) -> Layers:
    recipe = NetworkRecipe(**{**vars(RECIPE), **factors})
    layers, shape = Builder(recipe, (8, side, side)).part(operation(name, style, width, stride))
    assert shape == (width, -(-side // stride), -(-side // stride))
    return layers.eval()


def weights(layers: Layers) -> list[Tensor]:
    """The weights of the convolutions, in order; normalisations only divide maps by sqrt(1 + 1e-5) here."""
    for layer in layers.modules():
        if isinstance(layer, CaffeBatchNorm):
            layer.bias.data.zero_()  # type: ignore[union-attr]
    return [weight for weight in layers.parameters() if weight.dim() == 4]


@pytest.mark.parametrize(("style", "names"), LISTS)
def test_every_operation_gives_the_declared_shape_and_learns(style: str, names: tuple[str, ...]) -> None:
    for name in names:
        for stride, side in ((1, 8), (1, 7)) if style == "nasbench201" else ((1, 8), (2, 8), (2, 7)):
            layers = made(style, name, stride=stride, side=side).train()
            result = layers(torch.randn(2, 8, side, side))
            assert result.shape == (2, 8, -(-side // stride), -(-side // stride)), name
            if parameters := list(layers.parameters()):
                result.square().sum().backward()
                assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in parameters), name


def test_a_separable_convolution_is_applied_twice_and_strides_first() -> None:
    layers, x = made("slim", "sep_conv_5x5", width=6, stride=2), torch.randn(2, 8, 8, 8)
    deep1, point1, deep2, point2 = weights(layers)
    expected = F.conv2d(F.conv2d(x.relu(), deep1, stride=2, padding=2, groups=8), point1)
    expected = F.conv2d(F.conv2d(expected.relu(), deep2, padding=2, groups=6), point2)
    torch.testing.assert_close(layers(x), expected, rtol=1e-4, atol=1e-5)


def test_the_dilated_separable_convolution_of_darts_is_applied_once() -> None:
    layers, x = made("darts", "dil_sep_conv_5x5", stride=2), torch.randn(2, 8, 8, 8)
    deep, point = weights(layers)
    expected = F.conv2d(F.conv2d(x.relu(), deep, stride=2, padding=4, dilation=2, groups=8), point)
    torch.testing.assert_close(layers(x), expected, rtol=1e-4, atol=1e-5)


def test_crossed_convolutions_are_narrow_in_amoebanet_and_strides_go_along_them() -> None:
    layers, x = made("slim", "conv_1x7_7x1", stride=2), torch.randn(2, 8, 8, 8)
    narrow, row, column, wide = weights(layers)
    assert [tuple(weight.shape) for weight in (narrow, row, column, wide)] == [
        *((2, 8, 1, 1), (2, 2, 1, 7), (2, 2, 7, 1), (8, 2, 1, 1)),
    ]
    expected = F.conv2d(F.conv2d(x.relu(), narrow).relu(), row, stride=(1, 2), padding=(0, 3))
    expected = F.conv2d(F.conv2d(expected.relu(), column, stride=(2, 1), padding=(3, 0)).relu(), wide)
    torch.testing.assert_close(layers(x), expected, rtol=1e-4, atol=1e-5)


def test_an_average_ignores_the_border() -> None:
    ones = torch.ones(1, 8, 8, 8)
    assert torch.equal(made("darts", "avg_pool_3x3")(ones), ones)


def test_a_pool_is_fitted_only_where_the_width_changes() -> None:
    assert not list(made("slim", "max_pool_3x3").parameters())
    assert sum(weight.numel() for weight in made("slim", "max_pool_3x3", width=6).parameters()) == 8 * 6 + 2 * 6


def test_identities_that_stride_differ_by_style() -> None:
    """slim strides in one 1x1 convolution; the others see pixels of either parity, DARTS only what is positive."""
    x = torch.randn(2, 8, 8, 8)
    (whole,) = weights(slim := made("slim", "identity", stride=2))
    torch.testing.assert_close(slim(x), F.conv2d(x.relu(), whole, stride=2), rtol=1e-4, atol=1e-5)
    for style, taken in (("enas", x), ("darts", x.relu())):
        first, second = weights(layers := made(style, "identity", stride=2))
        expected = torch.cat([F.conv2d(taken, first, stride=2), F.conv2d(taken[:, :, 1:, 1:], second, stride=2)], 1)
        torch.testing.assert_close(layers(x), expected, rtol=1e-4, atol=1e-5)
    assert not list(made("slim", "identity").children())


@pytest.mark.parametrize("side", [7, 8])
def test_a_factorised_reduction_of_an_odd_width_has_all_channels(side: int) -> None:
    layers, shape = Builder(RECIPE, (8, side, side)).part(lambda net: factorised_reduction(net, 5))
    assert layers(torch.randn(2, 8, side, side)).shape == (2, *shape) == (2, 5, 4, 4)
    assert sum(weight.numel() for weight in layers.parameters()) == 8 * 5 + 2 * 5


def test_the_none_operation_gives_zeros() -> None:
    assert not made("nasbench201", "none")(torch.full((1, 8, 8, 8), torch.inf)).any()


@pytest.mark.parametrize("position", ["before", "after"])
def test_factors_of_the_recipe_hold_in_operations(position: str) -> None:
    """After: the output of a non-linearity is normalised, and the operation ends in its convolution."""
    layers = made("slim", "sep_conv_3x3", norm_position=position, activation="prelu", conv_bias=True)
    kinds = [type(layer).__name__ for layer in layers.modules()]
    assert (kinds.count("PReLU"), kinds.count("CaffeBatchNorm")) == (2, 2)
    assert len([name for name, _ in layers.named_parameters() if name.endswith("layers.0.bias")]) == 4
    first = next(layer for layer in layers.modules() if isinstance(layer, torch.nn.Conv2d | CaffeBatchNorm))
    assert isinstance(first, CaffeBatchNorm) == (position == "after")


def test_operations_that_a_style_does_not_have_are_refused() -> None:
    with pytest.raises(RaysweepError, match="'conv_3x3'.*enas"):
        operation("conv_3x3", "enas", 8)
    assert set(STYLES) == {"slim", "darts", "enas", "enas_macro", "nasbench201"}


def test_drop_path_keeps_the_mean_and_drops_nothing_at_test() -> None:
    torch.manual_seed(0)
    layer, x = DropPath(0.8), torch.ones(20_000, 1, 1, 1)
    assert layer.train()(x) is x, "nothing at the start"
    layer.progress = 0.5
    found = layer(x)
    assert (found == 0).float().mean() == pytest.approx(0.4, abs=0.02)
    assert found.mean() == pytest.approx(1.0, abs=0.02)
    assert found.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    assert layer.eval()(x) is x
    assert layer.train()(x.bfloat16()).dtype == torch.bfloat16


def test_a_graph_sums_and_concatenates_states() -> None:
    class Times(torch.nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: Tensor) -> Tensor:
            return self.factor * x

    graph = Graph([[(0, Times(2)), (1, Times(3))], [(2, Times(1)), (2, Times(1))]], [(0, Times(1)), (3, Times(10))])
    one = torch.ones(1, 1, 1, 1)
    assert graph(one, 10 * one).flatten().tolist() == [1, 640]


def test_a_cell_is_given_the_map_before_the_last_cell() -> None:
    """The first one is given its own map twice; layers between cells change the newer map alone."""
    first, second, third = (
        Paired(torch.nn.Identity(), torch.nn.Identity(), Graph([], [(0, torch.nn.Identity())])) for _ in range(3)
    )
    layers = Layers(first, torch.nn.ReLU(), second, third)
    x = torch.tensor([[[[-1.0]]]])
    results: list[float] = []
    for layer in layers:
        layer.register_forward_hook(lambda _layer, _inputs, out: results.append(float(out)))
    layers(x)
    assert results == [-1, 0, -1, 0], "the second repeats the input of the first, the third that of the second"
