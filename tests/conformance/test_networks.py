"""Every registered network takes the factors and learns at any size."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from raysweep.cost import compute_cost, find_cost
from raysweep.errors import RaysweepError
from raysweep.networks import build_network, networks, own_factors
from raysweep.nn.inits import INITS
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.recipe import NetworkRecipe, Recipe
from raysweep.train.loop import check_trial
from raysweep.train.update import loss_of

DEEPER = {
    "resnet1202_cifar",
    "resnet152",
    "resnet152_v1",
    "resnet101",
    "thinresnet101_nobn",
    "thinresnet101_bn",
    "preresnet101",
}
DEEPER |= {"preresnet164_cifar"}
DEEPER |= {
    entry.name for entry in networks() if entry.name.startswith(("nasnet_a", "amoebanet", "enas_micro", "darts_v"))
}
DEEPER |= {"nasnet_darts_cifar", "nasnet_darts_mobile"}
"""Networks that differ from others of their family only in the number of blocks, or have a test of their stem."""
NAMES = [entry.name for entry in networks() if entry.name not in DEEPER]
FAMILIES = {
    getattr(entry.make.describe, "func", entry.make.describe): entry.name for entry in reversed(list(networks()))
}
"""The first member of each family, for tests that try every factor."""
FACTORS = {
    "tanh": {"activation": "tanh"},
    "prelu": {"activation": "prelu"},
    "elu": {"activation": "elu"},
    "no_norm": {"norm": "none"},
    "bn_before": {"norm": "batch_affine", "norm_position": "before"},
    "bn_after": {"norm": "batch", "norm_position": "after"},
    "average": {"pooling": "average"},
    "max_plus_average": {"pooling": "max_plus_average"},
    "half": {"width": 0.5},
    "no_bias": {"bias": False},
    "fc": {"head": "fc"},
    "spp": {"head": "spp2_fc"},
    "conv_head": {"head": "c3_c1_c512_avepool_clf"},
    "three_convs": {"head": "c512_c1024_c1536_drop_clf_avepool"},
    "avepool": {"head": "avepool_clf"},
    "colour": {"input_net": "vlrelu_10_3"},
}
"""Factors that every network takes."""
CAN_REFUSE = {"maxout": {"activation": "maxout"}, "strided": {"pooling": "strided_conv"}, "lrn": {"lrn": True}}


def on(protocol: str, name: str, **factors: object) -> Recipe:
    """The network on a protocol, a sixteenth as wide."""
    changes = {"network.name": name, "network.outputs": 10, "network.width": 0.0625}
    return patch(find_protocol(protocol), changes | {f"network.{key}": value for key, value in factors.items()})


@pytest.mark.parametrize("protocol", ["imagenet128", "cifar10"])
@pytest.mark.parametrize("name", [*NAMES, "resnet152_v1"])
def test_every_network_learns_from_a_batch(name: str, protocol: str) -> None:
    recipe = on(protocol, name)
    check_trial(recipe)
    torch.manual_seed(0)
    network = build_network(recipe.network, recipe.data.shape)
    images, labels = torch.randn(4, *recipe.data.shape), torch.tensor([0, 1, 2, 3])
    INITS["lsuv"](network, images, torch.Generator().manual_seed(0))
    loss_of(network.train()(images), labels, recipe.network.aux_weight).backward()  # type: ignore[no-untyped-call]
    grads = {key: weight.grad for key, weight in network.named_parameters()}
    assert not [key for key, grad in grads.items() if grad is None or not torch.isfinite(grad).all()]
    assert network.eval()(images).shape == (4, 10)


HEAVY = {"densenet121", "enas_macro", "inception_v3", "nasbench201", "nasnet_cells"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if name in HEAVY else ()) for name in FAMILIES.values()]
)
def test_every_network_takes_the_factors(name: str) -> None:
    for factors in FACTORS.values():
        recipe = on("cifar10", name, **factors)
        with torch.device("meta"):
            network = build_network(recipe.network, recipe.data.shape).eval()
            assert network(torch.empty(2, *recipe.data.shape)).shape == (2, 10)


@pytest.mark.parametrize("factor", CAN_REFUSE)
@pytest.mark.parametrize("name", FAMILIES.values())
def test_factors_that_a_network_does_not_take_are_refused_with_its_name(name: str, factor: str) -> None:
    recipe, refused = on("imagenet128", name, **CAN_REFUSE[factor]), ""
    try:
        compute_cost(recipe)
    except RaysweepError as error:
        refused = str(error)
    assert not refused or name in refused


@pytest.mark.parametrize("name", NAMES)
def test_wider_networks_cost_more(name: str) -> None:
    narrow, wide = (compute_cost(on("imagenet128", name, width=width)) for width in (0.25, 0.5))
    assert (narrow.params, narrow.macs) < (wide.params, wide.macs)


@pytest.mark.parametrize("name", [entry.name for entry in networks()])
def test_its_own_factors_come_with_the_name_and_go_with_it(name: str) -> None:
    recipe = patch(Recipe(), {"network.name": name})
    assert recipe.network == replace(NetworkRecipe(name=name), **networks()[name].own)
    assert patch(recipe, {"network.name": "caffenet"}).network == NetworkRecipe()


def test_values_set_by_a_protocol_or_a_user_are_kept() -> None:
    small = find_protocol("cifar10").network
    assert "network.stem_kernel" not in own_factors(small, "vgg16")
    named = patch(Recipe(), {"network.name": "vgg16", "network.head": "spp3_fc"})
    assert named.network.head == "spp3_fc"
    assert find_cost(named).params > 0
