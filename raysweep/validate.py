"""Validation of recipes: values that cannot be trained with are refused before anything starts."""

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
    """A condition on a value, as a test and in words."""

    holds: Callable[[Any], bool]
    words: str


POSITIVE = Rule(lambda value: value > 0, "must be greater than 0")
NOT_NEGATIVE = Rule(lambda value: value >= 0, "must be 0 or more")
AT_LEAST_1 = Rule(lambda value: value >= 1, "must be at least 1")
SHARE = Rule(lambda value: 0 < value <= 1, "must be greater than 0 and at most 1")
BELOW_1 = Rule(lambda value: 0 <= value < 1, "must be 0 or more and less than 1")
PROBABILITIES = Rule(lambda value: all(0 <= share < 1 for share in value), "must all be 0 or more and less than 1")


def one_of(*choices: str) -> Rule:
    """The rule that a value is one of these words."""
    return Rule(lambda value: value in choices, f"must be {' or '.join(choices)}")


RESCALES = ("auto", "nearest", "linear", "cubic", "area")
"""Ways of resizing images when they are written; auto: area for smaller, cubic for larger."""
RULES: Mapping[str, Rule] = {
    "seed": NOT_NEGATIVE,
    "data.train_images": AT_LEAST_1,
    "data.test_images": AT_LEAST_1,
    "data.side": AT_LEAST_1,
    "data.short_side": AT_LEAST_1,
    "data.pad": NOT_NEGATIVE,
    "data.scale": POSITIVE,
    "data.mean": Rule(
        lambda value: len(value) in (1, 3), "must be three numbers (red, green, blue), or one for all channels"
    ),
    "data.train_fraction": SHARE,
    "data.holdout": BELOW_1,
    "data.label_noise": BELOW_1,
    "data.rescale": one_of(*RESCALES),
    "data.scales": Rule(lambda value: value and min(value) > 0, "must be one or more numbers greater than 0"),
    "data.test_scale": POSITIVE,
    "data.rotation": Rule(lambda value: 0 <= value <= 45, "must be 0 to 45"),
    "network.outputs": AT_LEAST_1,
    "network.width": POSITIVE,
    "network.widths": Rule(lambda value: all(width >= 1 for width in value), "must all be at least 1"),
    "network.head_widths": Rule(lambda value: all(width >= 1 for width in value), "must all be at least 1"),
    "network.stem_kernel": AT_LEAST_1,
    "network.stem_stride": AT_LEAST_1,
    "network.stem_layers": NOT_NEGATIVE,
    "network.stem_layers_kernel": Rule(lambda value: value >= 1 and value % 2 == 1, "must be odd"),
    "network.norm_position": one_of("before", "after"),
    "network.pool_kernel": AT_LEAST_1,
    "network.pool_pad": NOT_NEGATIVE,
    "network.dropout": BELOW_1,
    "network.conv_dropout": PROBABILITIES,
    "network.input_dropout": BELOW_1,
    "network.survival": SHARE,
    "network.cell_repeats": NOT_NEGATIVE,
    "network.drop_path": BELOW_1,
    "network.aux_weight": NOT_NEGATIVE,
    "network.aux_tested": NOT_NEGATIVE,
    "init.trunk": one_of("none", "frozen", "fine_tuned"),
    "solver.lr": POSITIVE,
    "solver.momentum": BELOW_1,
    "solver.weight_decay": NOT_NEGATIVE,
    "solver.bias_lr_mult": NOT_NEGATIVE,
    "solver.bias_decay_mult": NOT_NEGATIVE,
    "solver.clip_norm": NOT_NEGATIVE,
    "solver.beta2": BELOW_1,
    "solver.rms_decay": BELOW_1,
    "solver.eps": POSITIVE,
    "solver.decay_norm": one_of("l2", "l1"),
    "schedule.gamma": POSITIVE,
    "schedule.step_fraction": SHARE,
    "schedule.power": POSITIVE,
    "schedule.cycles": AT_LEAST_1,
    "schedule.warmup_fraction": BELOW_1,
    "schedule.periods": POSITIVE,
    "schedule.floor": BELOW_1,
    "training.epochs": POSITIVE,
    "training.batch_size": AT_LEAST_1,
    "training.accumulate": AT_LEAST_1,
    "training.precision": one_of("float32", "bfloat16"),
}


def check_recipe(recipe: Recipe) -> None:
    """Refuse a recipe with a value that cannot be trained with.

    Raises:
        RaysweepError: with the field, its value and the values it can have.
    """
    values = flatten(recipe)
    for path, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise RaysweepError(f"{path} is {value}: it must be a finite number.")
    for path, rule in RULES.items():
        if not rule.holds(values[path]):
            raise RaysweepError(f"{path} is {values[path]}: it {rule.words}. Change it with --set {path}=VALUE.")
    _check_mean(recipe)
    _check_holdout(recipe)
    _check_trunk(recipe)
    check_batch(recipe)


def _check_mean(recipe: Recipe) -> None:
    mean, channels = recipe.data.mean, recipe.data.channels
    if len(mean) not in (1, channels):
        raise RaysweepError(
            f"data.mean has {len(mean)} numbers ({', '.join(map('{:g}'.format, mean))}), but data.preprocess "
            f"{recipe.data.preprocess} makes images of {channels} channel{'s' * (channels > 1)}: use one number, e.g. "
            f"--set data.mean={sum(mean) / len(mean):.4g}."
        )


def _check_holdout(recipe: Recipe) -> None:
    images, share = recipe.data.train_images, recipe.data.holdout
    if share and not 0 < round(images * share) < images:
        raise RaysweepError(
            f"data.holdout is {share:g}: of {images:,} training images, none are left to train on or to test on. "
            "Change it with --set data.holdout=VALUE."
        )


def _check_trunk(recipe: Recipe) -> None:
    if recipe.init.trunk_trial and recipe.init.trunk == "none":
        raise RaysweepError(
            f"init.trunk_trial is {recipe.init.trunk_trial}, but init.trunk is none: add --set init.trunk=frozen or "
            "--set init.trunk=fine_tuned."
        )


def check_batch(recipe: Recipe, workers: int = 1) -> None:
    """Refuse a batch that cannot be divided among sub-batches and the workers of a trial.

    Raises:
        RaysweepError: with the three numbers and a batch size that works.
    """
    training = recipe.training
    parts = training.accumulate * workers
    if training.batch_size % parts:
        raise RaysweepError(
            f"training.batch_size is {training.batch_size}, which cannot be divided into {training.accumulate} "
            f"sub-batches (training.accumulate){f' on {workers} workers' if workers > 1 else ''}: use a multiple of "
            f"{parts}."
        )
    if recipe.network.norm != "none" and training.batch_size // training.accumulate < 2:
        raise RaysweepError(
            f"network.norm is {recipe.network.norm}, which needs at least 2 images in every sub-batch, but "
            f"training.batch_size is {training.batch_size} and training.accumulate {training.accumulate}: raise "
            f"training.batch_size{' or lower training.accumulate' if training.accumulate > 1 else ''}."
        )
