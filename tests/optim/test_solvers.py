from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from raysweep.optim.solvers import SOLVERS, clip_gradients, is_bias, parameter_groups, set_learning_rate
from raysweep.patch import patch
from raysweep.recipe import Recipe, SolverRecipe

RATES = (0.01, 0.01, 0.001)  # a drop between the second and the third update


def solver_recipe(**changes: object) -> SolverRecipe:
    return patch(Recipe(), {f"solver.{key}": value for key, value in changes.items()}).solver


def train(net: nn.Module, recipe: SolverRecipe) -> None:
    """Three updates on a constant gradient of 1 for every parameter."""
    solver = SOLVERS[recipe.name](net, recipe)
    for rate in RATES:
        solver.zero_grad()
        sum(weight.sum() for weight in net.parameters()).backward()  # type: ignore[union-attr]
        set_learning_rate(solver, rate)
        solver.step()


def caffe(start: float, mult: float, decay: float, momentum: float) -> float:
    weight, velocity = start, 0.0
    for rate in RATES:
        velocity = momentum * velocity + mult * rate * (1 + decay * weight)
        weight -= velocity
    return weight


def pytorch(start: float, mult: float, decay: float, momentum: float) -> float:
    weight, velocity = start, 0.0
    for rate in RATES:
        velocity = momentum * velocity + (1 + decay * weight)
        weight -= mult * rate * velocity
    return weight


@pytest.mark.parametrize(("in_velocity", "closed_form"), [(True, caffe), (False, pytorch)])
def test_three_updates_follow_the_closed_form(
    in_velocity: bool, closed_form: Callable[[float, float, float, float], float]
) -> None:
    net = nn.Linear(1, 1).double()
    with torch.no_grad():
        net.weight.fill_(2.0)
        net.bias.fill_(3.0)
    recipe = solver_recipe(weight_decay=0.1, bias_lr_mult=2.0, bias_decay_mult=0.5, lr_in_velocity=in_velocity)
    train(net, recipe)
    assert net.weight.item() == pytest.approx(closed_form(2.0, 1.0, 0.1, 0.9), rel=1e-12)
    assert net.bias.item() == pytest.approx(closed_form(3.0, 2.0, 0.05, 0.9), rel=1e-12)


def test_the_two_rules_differ_after_a_drop_of_the_rate() -> None:
    assert caffe(2.0, 1.0, 0.0, 0.9) != pytest.approx(pytorch(2.0, 1.0, 0.0, 0.9))


def test_the_papers_rule_leaves_biases_undecayed_at_twice_the_rate() -> None:
    weights, biases = parameter_groups(nn.Linear(2, 3), Recipe().solver)
    assert (weights["lr_mult"], weights["weight_decay"]) == (1.0, 5e-4)
    assert (biases["lr_mult"], biases["weight_decay"]) == (2.0, 0.0)


def test_learned_slopes_are_weights() -> None:
    weights, biases = parameter_groups(nn.Sequential(nn.Linear(2, 3), nn.PReLU(3)), Recipe().solver)
    assert len(weights["params"]) == 2
    assert len(biases["params"]) == 1
    assert not is_bias("bias_net.weight")


def test_gradients_are_clipped_by_their_global_norm() -> None:
    net = nn.Linear(3, 2)
    for weight in net.parameters():
        weight.grad = torch.full_like(weight, 10.0)
    clip_gradients(net, 0.0)
    assert net.bias.grad is not None
    assert net.bias.grad.tolist() == [10.0, 10.0]
    clip_gradients(net, 2.0)
    norm = sum(weight.grad.square().sum() for weight in net.parameters() if weight.grad is not None)
    assert float(norm) ** 0.5 == pytest.approx(2.0, rel=1e-4)
