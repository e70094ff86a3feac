from __future__ import annotations

from collections.abc import Callable
from math import copysign, sqrt

import pytest
import torch
from torch import nn

from raysweep.optim.solvers import SOLVERS, clip_gradients, is_bias, make_solver, parameter_groups, set_learning_rate
from raysweep.patch import patch
from raysweep.recipe import Recipe, SolverRecipe

RATES = (0.01, 0.01, 0.001)  # a drop between the second and the third update


def solver_recipe(**changes: object) -> SolverRecipe:
    return patch(Recipe(), {f"solver.{key}": value for key, value in changes.items()}).solver


def train(net: nn.Module, recipe: SolverRecipe) -> None:
    """Three updates on a constant gradient of 1 for every parameter."""
    solver = make_solver(net, recipe)
    for rate in RATES:
        solver.zero_grad()
        sum(weight.sum() for weight in net.parameters()).backward()  # type: ignore[union-attr]
        set_learning_rate(solver, rate)
        solver.step()


Step = Callable[[float, float], float]
"""(gradient, learning rate) -> the step to subtract from the weight; keeps its state."""


def sgd(momentum: float = 0.9) -> Step:
    velocity = 0.0

    def step(gradient: float, rate: float) -> float:
        nonlocal velocity
        velocity = momentum * velocity + rate * gradient
        return velocity

    return step


def sgd_outside(momentum: float = 0.9) -> Step:
    velocity = 0.0

    def step(gradient: float, rate: float) -> float:
        nonlocal velocity
        velocity = momentum * velocity + gradient
        return rate * velocity

    return step


def nesterov(momentum: float = 0.9) -> Step:
    velocity = 0.0

    def step(gradient: float, rate: float) -> float:
        nonlocal velocity
        before, velocity = velocity, momentum * velocity + rate * gradient
        return (1 + momentum) * velocity - momentum * before

    return step


def nesterov_outside(momentum: float = 0.9) -> Step:
    velocity = 0.0

    def step(gradient: float, rate: float) -> float:
        nonlocal velocity
        velocity = momentum * velocity + gradient
        return rate * (gradient + momentum * velocity)

    return step


def rmsprop() -> Step:
    square = 0.0

    def step(gradient: float, rate: float) -> float:
        nonlocal square
        square = 0.8 * square + 0.2 * gradient**2
        return rate * gradient / (sqrt(square) + 0.5)

    return step


def adam() -> Step:
    first, second, t = 0.0, 0.0, 0

    def step(gradient: float, rate: float) -> float:
        nonlocal first, second, t
        t += 1
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        return rate * (first / (1 - 0.9**t)) / (sqrt(second / (1 - 0.99**t)) + 0.5)

    return step


def adagrad() -> Step:
    total = 0.0

    def step(gradient: float, rate: float) -> float:
        nonlocal total
        total += gradient**2
        return rate * gradient / (sqrt(total) + 0.5)

    return step


def adadelta() -> Step:
    square, moved = 0.0, 0.0

    def step(gradient: float, rate: float) -> float:
        nonlocal square, moved
        square = 0.9 * square + 0.1 * gradient**2
        move = gradient * sqrt((moved + 0.5) / (square + 0.5))
        moved = 0.9 * moved + 0.1 * move**2
        return rate * move

    return step


def trained(start: float, step: Step, mult: float, penalty: Callable[[float], float]) -> float:
    weight = start
    for rate in RATES:
        weight -= step(1 + penalty(weight), mult * rate)
    return weight


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"name": "sgd"}, sgd),
        ({"name": "sgd", "lr_in_velocity": False}, sgd_outside),
        ({"name": "nesterov"}, nesterov),
        ({"name": "nesterov", "lr_in_velocity": False}, nesterov_outside),
        ({"name": "rmsprop", "rms_decay": 0.8, "eps": 0.5}, rmsprop),
        ({"name": "adam", "beta2": 0.99, "eps": 0.5}, adam),
        ({"name": "adagrad", "eps": 0.5}, adagrad),
        ({"name": "adadelta", "eps": 0.5}, adadelta),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_three_updates_follow_the_closed_form(changes: dict[str, object], rule: Callable[[], Step], norm: str) -> None:
    net = nn.Linear(1, 1).double()
    with torch.no_grad():
        net.weight.fill_(2.0)
        net.bias.fill_(-3.0)
    train(net, solver_recipe(weight_decay=0.1, bias_lr_mult=2.0, bias_decay_mult=0.5, decay_norm=norm, **changes))

    def penalty(decay: float) -> Callable[[float], float]:
        return (lambda weight: decay * weight) if norm == "l2" else (lambda weight: copysign(decay, weight))

    assert net.weight.item() == pytest.approx(trained(2.0, rule(), 1.0, penalty(0.1)), rel=1e-12)
    assert net.bias.item() == pytest.approx(trained(-3.0, rule(), 2.0, penalty(0.05)), rel=1e-12)


def test_every_solver_has_been_checked() -> None:
    assert {entry.name for entry in SOLVERS} == {"sgd", "nesterov", "rmsprop", "adam", "adagrad", "adadelta"}


@pytest.mark.parametrize("in_velocity", [True, False])
def test_nesterov_without_momentum_is_plain_descent(in_velocity: bool) -> None:
    net = nn.Linear(1, 1, bias=False).double()
    torch.nn.init.constant_(net.weight, 2.0)
    train(net, solver_recipe(name="nesterov", momentum=0.0, weight_decay=0.0, lr_in_velocity=in_velocity))
    assert net.weight.item() == pytest.approx(2.0 - sum(RATES))


def test_the_two_rules_of_sgd_differ_after_a_drop_of_the_rate() -> None:
    inside, outside = (trained(2.0, rule(), 1.0, lambda _: 0.0) for rule in (sgd, sgd_outside))
    assert inside != pytest.approx(outside)


@pytest.mark.parametrize("name", [entry.name for entry in SOLVERS])
def test_a_network_without_biases_and_one_with_an_unused_layer_are_trained(name: str) -> None:
    net = nn.ModuleList([nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)])
    unused = net[1].weight.detach().clone()
    solver = make_solver(net, solver_recipe(name=name, decay_norm="l1"))
    set_learning_rate(solver, 0.1)
    before = net[0].weight.detach().clone()
    net[0](torch.ones(1, 2)).sum().backward()
    solver.step()
    assert not torch.equal(net[0].weight, before)
    assert torch.equal(net[1].weight, unused)


@pytest.mark.parametrize("name", [entry.name for entry in SOLVERS])
def test_a_solver_continues_from_its_saved_state(name: str) -> None:
    recipe = solver_recipe(name=name, decay_norm="l1", weight_decay=0.01)

    def updates(net: nn.Module, solver: torch.optim.Optimizer, seeds: range) -> None:
        for seed in seeds:
            solver.zero_grad()
            net(torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))).square().sum().backward()
            set_learning_rate(solver, 0.01)
            solver.step()

    whole, first, second = (nn.Linear(3, 2) for _ in range(3))
    first.load_state_dict(whole.state_dict())
    solver = make_solver(whole, recipe)
    updates(whole, solver, range(6))
    half = make_solver(first, recipe)
    updates(first, half, range(3))
    second.load_state_dict(first.state_dict())
    rest = make_solver(second, recipe)
    rest.load_state_dict(half.state_dict())
    updates(second, rest, range(3, 6))
    assert torch.equal(whole.weight, second.weight)
    assert torch.equal(whole.bias, second.bias)


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
