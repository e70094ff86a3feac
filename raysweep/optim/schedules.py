"""Learning-rate schedules: a factor on the base rate for every update. Plain arithmetic, no torch."""

from __future__ import annotations

import math
from collections.abc import Callable

from raysweep.recipe import ScheduleRecipe
from raysweep.registry import Registry

Factor = Callable[[ScheduleRecipe, int, int], float]
SCHEDULES: Registry[Factor] = Registry("schedule", "raysweep list schedules")


@SCHEDULES.add("step", "multiply by gamma after every step_fraction of the training", "Mishkin et al. 2017")
def step(recipe: ScheduleRecipe, iteration: int, iterations: int) -> float:
    """gamma ^ floor(iteration / step), the step rounded to a whole number of updates."""
    every = max(1, round(recipe.step_fraction * iterations))
    return math.pow(recipe.gamma, iteration // every)


@SCHEDULES.add("linear", "fall in a straight line to 0 at the end", "Mishkin et al. 2017")
def linear(recipe: ScheduleRecipe, iteration: int, iterations: int) -> float:
    """1 - iteration / iterations: Caffe's polynomial policy of power 1."""
    return 1 - iteration / iterations


def learning_rate(recipe: ScheduleRecipe, base_lr: float, iteration: int, iterations: int) -> float:
    """The learning rate of an update, counted from 0.

    Raises:
        RaysweepError: unknown schedule.
    """
    return base_lr * SCHEDULES[recipe.name](recipe, iteration, iterations)
