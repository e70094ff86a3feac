from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from raysweep.errors import RaysweepError
from raysweep.nn.blocks import Layers
from raysweep.nn.builder import Builder
from raysweep.nn.network_builder import NetworkBuilder
from raysweep.nn.norms import CaffeBatchNorm
from raysweep.recipe import NetworkRecipe
from raysweep.train.update import loss_of


def builder(**factors: Any) -> Builder:
    return Builder(NetworkRecipe(name="mine", outputs=5, **factors), (3, 16, 16))


def conv(width: int, **settings: Any) -> Callable[[Builder], None]:
    return lambda net: net.conv("conv", width, 3, **{"pad": 1, **settings})


@pytest.mark.parametrize(("kernel", "dilation"), [(5, 1), (3, 2), ((1, 7), 1), ((7, 3), 1)])
def test_a_border_of_none_keeps_the_size(kernel: int | tuple[int, int], dilation: int) -> None:
    net = builder()
    net.conv("conv", 4, kernel, pad=None, dilation=dilation)
    assert net.shape == (4, 16, 16)
    assert net.build().conv(torch.randn(1, 3, 16, 16)).shape[1:] == net.shape


def test_branches_are_concatenated_in_order() -> None:
    net = builder()
    net.branches("mixed", conv(4), conv(6))
    assert net.shape == (10, 16, 16)
    network, x = net.build(), torch.randn(2, 3, 16, 16)
    first, second = network.mixed
    torch.testing.assert_close(network(x), torch.cat([first(x), second(x)], 1))


def test_maps_of_two_sizes_cannot_be_joined() -> None:
    with pytest.raises(RaysweepError, match=r"mixed.*mine.*\(4, 14, 14\)|\(14, 14\)"):
        builder().branches("mixed", conv(4), conv(4, pad=0))
    with pytest.raises(RaysweepError, match="block.*mine.*4, 16, 16"):
        builder().residual("block", conv(4))


def test_a_skip_adds_what_went_in() -> None:
    net = builder()
    net.residual("block", conv(3, act=False))
    network, x = net.build(), torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(network(x), x + network.block.body(x))


@pytest.mark.parametrize("position", ["before", "after"])
def test_normalisation_around_a_sum(position: str) -> None:
    """Before: every convolution is normalised, the sum is not. After: the output of the non-linearity is, once."""
    net = builder(norm="batch", norm_position=position, activation="tanh")
    net.conv("conv", 3, 3, pad=1, act=False)
    net.activate("act")
    network, before = net.build().train(), position == "before"
    assert [len(network.conv.before), len(network.act.before)] == [before, 0]
    assert [unit.after is not None for unit in (network.conv, network.act)] == [False, not before]
    out = network(torch.randn(4, 3, 16, 16))
    assert (out.abs() <= 1).all() == before, "tanh comes last"


@pytest.mark.parametrize("position", ["before", "after"])
def test_preactivation_is_in_the_order_of_the_recipe(position: str) -> None:
    net = builder(norm="batch", norm_position=position)
    net.preactivate("pre")
    x = torch.randn(4, 3, 16, 16)
    expected = F.relu(CaffeBatchNorm(3)(x)) if position == "before" else CaffeBatchNorm(3)(F.relu(x))
    kept = x.clone()
    torch.testing.assert_close(net.build()(x), expected)
    assert torch.equal(x, kept), "a parallel skip reads x unchanged"


def test_maxout_after_a_sum_is_refused() -> None:
    for describe in (Builder.activate, Builder.preactivate):
        with pytest.raises(RaysweepError, match="maxout.* 2 .*mine.*act"):
            describe(builder(activation="maxout"), "act")


def test_convolutions_may_have_no_bias_while_the_classifier_has() -> None:
    net = builder(conv_bias=False)
    net.conv("conv", 4, 3)
    net.classifier("clf")
    network = net.build()
    assert network.conv.layers[0].bias is None
    assert network.clf.bias is not None


def with_heads(**factors: Any) -> Layers:
    net = builder(**factors)
    net.conv("conv", 4, 3)
    for number in (1, 2):
        net.auxiliary_head(f"aux{number}", lambda part: part.classifier("clf"))
    net.classifier("clf")
    return net.build()


def test_auxiliary_heads_train_and_are_silent_at_test() -> None:
    torch.manual_seed(0)
    network, x, labels = with_heads(aux_weight=0.3), torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 2, 3])
    logits = network.train()(x)
    assert logits.shape == (3, 4, 5)
    torch.testing.assert_close(network.eval()(x), logits[0])
    parts = [F.cross_entropy(part, labels) for part in logits]
    loss = loss_of(logits, labels, 0.3)
    torch.testing.assert_close(loss, parts[0] + 0.3 * (parts[1] + parts[2]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(weight.grad is not None for weight in network.parameters())


def test_an_auxiliary_head_can_be_the_one_that_is_tested() -> None:
    network, x = with_heads(aux_weight=0.3, aux_tested=2), torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(network.eval()(x), network.aux2(network.conv(x)))
    with pytest.raises(RaysweepError, match=r"network\.aux_tested.* 1.*mine.* 0 "):
        with_heads(aux_tested=1)


def test_no_weight_means_no_auxiliary_head() -> None:
    assert not [name for name, _ in with_heads().named_children() if name.startswith("aux")]


@pytest.mark.parametrize(("round_up", "side"), [(True, 8), (False, 7)])
def test_poolings_round_up_or_down(round_up: bool, side: int) -> None:
    net = builder()
    net.pool("pool", round_up=round_up)
    assert net.shape == (3, side, side)
    assert net.build()(torch.randn(2, 3, 16, 16)).shape == (2, 3, side, side)


def test_a_layer_name_cannot_be_used_twice() -> None:
    net = builder()
    net.conv("conv", 4, 3, pad=1)
    with pytest.raises(ValueError, match="mine.*conv"):
        net.conv("conv", 4, 3, pad=1)


def test_a_part_of_a_network_can_add_heads_and_cells() -> None:
    net = NetworkBuilder(NetworkRecipe(name="mine", outputs=5, head="avepool_clf", norm="batch"), (3, 16, 16))

    def describe(part: NetworkBuilder) -> None:
        part.edges("cell", [["nor_conv_3x3"], ["skip_connect", "nor_conv_1x1"]])
        part.head(8, 8)

    layers, shape = net.part(describe)
    assert shape == (5,)
    assert layers.eval()(torch.randn(2, 3, 16, 16)).shape == (2, 5)
