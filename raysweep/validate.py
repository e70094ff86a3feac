"""Values that no trial can be trained with, refused by name before anything starts. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from raysweep.errors import RaysweepError
from raysweep.patch import flatten
from raysweep.recipe import Recipe


@dataclass(frozen=True)
class Rule:
    """What a value must be, as a test and in words."""

    holds: Callable[[Any], bool]
    words: str


POSITIVE = Rule(lambda value: value > 0, "must be more than 0")
NOT_NEGATIVE = Rule(lambda value: value >= 0, "must be 0 or more")
AT_LEAST_1 = Rule(lambda value: value >= 1, "must be at least 1")
SHARE = Rule(lambda value: 0 < value <= 1, "must be more than 0 and at most 1")
BELOW_1 = Rule(lambda value: 0 <= value < 1, "must be 0 or more and less than 1")
PRECISION = Rule(lambda value: value in ("float32", "bfloat16"), "must be float32 or bfloat16")

RULES: Mapping[str, Rule] = {
    "seed": NOT_NEGATIVE,
    "data.train_images": AT_LEAST_1,
    "data.test_images": AT_LEAST_1,
    "data.side": AT_LEAST_1,
    "data.short_side": AT_LEAST_1,
    "data.pad": NOT_NEGATIVE,
    "data.scale": POSITIVE,
    "data.mean": Rule(lambda value: len(value) == 3, "must be three numbers: red, green, blue"),
    "data.train_fraction": SHARE,
    "network.outputs": AT_LEAST_1,
    "network.width": POSITIVE,
    "network.widths": Rule(lambda value: all(width >= 1 for width in value), "must all be at least 1"),
    "network.stem_kernel": AT_LEAST_1,
    "network.stem_stride": AT_LEAST_1,
    "network.dropout": BELOW_1,
    "solver.lr": POSITIVE,
    "solver.momentum": BELOW_1,
    "solver.weight_decay": NOT_NEGATIVE,
    "solver.bias_lr_mult": NOT_NEGATIVE,
    "solver.bias_decay_mult": NOT_NEGATIVE,
    "solver.clip_norm": NOT_NEGATIVE,
    "schedule.gamma": POSITIVE,
    "schedule.step_fraction": SHARE,
    "training.epochs": POSITIVE,
    "training.batch_size": AT_LEAST_1,
    "training.accumulate": AT_LEAST_1,
    "training.precision": PRECISION,
}


def check_recipe(recipe: Recipe) -> None:
    """Refuse a recipe with a value out of its range.

    Raises:
        RaysweepError: names the field, its value and what it must be.
    """
    values = flatten(recipe)
    for path, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise RaysweepError(f"{path} is {value}: it must be a finite number.")
    for path, rule in RULES.items():
        if not rule.holds(values[path]):
            raise RaysweepError(f"{path} is {values[path]}: it {rule.words}. Change it with --set {path}=VALUE.")
    if recipe.training.batch_size % recipe.training.accumulate:
        raise RaysweepError(
            f"training.batch_size {recipe.training.batch_size} does not divide into training.accumulate "
            f"{recipe.training.accumulate} equal sub-batches."
        )
