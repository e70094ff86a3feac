from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from raysweep.errors import RaysweepError
from raysweep.nn.pooling import POOLINGS, PyramidPooling, Window, replaces_pooling

Reduce = Callable[[Tensor, int], Tensor]
"""Values inside the image (N, C, h, w) and the size of the window with its border -> (N, C)."""


def output_size(size: int, window: Window) -> int:
    """pooling_layer.cpp, Reshape."""
    count = math.ceil((size + 2 * window.pad - window.kernel) / window.stride) + 1
    if window.pad and (count - 1) * window.stride >= size + window.pad:
        count -= 1
    return count


def by_hand(x: Tensor, window: Window, reduce: Reduce) -> Tensor:
    """pooling_layer.cpp, Forward_cpu: window by window."""
    height, width = x.shape[2:]
    rows, columns = output_size(height, window), output_size(width, window)
    out = torch.empty(*x.shape[:2], rows, columns)
    for row, column in product(range(rows), range(columns)):
        top, left = row * window.stride - window.pad, column * window.stride - window.pad
        bottom, right = min(top + window.kernel, height + window.pad), min(left + window.kernel, width + window.pad)
        size = (bottom - top) * (right - left)
        inside = x[:, :, max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
        out[:, :, row, column] = reduce(inside, size)
    return out


def largest(inside: Tensor, size: int) -> Tensor:
    return inside.amax((2, 3))


def mean(inside: Tensor, size: int) -> Tensor:
    return inside.sum((2, 3)) / size


def weighted(inside: Tensor, size: int) -> Tensor:
    return inside.square().sum((2, 3)) / inside.sum((2, 3))


windows = st.sampled_from(
    [Window(2), Window(3), Window(3, 2, 1), Window(2, 2, 1), Window(5, 2, 2), Window(3, 1), Window(3, 2, 2)]
)


@settings(deadline=None)
@given(windows, st.integers(2, 13), st.integers(2, 13), st.integers(0, 2**31))
@pytest.mark.parametrize(
    ("name", "reduce"),
    [
        ("max", largest),
        ("average", mean),
        ("max_plus_average", lambda inside, size: largest(inside, size) + mean(inside, size)),
        ("stochastic", weighted),
    ],
)
def test_pooling_is_caffes(name: str, reduce: Reduce, window: Window, height: int, width: int, seed: int) -> None:
    assume(min(window.output(height), window.output(width)) > 0)
    x = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed)) + 0.01
    pooling = POOLINGS[name](window).eval()
    expected = by_hand(x, window, reduce)
    assert [window.output(size) for size in (height, width)] == list(expected.shape[2:])
    torch.testing.assert_close(pooling(x), expected)


def test_a_map_smaller_than_the_window_still_pools_to_one_value() -> None:
    assert [Window(3).output(size) for size in (0, 1, 2, 3, 4)] == [0, 0, 1, 1, 2]


def test_stochastic_pooling_draws_by_size() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(20_000, 1, 2, 2)
    torch.manual_seed(0)
    drawn = POOLINGS["stochastic"](Window(2)).train()(x).flatten()
    shares = [(drawn == value).float().mean().item() for value in (1, 2, 3, 4)]
    assert sum(shares) == pytest.approx(1)
    assert shares == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.015)
    assert drawn.mean().item() == pytest.approx(30 / 10, abs=0.03)  # sum x^2 / sum x: what the test form returns


def test_stochastic_pooling_passes_the_gradient_to_the_value_drawn() -> None:
    x = (torch.rand(4, 3, 7, 7) + 0.1).requires_grad_()
    out = POOLINGS["stochastic"](Window(3)).train()(x)
    out.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert x.grad.sum().item() == out.numel()


@pytest.mark.parametrize("training", [True, False])
def test_stochastic_pooling_of_zeros_is_zero(training: bool) -> None:
    pooling = POOLINGS["stochastic"](Window(3)).train(training)
    assert torch.equal(pooling(torch.zeros(1, 2, 7, 7)), torch.zeros(1, 2, 3, 3))


def test_gated_pooling_mixes_maximum_and_mean() -> None:
    window = Window(3)
    pooling = POOLINGS["gated"](window)
    mask = torch.randn(9)
    dict(pooling.named_parameters())["gate.weight"].data.copy_(mask)
    x = torch.rand(2, 3, 7, 7)

    def reduce(inside: Tensor, size: int) -> Tensor:
        s = torch.sigmoid((inside.flatten(2) * mask).sum(-1))
        return s * inside.amax((2, 3)) + (1 - s) * inside.mean((2, 3))

    torch.testing.assert_close(pooling(x), by_hand(x, window, reduce))


def test_tree_pooling_mixes_two_learned_averages() -> None:
    window = Window(2)
    pooling = POOLINGS["tree"](window)
    weights = dict(pooling.named_parameters())
    first, second = weights["leaves.weight"].detach()
    gate = weights["gate.weight"].data.copy_(torch.randn(4))
    x = torch.rand(2, 3, 6, 6)

    def reduce(inside: Tensor, size: int) -> Tensor:
        flat = inside.flatten(2)
        s = torch.sigmoid((flat * gate).sum(-1))
        return s * (flat * first).sum(-1) + (1 - s) * (flat * second).sum(-1)

    torch.testing.assert_close(pooling(x), by_hand(x, window, reduce))
    assert sum(weight.numel() for weight in pooling.parameters()) == 3 * 4


@pytest.mark.parametrize(("size", "bins"), [(7, 1), (7, 2), (7, 3), (7, 4), (13, 4), (6, 3), (4, 4), (9, 4)])
@pytest.mark.parametrize("average", [False, True])
def test_pyramid_bins_are_caffes(size: int, bins: int, average: bool) -> None:
    """spp_layer.cpp, GetPoolingParam: kernel = stride = ceil(size / bins), symmetric border."""
    kernel = math.ceil(size / bins)
    window = Window(kernel, kernel, (kernel * bins - size + 1) // 2)
    x = torch.rand(2, 3, size, size)
    expected = by_hand(x, window, mean if average else largest)
    assert expected.shape[2:] == (bins, bins)
    torch.testing.assert_close(PyramidPooling(size, (bins,), average)(x), expected.flatten(1))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_map_that_caffe_cannot_divide_has_bins_that_overlap(size: int) -> None:
    x = torch.rand(2, 3, size, size)
    assert torch.equal(PyramidPooling(size, (4,))(x), nn.functional.adaptive_max_pool2d(x, 4).flatten(1))


def test_the_pyramid_is_adaptive_pooling_if_bins_divide_the_map() -> None:
    x = torch.rand(2, 3, 12, 12)
    expected = [nn.functional.adaptive_max_pool2d(x, bins).flatten(1) for bins in (1, 2, 4)]
    assert torch.equal(PyramidPooling(12, (1, 2, 4))(x), torch.cat(expected, 1))


def test_errors_name_the_value() -> None:
    with pytest.raises(RaysweepError, match=r" 3 px.* 3 px.*network\.pool_pad"):
        Window(3, 2, 3)
    with pytest.raises(RaysweepError, match=r" 1 px.* 2 px.*network\.pool_kernel"):
        Window(1)


def test_two_poolings_are_strides() -> None:
    assert {e.name for e in POOLINGS if replaces_pooling(e.name)} == {"strided_conv", "strided_conv_234"}
