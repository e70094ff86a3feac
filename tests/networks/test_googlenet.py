from __future__ import annotations

import pytest
import torch
from torch import nn

from raysweep.nn.blocks import Residual
from raysweep.patch import patch
from tests.networks.comparison import assert_the_same_function, built, native, size, size_of, theirs


def test_the_paper_form_has_the_parameters_of_the_published_file() -> None:
    assert size(native("googlenet", aux_weight=0.0))[0] == 6_998_552


def test_auxiliary_heads_have_the_published_layers() -> None:
    """128 channels of 4 x 4, a hidden layer of 1024, 1000 classes."""
    with_heads, without = (size(native("googlenet", aux_weight=weight)) for weight in (0.3, 0.0))
    heads = [channels * 128 + 128 + 128 * 16 * 1024 + 1024 + 1024 * 1000 + 1000 for channels in (512, 528)]
    assert with_heads[0] - without[0] == sum(heads)
    assert with_heads[1] == without[1], "they cost nothing at test"


def test_the_size_is_torchvisions() -> None:
    assert size(native("googlenet_bn")) == size_of(theirs("googlenet", aux_logits=False, init_weights=False), 224)


def test_with_torchvisions_weights_it_is_torchvisions_function() -> None:
    other = theirs("googlenet", "cpu", aux_logits=False, init_weights=False)
    assert_the_same_function(native("googlenet_bn"), other)


def test_skips_are_projected_only_where_channels_differ() -> None:
    network = built(native("googlenet_residual", aux_weight=0.0))
    projected = {
        name: bool(list(layer.shortcut)) for name, layer in network.named_children() if isinstance(layer, Residual)
    }
    assert projected == {f"inception_{name}": name in ("4d", "4e", "5b") for name in ("4b", "4c", "4d", "4e", "5b")}


@pytest.mark.parametrize("side", [128, 180, 224])
def test_branches_of_strided_modules_fit_on_maps_of_any_size(side: int) -> None:
    recipe = patch(native("inception_bn"), {"data.side": side})
    assert built(recipe).eval()(torch.empty(1, 3, side, side, device="meta")).shape == (1, 1000)


@pytest.mark.parametrize("head", [1, 2])
def test_an_auxiliary_head_can_give_the_answer_at_test(head: int) -> None:
    recipe = native("googlenet_residual", aux_tested=head, width=0.0625)
    network, x = built(recipe, "cpu").eval(), torch.randn(2, 3, 224, 224)
    answers: list[torch.Tensor] = []
    name = ("aux_4a", "aux_4d")[head - 1]
    dict(network.named_children())[name].register_forward_hook(lambda _layer, _inputs, out: answers.append(out))
    assert torch.equal(network(x), answers[0])
    assert isinstance(network, nn.Sequential)
