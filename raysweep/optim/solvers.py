"""Update rules with Caffe's multipliers: biases have a learning rate and a decay of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from raysweep.recipe import SolverRecipe
from raysweep.registry import Registry

Groups = list[dict[str, Any]]
Solver = Callable[[Groups, SolverRecipe], torch.optim.Optimizer]
SOLVERS: Registry[Solver] = Registry("solver", "raysweep list solvers")


class CaffeSGD(torch.optim.Optimizer):
    """SGD with the learning rate inside the velocity: v = m v + lr (g + wd w), w = w - v (Caffe's sgd_solver.cpp).

    When the rate drops, the old velocity keeps its scale; torch.optim.SGD applies the rate outside the velocity.
    Nesterov's form steps by (1 + m) v - m v_before (nesterov_solver.cpp).
    """

    def __init__(self, params: Iterable[dict[str, Any]], lr: float, momentum: float, nesterov: bool = False) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, group)

    def _update(self, weight: torch.Tensor, group: dict[str, Any]) -> None:
        state, momentum = self.state[weight], group["momentum"]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(weight)
        velocity = state["velocity"]
        gradient = weight.grad.add(weight, alpha=group["weight_decay"])  # type: ignore[union-attr]
        if group["nesterov"]:
            weight.add_(velocity, alpha=momentum)
        velocity.mul_(momentum).add_(gradient, alpha=group["lr"])
        weight.sub_(velocity, alpha=1 + momentum if group["nesterov"] else 1)


def parameter_groups(network: nn.Module, recipe: SolverRecipe) -> Groups:
    """One group for weights and one for biases; `lr_mult` is the factor on the schedule's rate.

    A bias is a parameter named `bias`. Learned slopes and hinges of non-linearities count as weights.
    """
    named = [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]
    weights = [weight for name, weight in named if not is_bias(name)]
    biases = [weight for name, weight in named if is_bias(name)]
    return [
        {"params": weights, "lr_mult": 1.0, **_decay(recipe, 1.0)},
        {"params": biases, "lr_mult": recipe.bias_lr_mult, **_decay(recipe, recipe.bias_decay_mult)},
    ]


def _decay(recipe: SolverRecipe, mult: float) -> dict[str, float]:
    decay = recipe.weight_decay * mult
    return {"weight_decay": 0.0, "l1_decay": decay} if recipe.decay_norm == "l1" else {"weight_decay": decay}


def is_bias(name: str) -> bool:
    """Whether the parameter with this dotted name is a bias."""
    return name.rpartition(".")[2] == "bias"


def make_solver(network: nn.Module, recipe: SolverRecipe) -> torch.optim.Optimizer:
    """The recipe's solver for the parameters of a network.

    Raises:
        RaysweepError: unknown solver.
    """
    solver = SOLVERS[recipe.name](parameter_groups(network, recipe), recipe)
    if recipe.decay_norm == "l1":
        solver.register_step_pre_hook(_add_l1_decay)
    return solver


@torch.no_grad()
def _add_l1_decay(solver: torch.optim.Optimizer, *_: Any) -> None:
    # As torch's solvers do for L2: add the gradient of the penalty to that of the loss, after clipping as in Caffe.
    for group in solver.param_groups:
        for weight in group["params"]:
            if weight.grad is not None:
                weight.grad.add_(weight.sign(), alpha=group["l1_decay"])


@SOLVERS.add("sgd", "stochastic gradient descent with momentum", "Mishkin et al. 2017")
def sgd(groups: Groups, recipe: SolverRecipe) -> torch.optim.Optimizer:
    """Caffe's rule, or torch's if `solver.lr_in_velocity` is false."""
    return (CaffeSGD if recipe.lr_in_velocity else torch.optim.SGD)(groups, recipe.lr, recipe.momentum)


@SOLVERS.add("nesterov", "Nesterov's accelerated gradient", "Nesterov 1983; Sutskever et al. 2013")
def nesterov(groups: Groups, recipe: SolverRecipe) -> torch.optim.Optimizer:
    """Caffe's rule, or torch's if `solver.lr_in_velocity` is false."""
    if recipe.lr_in_velocity:
        return CaffeSGD(groups, recipe.lr, recipe.momentum, nesterov=True)
    return torch.optim.SGD(groups, recipe.lr, recipe.momentum, nesterov=recipe.momentum > 0)


@SOLVERS.add("rmsprop", "gradient divided by the root of its running mean square", "Tieleman & Hinton 2012")
def rmsprop(groups: Groups, recipe: SolverRecipe) -> torch.optim.Optimizer:
    """h = d h + (1 - d) g^2, w = w - lr g / (sqrt(h) + eps); no momentum, as in Caffe."""
    return torch.optim.RMSprop(groups, recipe.lr, recipe.rms_decay, recipe.eps)


@SOLVERS.add("adam", "running mean of the gradient divided by the root of its mean square", "Kingma & Ba 2015")
def adam(groups: Groups, recipe: SolverRecipe) -> torch.optim.Optimizer:
    """Algorithm 1 of the paper; beta 1 is `solver.momentum`.

    Caffe applies eps before the bias correction of the second moment: in this form, eps / sqrt(1 - beta2^t).
    """
    return torch.optim.Adam(groups, recipe.lr, (recipe.momentum, recipe.beta2), recipe.eps)


@SOLVERS.add("adagrad", "gradient divided by the root of the sum of its squares", "Duchi et al. 2011")
def adagrad(groups: Groups, recipe: SolverRecipe) -> torch.optim.Optimizer:
    """h = h + g^2, w = w - lr g / (sqrt(h) + eps)."""
    return torch.optim.Adagrad(groups, recipe.lr, eps=recipe.eps)


@SOLVERS.add("adadelta", "steps in the units of the weights, from running mean squares", "Zeiler 2012")
def adadelta(groups: Groups, recipe: SolverRecipe) -> torch.optim.Optimizer:
    """Algorithm 1 of the paper, scaled by the rate; rho is `solver.momentum`, as in Caffe."""
    return torch.optim.Adadelta(groups, recipe.lr, recipe.momentum, recipe.eps)


def set_learning_rate(solver: torch.optim.Optimizer, lr: float) -> None:
    """Set the rate of every parameter group to `lr` times its multiplier."""
    for group in solver.param_groups:
        group["lr"] = lr * group["lr_mult"]


def clip_gradients(network: nn.Module, clip_norm: float) -> None:
    """Scale all gradients so that their global L2 norm is at most `clip_norm`; 0 means no limit."""
    if clip_norm:
        torch.nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
