"""NiN and FitNets against published and computed counts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from raysweep.nn.blocks import Residual
from raysweep.nn.inits import weighted_layers
from tests.networks.comparison import built, native, size


@pytest.mark.parametrize(
    ("name", "factors", "params"),
    [
        ("nin_cifar", {}, 966_986),
        ("fitnet4", {}, 1_276_806),
        ("fitnet4", {"activation": "maxout", "fc_activation": "maxout5"}, 2_742_102),
        ("fitresnet", {}, 1_276_806),
    ],
)
def test_published_parameters(name: str, factors: dict[str, object], params: int) -> None:
    assert size(native(name, **factors))[0] == params


def test_the_map_of_the_last_stage() -> None:
    """As in the papers: 8 px before the global pooling of 32 px images."""
    for name in ("nin_cifar", "fitnet4", "fitnet1"):
        seen: list[int] = []
        network = built(native(name))
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(lambda _layer, _inputs, out, seen=seen: seen.append(out.shape[2]))
        network.eval()(torch.empty(1, 3, 32, 32, device="meta"))
        assert seen[-1] == 8


def test_fitresnet_has_the_layers_of_fitnet4_and_skips() -> None:
    plain, residual = built(native("fitnet4")), built(native("fitresnet"))
    assert [w.weight.shape for w in weighted_layers(plain)] == [w.weight.shape for w in weighted_layers(residual)]
    assert sum(isinstance(layer, Residual) for layer in residual.modules()) >= 5


def test_nin_for_imagenet_counts_as_its_layers() -> None:
    widths = [(3, 11, 96), (96, 1, 96), (96, 1, 96), (96, 5, 256), (256, 1, 256), (256, 1, 256), (256, 3, 384)]
    widths += [(384, 1, 384), (384, 1, 384), (384, 3, 1024), (1024, 1, 1024), (1024, 1, 1000)]
    assert size(native("nin"))[0] == sum(inputs * kernel**2 * out + out for inputs, kernel, out in widths)
