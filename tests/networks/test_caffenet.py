from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from raysweep.errors import RaysweepError
from raysweep.networks import build_network, networks
from raysweep.networks.caffenet import conv_stages, pooled, scaled_widths
from raysweep.nn.inits import weighted_layers
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.study import find_study


def meta(recipe: Recipe) -> nn.Module:
    with torch.device("meta"):
        return build_network(recipe.network, recipe.data.side)


def test_every_layer_is_that_of_the_published_file() -> None:
    convs = [layer for layer in weighted_layers(meta(Recipe())) if isinstance(layer, nn.Conv2d)]
    found = [(c.out_channels, c.kernel_size[0], c.stride[0], c.padding[0], c.groups) for c in convs]  # type: ignore[index]
    assert found == [(96, 11, 4, 0, 1), (256, 5, 1, 2, 2), (384, 3, 1, 1, 1), (384, 3, 1, 1, 2), (256, 3, 1, 1, 2)]
    fcs = [layer for layer in weighted_layers(meta(Recipe())) if isinstance(layer, nn.Linear)]
    assert [(fc.in_features, fc.out_features) for fc in fcs] == [(256 * 3 * 3, 2048), (2048, 2048), (2048, 1000)]


def test_order_of_the_layers() -> None:
    names = [name for name, _ in meta(patch(Recipe(), {"network.lrn": True})).named_children()]
    convs = ["conv1", "pool1", "norm1", "conv2", "pool2", "norm2", "conv3", "conv4", "conv5", "pool5"]
    assert names == [*convs, "flatten", "fc6", "drop6", "fc7", "drop7", "fc8"]


def test_without_pooling_three_convolutions_have_stride_2() -> None:
    stages = conv_stages(patch(Recipe(), {"network.pooling": "strided_conv"}).network)
    assert [stage.stride for stage in stages] == [4, 2, 2, 1, 2]
    assert not any(stage.pool for stage in stages)


@pytest.mark.parametrize(
    ("multiplier", "expected"),
    [
        (0.25, (24, 64, 96, 96, 64, 512, 512)),
        (2**0.5, (136, 362, 544, 544, 362, 2896, 2896)),
        (8**0.5, (272, 724, 1086, 1086, 724, 5792, 5792)),
        (4, (384, 1024, 1536, 1536, 1024, 8192, 8192)),
    ],
)
def test_width_multipliers_give_the_published_widths(multiplier: float, expected: tuple[int, ...]) -> None:
    assert scaled_widths(patch(Recipe(), {"network.width": multiplier}).network) == expected


@pytest.mark.parametrize("variant", find_study("activation").variants, ids=lambda variant: variant.name)
@pytest.mark.parametrize("protocol", ["imagenet128", "cifar10"])
def test_every_variant_steps_with_finite_gradients(variant: object, protocol: str) -> None:
    recipe = patch(variant.apply(find_protocol(protocol)), {"network.width": 0.0625, "network.outputs": 5})  # type: ignore[attr-defined]
    net = build_network(recipe.network, recipe.data.side).train()
    images = torch.randn(4, 3, recipe.data.side, recipe.data.side)
    nn.functional.cross_entropy(net(images), torch.tensor([0, 1, 2, 4])).backward()
    for name, weight in net.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name


def test_maps_after_the_cifar_stem_are_those_of_128_px() -> None:
    """The paper's 32 px first layer leaves the rest of the network as it is."""
    large, small = meta(find_protocol("imagenet128")), meta(find_protocol("cifar10"))
    shapes = [[tuple(layer.weight.shape) for layer in weighted_layers(net)][1:7] for net in (large, small)]
    assert shapes[0] == shapes[1]


@given(st.integers(3, 300))
def test_poolings_round_up_as_torch_does(size: int) -> None:
    assert pooled(size) == nn.MaxPool2d(3, 2, ceil_mode=True)(torch.empty(1, 1, size, size, device="meta")).shape[2]


@given(st.integers(3, 40), st.integers(0, 2**31))
def test_pooling_follows_caffes_rule(size: int, seed: int) -> None:
    """Size rounded up; windows that hang over the edge see only what is there (pooling_layer.cpp)."""
    x = torch.randn(1, 2, size, size, generator=torch.Generator().manual_seed(seed))
    y = nn.MaxPool2d(3, 2, ceil_mode=True)(x)
    for row in range(y.shape[2]):
        for column in range(y.shape[3]):
            window = x[:, :, 2 * row : min(2 * row + 3, size), 2 * column : min(2 * column + 3, size)]
            assert torch.equal(y[:, :, row, column], window.amax((2, 3)))


def test_mistakes_are_named() -> None:
    with pytest.raises(RaysweepError, match="images of 32 px leave no map after conv5"):
        meta(patch(Recipe(), {"data.side": 32}))
    with pytest.raises(RaysweepError, match=r"network.widths has 2 entries; caffenet takes 7"):
        meta(patch(Recipe(), {"network.widths": (1, 2)}))
    with pytest.raises(RaysweepError, match="unknown pooling 'avg'"):
        meta(patch(Recipe(), {"network.pooling": "avg"}))
    with pytest.raises(RaysweepError, match="unknown activation 'rleu'. Did you mean"):
        meta(patch(Recipe(), {"network.activation": "rleu"}))
    with pytest.raises(RaysweepError, match="unknown network 'cafenet'. Did you mean caffenet"):
        meta(patch(Recipe(), {"network.name": "cafenet"}))


def test_networks_are_listed_with_a_sentence() -> None:
    assert all(entry.summary and entry.paper for entry in networks())
