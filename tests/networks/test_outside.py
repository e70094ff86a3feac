from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from raysweep.cost import find_cost, native_recipe
from raysweep.errors import InapplicableError, RaysweepError
from raysweep.networks import outside
from raysweep.networks.outside import Outside, Wanted
from raysweep.patch import patch
from raysweep.planning import make_plan
from raysweep.protocols import find_protocol
from raysweep.study import find_study
from raysweep.verbs.entry import raysweep as command
from tests.nn.surgery.outside_networks import built, logits, named, replaced


class Tiny(nn.Module):
    """A convolution and a classifier; `answer` makes the output from both."""

    def __init__(self, answer: Callable[[Tensor], Any] = lambda x: x, outputs: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.fc = nn.Linear(4, outputs)
        self.answer = answer

    def forward(self, x: Tensor) -> Any:
        return self.answer(self.fc(self.conv(x).relu().mean((2, 3))))


def unequal() -> nn.Module:
    network = Tiny()
    network.register_buffer("drawn", torch.tensor(random.random()))
    return network


def own_seed() -> nn.Module:
    network = Tiny()
    nn.init.constant_(network.fc.weight, float(torch.rand((), device="cpu", generator=GENERATOR)))
    return network


GENERATOR = torch.Generator().manual_seed(0)


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], nn.Module]]:
    """Functions that make the networks `mine:NAME`."""
    makers: dict[str, Callable[[], nn.Module]] = {}

    def find(name: str) -> Outside:
        return Outside(lambda wanted: makers[name](), "1", takes_outputs=False, is_released=False)

    monkeypatch.setitem(outside.SOURCES, "mine", find)
    return makers


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("torchvision:resnet81", r"resnet81.*resnet18.*list networks torchvision"),
        ("timm:convnext_ato", r"convnext_ato.*convnext_atto.*list networks timm"),
        ("tim:resnet18", r"'tim'.*timm"),
    ],
)
def test_unknown_names_list_the_nearest_ones(name: str, words: str) -> None:
    with pytest.raises(RaysweepError, match=words):
        native_recipe(name)


def test_without_timm_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(RaysweepError, match=r"raysweep\[timm\]"):
        outside.timm_names()


def test_its_own_factors_come_with_the_name() -> None:
    convnext = native_recipe("timm:convnext_atto")
    assert (convnext.network.activation, convnext.network.stem_kernel, convnext.data.side) == ("gelu", 4, 224)
    assert patch(convnext, {"network.name": "caffenet"}).network.activation == "relu"
    small = patch(find_protocol("cifar10"), {"network.name": "torchvision:resnet18"}).network
    assert (small.stem_kernel, small.stem_stride, small.norm, small.dropout) == (3, 1, "batch_affine", 0)


def test_a_published_count() -> None:
    """11.69 million parameters and 1.81 billion MACs: torchvision's table of models."""
    cost = find_cost(native_recipe("torchvision:resnet18"))
    assert (cost.params, round(cost.macs / 1e9, 2)) == (11_689_512, 1.81)


@pytest.mark.long
def test_a_network_can_have_a_width_and_stochastic_depth() -> None:
    assert find_cost(named("torchvision:mobilenet_v2", 64, width=0.5)).params < 2_000_000
    with pytest.raises(InapplicableError, match=r"resnet18.*network\.width"):
        find_cost(named("torchvision:resnet18", 64, width=0.5))
    with pytest.raises(InapplicableError, match=r"resnet18.*network\.survival"):
        find_cost(named("torchvision:resnet18", 64, survival=0.5))
    network = built(named("timm:convnext_atto", 64, survival=0.5), "meta")
    assert max(getattr(layer, "drop_prob", 0) or 0 for layer in network.modules()) == 0.5


@pytest.mark.long
def test_auxiliary_heads_are_trained_if_their_loss_has_a_weight() -> None:
    plain, both = named("torchvision:googlenet", 64), named("torchvision:googlenet", 64, aux_weight=0.3)
    assert find_cost(plain).params < find_cost(both).params
    images = torch.empty(2, 3, 64, 64, device="meta")
    assert built(plain, "meta").train()(images).shape == (2, 1000)
    assert built(both, "meta").train()(images).shape == (3, 2, 1000)
    assert built(both, "meta").eval()(images).shape == (2, 1000)
    with pytest.raises(InapplicableError, match=r"aux_weight"):
        find_cost(named("torchvision:resnet18", 64, aux_weight=0.3))


@pytest.mark.long
def test_a_first_layer_that_does_not_fit_names_the_own_one() -> None:
    recipe = patch(find_protocol("cifar10"), {"network.name": "timm:vit_tiny_patch16_224"})
    with pytest.raises(InapplicableError, match=r"3x32x32.*network\.stem_kernel=16"):
        find_cost(recipe)
    own = {"network.stem_kernel": 16, "network.stem_stride": 16}
    assert find_cost(patch(recipe, own)).params > 5_000_000


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Tiny(lambda x: (x, x)), r"mine:net.*tuple of 2.*aux_weight"),
        (lambda: Tiny(lambda x: {"out": x}), r"mine:net.*dict"),
        (lambda: Tiny(lambda x: x[:, :7]), r"7 outputs.*10"),
        (lambda: Tiny(lambda x: x.mean()), r"shape \(\)"),
        (unequal, r"drawn"),
        (own_seed, r"fc\.weight"),
    ],
)
def test_networks_that_cannot_be_trained_are_refused(
    make: Callable[[], nn.Module], words: str, source: dict[str, Callable[[], nn.Module]]
) -> None:
    source["net"] = make
    recipe = patch(find_protocol("cifar10"), {"network.name": "mine:net"})
    with pytest.raises(RaysweepError, match=words) as error:
        find_cost(recipe)
    assert not isinstance(error.value, InapplicableError)


def test_auxiliary_logits_of_any_network_are_trained(source: dict[str, Callable[[], nn.Module]]) -> None:
    source["one"], source["two"] = Tiny, lambda: Tiny(lambda x: (x, 2 * x, 3 * x))
    recipe = patch(find_protocol("cifar10"), {"network.name": "mine:two", "network.aux_weight": 0.3})
    with pytest.raises(RaysweepError, match="tuple of 3 in test"):
        find_cost(recipe)
    with pytest.raises(InapplicableError, match=r"mine:one.*network\.aux_weight"):
        find_cost(patch(recipe, {"network.name": "mine:one"}))


def test_a_classifier_of_another_size_is_replaced(source: dict[str, Callable[[], nn.Module]]) -> None:
    source["net"] = lambda: Tiny(outputs=1000)
    recipe = patch(find_protocol("cifar10"), {"network.name": "mine:net"})
    assert replaced(recipe) == ["1 of 1 classifier of 1000 outputs -> 10"]
    assert logits(built(recipe), 32).shape == (2, 10)


def test_a_variant_without_anything_to_act_on_is_omitted() -> None:
    study = find_study("pooling").only(["average"])
    plan = make_plan([study], named("timm:convnext_atto", 64), [0])
    assert [(planned.action, planned.members[0].variant) for planned in plan] == [("run", "max"), ("omit", "average")]
    assert "poolings" in plan[1].reason


def test_list_and_plan_know_the_sources() -> None:
    listed = CliRunner().invoke(command, ["list", "networks"])
    assert "torchvision:NAME" in listed.output
    assert "torchvision:resnet18 " in CliRunner().invoke(command, ["list", "networks", "torchvision"]).output
    for words in (("list", "networks", "torch"), ("plan", "activation", "--network", "torchvision:resnet81")):
        with pytest.raises(RaysweepError, match=words[-1].rpartition(":")[-1]):
            CliRunner().invoke(command, words, catch_exceptions=False)


def test_wanted_is_what_a_maker_is_given() -> None:
    network = outside.find_outside("timm:convnext_atto").make(Wanted(7, 2, 64))
    assert network(torch.zeros(1, 2, 64, 64)).shape == (1, 7)
