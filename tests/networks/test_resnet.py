from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from raysweep.networks import networks
from raysweep.networks.resnet import resnet
from raysweep.nn.blocks import Residual
from raysweep.nn.inits import weighted_layers
from tests.networks.comparison import assert_the_same_function, built, native, size, size_of, theirs


@pytest.mark.parametrize(("name", "params"), [("resnet50", 25_557_032), ("resnext50_32x4d", 25_028_904)])
def test_published_parameters(name: str, params: int) -> None:
    assert size(native(name))[0] == params


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2"])
def test_the_size_is_torchvisions(name: str) -> None:
    assert size(native(name)) == size_of(theirs(name), 224)


@pytest.mark.parametrize("name", ["resnet18", "resnext50_32x4d"])
def test_with_torchvisions_weights_it_is_torchvisions_function(name: str) -> None:
    assert_the_same_function(native(name), theirs(name, "cpu"))


def test_strides_in_the_first_convolution_of_a_block_are_cheaper() -> None:
    """11.3 G MACs, table 1 of He et al. 2016a; torchvision's placement has 11.5."""
    first, second = size(native("resnet152_v1")), size(native("resnet152"))
    assert first[0] == second[0]
    assert round(first[1] / 1e9, 1) == 11.3


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("wrn28_10_cifar", 36.48),
        ("resnext29_8x64d_cifar", 34.43),
        ("preresnet164_cifar", 1.70),
        ("preresnet110_cifar", 1.73),
    ],
)
def test_published_parameters_at_32_px(name: str, params: float) -> None:
    """Millions: 36.5 in Zagoruyko & Komodakis 2016, 34.4 in Xie et al. 2017, 1.7 and 1.7 in He et al. 2016b."""
    assert size(native(name))[0] / 1e6 == pytest.approx(params, abs=0.005)


@pytest.mark.parametrize("name", ["resnext50_2x40d", "resnext50_4x24d", "resnext50_8x14d", "resnext50_32x4d"])
def test_cardinality_changes_the_cost_little(name: str) -> None:
    """Table 2 of Xie et al. 2017 gives widths that keep parameters and MACs about those of one group."""
    for theirs_, ours in zip(size(native("resnet50")), size(native(name)), strict=True):
        assert ours == pytest.approx(theirs_, rel=0.05)


COUNTED_OTHERWISE = {"wrn28_10_cifar"}
"""28 counts the projections and not the classifier."""


MEMBERS = {entry.name for entry in networks() if getattr(entry.make.describe, "func", None) is resnet}


@pytest.mark.parametrize("name", sorted(MEMBERS - COUNTED_OTHERWISE))
def test_the_layers_are_those_of_the_name(name: str) -> None:
    """Projections do not count."""
    layers = [key for key, layer in built(native(name)).named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    found = re.search(r"\d+", name)
    assert found
    assert len([key for key in layers if "project" not in key]) == int(found.group())


def test_without_skips_the_convolutions_are_the_same() -> None:
    plain, residual = (built(native(name)) for name in ("plain34", "resnet34"))
    assert not [layer for layer in plain.modules() if isinstance(layer, Residual)]
    convs = [layer for layer in weighted_layers(residual) if tuple(getattr(layer, "kernel_size", ())) != (1, 1)]
    assert [layer.weight.shape for layer in weighted_layers(plain)] == [layer.weight.shape for layer in convs]


def test_preactivated_identities_have_no_layers() -> None:
    """He et al. 2016b: a block adds to the unchanged output of the previous block."""
    network = built(native("preresnet50", width=0.0625), "cpu").eval()
    block = network.stage1_2
    x = torch.randn(2, 16, 8, 8)
    torch.testing.assert_close(block(x), x + block.body(x))
    assert not list(block.shortcut)


def test_small_images_keep_their_maps() -> None:
    """At 32 px with a 3x3 first layer of stride 1 the last map is that of 128 px."""
    large, small = (native("resnet18", stem_kernel=kernel, stem_stride=stride) for kernel, stride in ((7, 2), (3, 1)))
    maps = [
        built(recipe)[:-3](torch.empty(1, 3, side, side, device="meta")).shape[2:]
        for recipe, side in ((large, 128), (small, 32))
    ]
    assert maps[0] == maps[1] == (4, 4)
