"""The builder's ResNet-18 under factors is torchvision's under surgery."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from raysweep.nn.activations import AdaptivePiecewiseLinear, ChannelBias
from raysweep.nn.norms import CaffeBatchNorm
from raysweep.nn.pooling import Masks
from raysweep.patch import patch
from tests.networks.comparison import built, native
from tests.nn.surgery.outside_networks import logits, named

KINDS = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, CaffeBatchNorm, nn.PReLU, ChannelBias, AdaptivePiecewiseLinear, Masks)
VARIANTS: list[dict[str, object]] = [
    {"activation": "elu"},
    {"activation": "prelu"},
    {"activation": "frelu"},
    {"activation": "apl2"},
    {"activation": "oplu"},
    {"norm": "none"},
    {"norm": "batch"},
    {"norm": "batch", "norm_position": "after"},
    {"norm": "batch_affine", "norm_position": "after", "activation": "prelu"},
    {"pooling": "average"},
    {"pooling": "max_plus_average"},
    {"pooling": "stochastic"},
    {"pooling": "gated"},
    {"pooling": "tree", "activation": "vlrelu"},
    {"conv_bias": True},
    {"bias": False},
    {"stem_kernel": 5, "stem_stride": 2},
    {"input_net": "vlrelu_10_3"},
]


def in_order(network: nn.Module) -> list[nn.Module]:
    """The layers with weights or statistics, in the order in which they run."""
    found: list[nn.Module] = []
    layers = [layer for layer in network.modules() if isinstance(layer, KINDS)]
    hooks = [layer.register_forward_hook(lambda layer, *_: found.append(layer)) for layer in layers]
    logits(network, 64)
    for hook in hooks:
        hook.remove()
    return found


@torch.no_grad()
def take_over(ours: nn.Module, others: nn.Module) -> None:
    """Random values for the weights and statistics of ours, and the same ones for theirs."""
    for mine, other in zip(in_order(ours), in_order(others), strict=True):
        if isinstance(other, nn.BatchNorm2d | CaffeBatchNorm):
            mine.running_mean.uniform_(-0.5, 0.5)
            mine.running_var.uniform_(0.5, 1.5)
            other.running_mean.copy_(mine.running_mean)
            other.running_var.copy_(mine.running_var)
        weights = dict(other.named_parameters())
        for name, weight in mine.named_parameters():
            if isinstance(mine, nn.Conv2d | nn.Linear) and name == "weight":
                nn.init.kaiming_normal_(weight)
            else:
                weight.uniform_(0.5, 1)
            weights.pop(name).copy_(weight)
        assert not weights


@pytest.mark.parametrize(
    "factors",
    [
        pytest.param(factors, marks=[pytest.mark.long] * (number % 9 > 0), id="-".join(map(str, factors.values())))
        for number, factors in enumerate(VARIANTS)
    ],
)
def test_it_is_the_same_function(factors: dict[str, object]) -> None:
    ours = built(patch(native("resnet18", **factors), {"data.side": 64}), "cpu")
    others = built(named("torchvision:resnet18", 64, **factors), "cpu")
    take_over(ours, others)
    expected, found = logits(ours, 64), logits(others, 64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * expected.abs().max().item())
