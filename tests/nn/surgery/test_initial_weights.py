"""All initialisations work on networks that this package did not describe."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from raysweep.nn.inits import INITS, executed_layers
from tests.nn.surgery.outside_networks import built, named
from tests.nn.surgery.test_surgery import SHAPE, Functional

IMAGES = torch.randn(8, *SHAPE, generator=torch.Generator().manual_seed(0))


def variances(network: nn.Module, images: torch.Tensor) -> list[float]:
    """The variance of the output of every weighted layer."""
    found: list[float] = []
    for layer in executed_layers(network, images):
        layer.register_forward_hook(lambda _layer, _inputs, output: found.append(float(output.var(correction=0))))
    with torch.no_grad():
        network.train()(images)
    return found


@pytest.mark.parametrize("method", [entry.name for entry in INITS])
def test_every_initialisation_on_a_network_with_functions(method: str) -> None:
    network = Functional()
    before = network.conv2.weight.clone()
    INITS[method](network, IMAGES, torch.Generator().manual_seed(1))
    assert not torch.equal(network.conv2.weight, before)
    if method.startswith("lsuv"):
        assert variances(network, IMAGES) == pytest.approx([1] * 4, abs=0.03)


@pytest.mark.long
@pytest.mark.parametrize("name", ["torchvision:convnext_tiny", "timm:vit_tiny_patch16_224", "timm:efficientnet_b0"])
def test_lsuv_on_networks_with_stochastic_depth_and_attention(name: str) -> None:
    network = built(named(name))
    images = torch.randn(4, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    INITS["lsuv"](network, images, torch.Generator().manual_seed(1))
    for layer in network.modules():  # as while the weights are scaled
        if type(layer).__name__ in ("StochasticDepth", "DropPath", "Dropout"):
            layer.forward = lambda x: x
    found = variances(network, images)
    assert found == pytest.approx([1] * len(found), abs=0.05)
