from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raysweep.nn.blocks import LearnedWeight, PaddedShortcut, StochasticDepth
from raysweep.nn.inits import lsuv, weighted_layers
from raysweep.nn.norms import CaffeBatchNorm
from tests.networks.comparison import built, native, size


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("resnet20_cifar", 0.27),
        ("resnet56_cifar", 0.85),
        ("resnet110_cifar", 1.7),
        pytest.param("resnet1202_cifar", 19.4, marks=pytest.mark.long),
    ],
)
def test_published_parameters(name: str, millions: float) -> None:
    """Table 6 of He et al. 2016a."""
    assert size(native(name))[0] / 1e6 == pytest.approx(millions, rel=0.02)


def test_parameters_by_arithmetic() -> None:
    convs = 3 * 9 * 16 + 9 * (6 * 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64)
    norms = 2 * (16 + 6 * (16 + 32 + 64))
    assert size(native("resnet20_cifar"))[0] == convs + norms + 64 * 10 + 10


def test_shortcuts_have_no_parameters() -> None:
    x = torch.randn(2, 3, 5, 5)
    y = PaddedShortcut(5, 2)(x)
    torch.testing.assert_close(y[:, :3], x[:, :, ::2, ::2])
    assert y.shape == (2, 5, 3, 3)
    assert not y[:, 3:].any()


def test_survival_falls_linearly_to_the_last_block() -> None:
    network = built(native("resnet110_cifar", survival=0.5))
    found = [layer.survival for layer in network.modules() if isinstance(layer, StochasticDepth)]
    assert found == pytest.approx([1 - number / 54 * 0.5 for number in range(1, 55)])
    assert not [layer for layer in built(native("resnet110_cifar")).modules() if isinstance(layer, StochasticDepth)]


def test_the_mean_over_trainings_is_what_test_computes() -> None:
    torch.manual_seed(0)
    layer, x = StochasticDepth(nn.Linear(4, 3), 0.7, (3,)), torch.randn(2, 4)
    draws = torch.stack([layer.train()(x).detach() for _ in range(4000)])
    kept = draws.abs().sum((1, 2)) > 0
    assert kept.float().mean() == pytest.approx(0.7, abs=0.03)
    torch.testing.assert_close(draws.mean(0), layer.eval()(x).detach(), atol=0.05, rtol=0.05)


def test_a_body_left_out_is_not_computed() -> None:
    body = nn.Linear(4, 4)
    body.register_forward_hook(lambda *_: pytest.fail("computed"))
    layer = StochasticDepth(body, 1e-9, (4,)).train()
    assert not layer(torch.randn(2, 4)).any()


def test_lsuv_reaches_every_block_and_draws_nothing() -> None:
    recipe = native("resnet20_cifar", survival=0.01, width=0.5)
    network, images = built(recipe, "cpu"), torch.randn(16, 3, 32, 32)
    state = torch.get_rng_state()
    lsuv(network, images, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), state)
    outputs: list[float] = []
    for layer in weighted_layers(network):
        layer.register_forward_hook(lambda _layer, _inputs, out: outputs.append(float(out.detach().var(correction=0))))
    for block in network.modules():
        if isinstance(block, StochasticDepth):
            block.forward = lambda x, block=block: block.survival * block.body(x)  # type: ignore[method-assign]
    network.train()(images)
    assert outputs == pytest.approx([1.0] * 20, abs=1e-3)


def test_a_learned_weight_starts_at_the_identity_and_stays_small() -> None:
    """Shen & Zeng 2016: initially every block is the identity."""
    network = built(native("weighted_resnet110_cifar", width=0.25), "cpu").eval()
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(network.block2(x), x)
    weight = next(layer for layer in network.block2.modules() if isinstance(layer, LearnedWeight))
    weight.weight.data.fill_(3.0)
    torch.testing.assert_close(weight(x), x)


def test_elu_replaces_normalisation_and_relu_within_a_block() -> None:
    network = built(native("elu_resnet110_cifar"))
    plain = built(native("resnet110_cifar"))
    norms = [sum(isinstance(layer, CaffeBatchNorm) for layer in net.modules()) for net in (network, plain)]
    assert norms == [1 + 54, 1 + 2 * 54]
    assert "block1_act" not in dict(network.named_children())


def test_a_generalised_residual_layer_adds_only_its_first_stream() -> None:
    """Equations 1 and 2 of Targ et al. 2016, compared with four separate convolutions."""
    network = built(native("rir20_cifar", width=0.25, norm="none"), "cpu")
    layer = dict(network.block1.named_modules())["body.layer1"]
    conv = next(weighted_layers(layer)).weight
    x = torch.randn(2, 8, 6, 6)
    residual, transient = x[:, :4], x[:, 4:]

    def through(weight: torch.Tensor, stream: torch.Tensor) -> torch.Tensor:
        return F.conv2d(stream, weight, padding=1)

    kept = residual + through(conv[:4, :4], residual) + through(conv[:4, 4:], transient)
    free = through(conv[4:, :4], residual) + through(conv[4:, 4:], transient)
    torch.testing.assert_close(layer(x), torch.cat([kept, free], 1))
