"""Fit a study to the hours that there are: how long to train, on which share of the images, or what could be asked.

Pure arithmetic on seconds. Lengths are tried from the longest to the shortest: first fewer epochs on all images, down
to `LEAST_EPOCHS`, then fewer images. More images with fewer epochs keep the order of variants better than the reverse
(Zhou et al. 2020, EcoNAS). The schedule is compressed to the length, as a straight line to zero, which is best for a
fixed number of updates (Li et al. 2020, Budgeted Training).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from raysweep.patch import patch
from raysweep.recipe import Recipe

FIRST_SHARE = 0.6
"""Largest share of the budget for the first runs of all variants and of the baseline."""
FIXED_SHARE = 0.85
"""Largest share of the budget for calibration, controls, first runs and the final comparison together; the rest is for
what is undecided then."""
FIRST_SEEDS = 2
LEAST_UPDATES = 2_500
"""Fewer are not chosen: 625 updates of 32 images rank who learns fastest, not who learns best. Of the logged
trainings, the order at 2,000 updates agrees with the final one at a Kendall's tau of 0.30, at 5,000 of 0.42, at 10,000
of 0.59; from 2,500 on, a baseline that is trained well has the known answers right. The controls test what this cannot
promise."""
LEAST_EPOCHS = 4
"""With fewer passes what protects against overfitting cannot show; then fewer images are used instead."""
LINEAR = {"schedule.name": "linear", "schedule.floor": 0.0}


@dataclass(frozen=True)
class Speed:
    """What one trial of a variant takes on one worker, in seconds, per unit of the baseline's length.

    A variant that trains for half of the baseline's epochs has half the `image_s`.
    """

    image_s: float
    """For each training image of the baseline, in each epoch."""
    test_s: float = 0.0
    """For the test after each epoch of the baseline."""
    start_s: float = 0.0

    def trial_s(self, images: int, epochs: float) -> float:
        """Seconds of a trial for which the baseline has this length."""
        return self.start_s + epochs * images * self.image_s + math.ceil(epochs) * self.test_s


@dataclass(frozen=True)
class Problem:
    """The trials to fit, and the time for them."""

    baseline: Speed
    variants: Mapping[str, Speed]
    """The variants without the baseline."""
    budget_s: float
    workers: int
    """Number of trials at once."""
    recipe: Recipe
    """The baseline: its images, batch size, and the longest training, unless that has fewer than `LEAST_UPDATES`."""
    baseline_runs: Callable[[int], int]
    """Number of variants -> number of first runs of the baseline."""
    extra_runs: int = 0
    """Runs of the baseline's length before and after the race: calibration, controls and the final comparison."""
    epochs: float | None = None
    """Fixed by the user; None: chosen."""
    train_fraction: float | None = None


@dataclass(frozen=True)
class Fit:
    """A length with which the first runs fit into the budget."""

    epochs: float
    train_fraction: float
    updates: int
    first_s: float
    """Wall time of the first runs."""
    extra_s: float = 0.0
    """Wall time of calibration, controls and the final comparison."""

    @property
    def needed_s(self) -> float:
        """The smallest budget that it fits into."""
        return max(self.first_s / FIRST_SHARE, (self.first_s + self.extra_s) / FIXED_SHARE)

    @property
    def is_short(self) -> bool:
        """Whether fixed values make it shorter than what can be trusted to rank variants."""
        return self.updates < LEAST_UPDATES

    @property
    def settings(self) -> dict[str, Any]:
        """The length as settings of a request."""
        return {"training.epochs": self.epochs, "data.train_fraction": self.train_fraction}


@dataclass(frozen=True)
class TooLittle:
    """The budget cannot answer the question: what could be done instead."""

    needed_s: float
    """The smallest budget for all variants, at the shortest length."""
    variants: tuple[str, ...] = field(default=())
    """The variants, cheapest first, that fit into the budget at the shortest length; maybe none."""


def fit(problem: Problem) -> Fit | TooLittle:
    """The longest training whose first runs, and all that comes before the race, fit into the budget."""
    names = list(problem.variants)
    shortest: Fit | None = None
    for epochs, fraction in lengths(problem):
        shortest = _fit(problem, names, epochs, fraction)
        if shortest.needed_s <= problem.budget_s:
            return shortest
    assert shortest, "there is at least one length"
    return TooLittle(shortest.needed_s, _affordable(problem, shortest))


def _fit(problem: Problem, names: Iterable[str], epochs: float, fraction: float) -> Fit:
    changed = patch(problem.recipe, {"training.epochs": epochs, "data.train_fraction": fraction})
    length = changed.length
    extra_s = makespan([problem.baseline.trial_s(length.images, epochs)] * problem.extra_runs, problem.workers)
    return Fit(epochs, fraction, length.iterations, _first_s(problem, list(names), length.images, epochs), extra_s)


def _first_s(problem: Problem, names: list[str], images: int, epochs: float) -> float:
    """Wall time of the first runs: the baseline's, and `FIRST_SEEDS` of each variant."""
    runs = [problem.baseline.trial_s(images, epochs)] * problem.baseline_runs(len(names))
    for name in names:
        runs += [problem.variants[name].trial_s(images, epochs)] * FIRST_SEEDS
    return makespan(runs, problem.workers)


def makespan(runs_s: Iterable[float], workers: int) -> float:
    """Wall time of runs in this order, each started by the first worker that is free."""
    free = [0.0] * max(1, workers)
    for run_s in runs_s:
        heapq.heapreplace(free, free[0] + run_s)
    return max(free)


def lengths(problem: Problem) -> Iterator[tuple[float, float]]:
    """Epochs and share of the images, from the longest training to the shortest that may be chosen; at least one."""
    pairs = _pairs(problem)
    yield next(pairs)
    yield from takewhile(lambda pair: _updates(problem.recipe, *pair) >= LEAST_UPDATES, pairs)


def _pairs(problem: Problem) -> Iterator[tuple[float, float]]:
    fixed, own = problem.train_fraction, problem.recipe.data.train_fraction
    most = own if fixed is None else fixed
    longest = problem.epochs or _longest(problem.recipe, most)
    yield longest, most
    least = 1 if fixed is not None else LEAST_EPOCHS
    if problem.epochs is None:
        for epochs in range(math.ceil(longest) - 1, least - 1, -1):
            yield float(epochs), most
    if fixed is None:
        for fraction in _fractions(most):
            yield min(longest, float(least)) if problem.epochs is None else longest, fraction


def _longest(recipe: Recipe, fraction: float) -> float:
    """The recipe's own epochs, or as many as `LEAST_UPDATES` take."""
    images = patch(recipe, {"data.train_fraction": fraction}).length.images
    return max(recipe.training.epochs, float(math.ceil(LEAST_UPDATES * recipe.training.batch_size / images)))


def _fractions(most: float) -> Iterator[float]:
    """Shares of two digits below `most`, falling."""
    for digits in range(2, 7):
        yield from (part / 10**digits for part in range(99, 9, -1) if part / 10**digits < most)


def _updates(recipe: Recipe, epochs: float, fraction: float) -> int:
    return patch(recipe, {"training.epochs": epochs, "data.train_fraction": fraction}).length.iterations


def _affordable(problem: Problem, shortest: Fit) -> tuple[str, ...]:
    """The most variants, cheapest first, whose first runs fit at the shortest length."""
    epochs, fraction = shortest.epochs, shortest.train_fraction
    images = patch(problem.recipe, shortest.settings).length.images
    cheapest = sorted(problem.variants, key=lambda name: problem.variants[name].trial_s(images, epochs))
    fits = (_fit(problem, cheapest[:number], epochs, fraction) for number in range(1, len(cheapest) + 1))
    fitting = sum(1 for _ in takewhile(lambda one: one.needed_s <= problem.budget_s, fits))
    return tuple(cheapest[:fitting])


def schedule_settings(patches: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A straight line to zero, unless one of the variants changes the schedule: then the study is about it."""
    about = any(path.startswith("schedule.") for changes in patches for path in changes)
    return {} if about else dict(LINEAR)
