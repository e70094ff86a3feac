from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raysweep.nn.activations import ACTIVATIONS, AdaptivePiecewiseLinear, ChannelBias

SHAPE = (6, 5, 4)
X = torch.linspace(-4, 4, 2 * 6 * 5 * 4, dtype=torch.float64).view(2, *SHAPE)

CLOSED_FORMS = {
    "linear": X,
    "relu": X.clamp(min=0),
    "sigmoid": 1 / (1 + (-X).exp()),
    "tanh": (X.exp() - (-X).exp()) / (X.exp() + (-X).exp()),
    "scaled_tanh": 1.759 * (0.6667 * X).tanh(),
    "arcsinh": (X + (X * X + 1).sqrt()).log(),
    "softplus_shifted": (1 + X.exp()).log() - math.log(2),
    "leaky_relu": torch.where(X > 0, X, 0.1 * X),
    "vlrelu": torch.where(X > 0, X, 0.3 * X),
    "prelu": torch.where(X > 0, X, 0.3 * X),
    "elu": torch.where(X > 0, X, X.exp() - 1),
    "elu_alpha05": torch.where(X > 0, X, 0.5 * (X.exp() - 1)),
    "elu_lrelu_mean": torch.where(X > 0, X, (X.exp() - 1 + 0.05 * X) / 2),
    "selu": F.selu(X),
    "gelu": X * (1 + torch.erf(X / math.sqrt(2))) / 2,
    "silu": X / (1 + (-X).exp()),
    "hardswish": X * ((X + 3).clamp(0, 6) / 6),
    "frelu": X.clamp(min=0) - 0.2,
    "felu": torch.where(X > 0, X, X.exp() - 1) - 0.1,
}


def apply(name: str, *inputs: Tensor, training: bool = False) -> Tensor:
    layer = ACTIVATIONS[name].build(SHAPE).double().train(training)
    result: Tensor = layer(*(x.clone() for x in inputs))
    return result


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_closed_form(name: str) -> None:
    torch.testing.assert_close(apply(name, X), CLOSED_FORMS[name], atol=2e-5, rtol=2e-5)


def test_every_activation_is_checked_here() -> None:
    others = {"rrelu", "maxout", "maxout5", "oplu", "apl2", "apl5"}
    assert {entry.name for entry in ACTIVATIONS} == set(CLOSED_FORMS) | others


@pytest.mark.parametrize("entry", ACTIVATIONS, ids=lambda entry: entry.name)
def test_shape_gradient_and_sentence(entry: object) -> None:
    spec = entry.make  # type: ignore[attr-defined]
    assert entry.summary  # type: ignore[attr-defined]
    assert entry.paper  # type: ignore[attr-defined]
    for shape in (SHAPE, (7,)):
        inputs = [torch.randn(3, *shape, requires_grad=True) for _ in range(spec.pieces)]
        output = spec.build(shape)(*(x + 0 for x in inputs))
        assert output.shape == (3, *shape)
        output.sum().backward()
        assert all(x.grad is not None and torch.isfinite(x.grad).all() for x in inputs)


def test_rrelu_draws_slopes_in_training_and_takes_their_mean_at_test() -> None:
    below = -torch.ones(200, 6, 5, 4, dtype=torch.float64)
    slopes = -apply("rrelu", below, training=True)
    assert 0.1 <= slopes.min() < 0.11
    assert 0.49 < slopes.max() <= 0.5
    assert abs(slopes.mean() - 0.3) < 0.005
    torch.testing.assert_close(apply("rrelu", below), 0.3 * below)


def test_maxout_is_the_larger_of_its_pieces() -> None:
    other = X.flip(0)
    assert torch.equal(apply("maxout", X, other), torch.where(other < X, X, other))
    five = torch.stack([X, other, -X, 2 * X, X - 1])
    assert torch.equal(apply("maxout5", *five), five.max(0).values)


def test_oplu_sorts_pairs_of_channels_and_keeps_the_norm() -> None:
    x = torch.randn(4, 7, 3, 3)
    y = ACTIVATIONS["oplu"].build((7, 3, 3))(x)
    assert torch.equal(y[:, 0], torch.maximum(x[:, 0], x[:, 1]))
    assert torch.equal(y[:, 1], torch.minimum(x[:, 0], x[:, 1]))
    assert torch.equal(y[:, 6], x[:, 6])
    torch.testing.assert_close(y.norm(), x.norm())


def test_apl_follows_its_equation() -> None:
    layer = AdaptivePiecewiseLinear((2,), 2)
    with torch.no_grad():
        layer.slopes.copy_(torch.tensor([[0.5, -1.0], [0.25, 2.0]]))
        layer.offsets.copy_(torch.tensor([[1.0, 0.0], [-1.0, 3.0]]))
    x = torch.tensor([[-2.0, 1.0]])
    first = 0 + 0.5 * max(0, 2 + 1.0) + 0.25 * max(0, 2 - 1.0)
    second = 1 - 1.0 * max(0, -1 + 0.0) + 2.0 * max(0, -1 + 3.0)
    torch.testing.assert_close(layer(x), torch.tensor([[first, second]]))


def test_apl_starts_as_the_published_files_have_it() -> None:
    torch.manual_seed(0)
    layer = AdaptivePiecewiseLinear((64, 20, 20), 2)
    assert layer.slopes.shape == (2, 64, 20, 20)
    assert layer.slopes.abs().max() <= 0.5
    assert abs(layer.slopes.std() - 1 / math.sqrt(12)) < 0.005
    assert abs(layer.offsets.std() - 0.5) < 0.005


def test_learned_biases_are_named_so_that_the_solver_treats_them_as_biases() -> None:
    for name in ("frelu", "felu"):
        (parameter,) = dict(ACTIVATIONS[name].build(SHAPE).named_parameters())
        assert parameter.endswith(".bias")
    assert ChannelBias(3, -0.2).bias.tolist() == pytest.approx([-0.2] * 3)
