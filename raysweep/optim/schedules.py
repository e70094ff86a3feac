"""Learning-rate schedules: the factor on the base rate at every update. Plain arithmetic, no torch."""

from __future__ import annotations

import math
from collections.abc import Callable

from raysweep.recipe import ScheduleRecipe
from raysweep.registry import Registry

Factor = Callable[[ScheduleRecipe, int, int], float]
SCHEDULES: Registry[Factor] = Registry("schedule", "raysweep list schedules")


@SCHEDULES.add("step", "steps: multiplied by gamma after every step_fraction of the training", "Mishkin et al. 2017")
def step(recipe: ScheduleRecipe, iteration: int, iterations: int) -> float:
    """gamma ^ floor(iteration / step), with the step rounded to a whole number of updates."""
    every = max(1, round(recipe.step_fraction * iterations))
    return math.pow(recipe.gamma, iteration // every)


@SCHEDULES.add("linear", "linear decay to 0", "Mishkin et al. 2017")
def linear(recipe: ScheduleRecipe, iteration: int, iterations: int) -> float:
    """1 - iteration / iterations: Caffe's polynomial policy of power 1."""
    return 1 - iteration / iterations


@SCHEDULES.add("poly", "(1 - t)^power: power 2 is the paper's square, 0.5 its root", "Mishkin et al. 2017")
def poly(recipe: ScheduleRecipe, iteration: int, iterations: int) -> float:
    """(1 - iteration / iterations) ^ power: Caffe's polynomial policy."""
    return math.pow(1 - iteration / iterations, recipe.power)


@SCHEDULES.add("cosine", "half a cosine, decaying to 0", "Loshchilov & Hutter 2017")
def cosine(recipe: ScheduleRecipe, iteration: int, iterations: int) -> float:
    """(1 + cos(pi t)) / 2."""
    return _half_cosine(iteration / iterations)


def _half_cosine(t: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * t))


@SCHEDULES.add("linear_cosine", "linear cosine decay: linear decay times a cosine", "Bello et al. 2017")
def linear_cosine(recipe: ScheduleRecipe, iteration: int, iterations: int) -> float:
    """(alpha + 1 - t) (1 + cos(2 pi periods t)) / 2 + beta, as in TensorFlow's `linear_cosine_decay`."""
    t = iteration / iterations
    return (recipe.alpha + 1 - t) * _half_cosine(2 * recipe.periods * t) + recipe.beta


@SCHEDULES.add("warm_restarts", "cosine cycles, each twice as long as the one before", "Loshchilov & Hutter 2017")
def warm_restarts(recipe: ScheduleRecipe, iteration: int, iterations: int) -> float:
    """`cycles` cosines with lengths 1 : 2 : 4 ... that fill the training."""
    t = iteration / iterations * (2**recipe.cycles - 1)  # in lengths of the first cycle; cycle k begins at 2^k - 1
    cycle = int(math.log2(t + 1))
    return _half_cosine((t + 1) / 2**cycle - 1)


START, END = 1 / 25, 1 / 25 / 10_000
"""First and last factor of one_cycle: torch's defaults."""


@SCHEDULES.add("one_cycle", "linear warm-up to the base rate, then cosine decay", "Smith & Topin 2018")
def one_cycle(recipe: ScheduleRecipe, iteration: int, iterations: int) -> float:
    """From 1/25 to 1 in the first `warmup_fraction` of the training, then to 1/250,000 at the last update."""
    last = max(1, iterations - 1)
    peak = recipe.warmup_fraction * last
    if iteration < peak:
        return START + (1 - START) * iteration / peak
    return END + (1 - END) * _half_cosine((iteration - peak) / (last - peak))


def learning_rate(recipe: ScheduleRecipe, base_lr: float, iteration: int, iterations: int) -> float:
    """The learning rate at an update, counted from 0.

    Raises:
        RaysweepError: unknown schedule.
    """
    factor = SCHEDULES[recipe.name](recipe, iteration, iterations)
    return base_lr * (recipe.floor + (1 - recipe.floor) * factor)
