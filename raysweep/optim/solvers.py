"""Update rules with Caffe's multipliers: biases have their own learning rate and decay."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from raysweep.recipe import SolverRecipe
from raysweep.registry import Registry

Solver = Callable[[nn.Module, SolverRecipe], torch.optim.Optimizer]
SOLVERS: Registry[Solver] = Registry("solver", "raysweep list solvers")


class CaffeSGD(torch.optim.Optimizer):
    """SGD whose velocity holds the learning rate: v = m v + lr (g + wd w), w = w - v (Caffe's sgd_solver.cpp).

    When the rate drops, the old velocity keeps its scale; torch.optim.SGD multiplies the rate outside the velocity.
    """

    def __init__(self, params: Iterable[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "velocity" not in state:
                    state["velocity"] = torch.zeros_like(weight)
                step = weight.grad.add(weight, alpha=group["weight_decay"])
                state["velocity"].mul_(group["momentum"]).add_(step, alpha=group["lr"])
                weight.sub_(state["velocity"])


def parameter_groups(network: nn.Module, recipe: SolverRecipe) -> list[dict[str, Any]]:
    """Weights, and biases with their multipliers; `lr_mult` is what a schedule's rate is multiplied by.

    A bias is a parameter of that name. Learned slopes and hinges of non-linearities learn as weights do.
    """
    named = [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]
    weights = [weight for name, weight in named if not is_bias(name)]
    biases = [weight for name, weight in named if is_bias(name)]
    decay = recipe.weight_decay
    return [
        {"params": weights, "lr_mult": 1.0, "weight_decay": decay},
        {"params": biases, "lr_mult": recipe.bias_lr_mult, "weight_decay": decay * recipe.bias_decay_mult},
    ]


def is_bias(name: str) -> bool:
    """Whether a parameter of that dotted name is a bias."""
    return name.rpartition(".")[2] == "bias"


@SOLVERS.add("sgd", "stochastic gradient descent with momentum", "Mishkin et al. 2017")
def sgd(network: nn.Module, recipe: SolverRecipe) -> torch.optim.Optimizer:
    """Caffe's rule, or torch's where `solver.lr_in_velocity` is false."""
    groups = parameter_groups(network, recipe)
    if recipe.lr_in_velocity:
        return CaffeSGD(groups, recipe.lr, recipe.momentum)
    return torch.optim.SGD(groups, recipe.lr, recipe.momentum)


def set_learning_rate(solver: torch.optim.Optimizer, lr: float) -> None:
    """Give every parameter group the rate times its multiplier."""
    for group in solver.param_groups:
        group["lr"] = lr * group["lr_mult"]


def clip_gradients(network: nn.Module, clip_norm: float) -> None:
    """Scale all gradients so that their global L2 norm is at most `clip_norm`; 0 means no limit."""
    if clip_norm:
        torch.nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
