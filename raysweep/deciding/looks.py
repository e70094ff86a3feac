"""When the runs of a variant are looked at, and which share of the error each look may spend.

A look at the first n runs of a variant uses the first `baseline_runs(n, k)` runs of the baseline, and no other means.
It is therefore the same event whatever else has been run, in whichever order: no choice of what to run next, no stop
and no later continuation changes the probability that it errs. The shares are such that the probability of crossing
at any look at all stays below the level of the variant (computed by `crossing`, after Armitage, McPherson and Rowe
1969; the boundary is nearly constant, as Pocock's 1977, for up to 21 runs and wider after that).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import special

PROPORTIONAL_UP_TO = 6


class Look(NamedTuple):
    """A number of runs of a variant, and the nominal level of a test there as a share of the variant's level."""

    runs: int
    share: float


LOOKS = tuple(
    Look(runs, share)
    for runs, share in (
        (2, 0.05),
        (3, 0.11),
        (4, 0.18),
        (6, 0.19),
        (8, 0.19),
        (11, 0.19),
        (15, 0.18),
        (21, 0.09),
        (29, 0.06),
        (40, 0.04),
        (55, 0.03),
        (75, 0.03),
        (100, 0.03),
    )
)
FIRST_RUNS = LOOKS[0].runs


def baseline_runs(runs: int, variants: int) -> int:
    """Number of runs of the baseline that a look at `runs` runs of one of `variants` variants uses.

    For the first runs, when all variants are in the race, Dunnett's allocation (1955): the root of their number for
    each run of a variant. Later, when few are left, one for one.
    """
    proportional = math.ceil(math.sqrt(variants) * min(runs, PROPORTIONAL_UP_TO))
    return proportional + max(0, runs - PROPORTIONAL_UP_TO)


@dataclass(frozen=True, slots=True)
class Grid:
    """A density of a standardised statistic that has not crossed its boundary, on equidistant points."""

    at: np.ndarray
    density: np.ndarray

    def mass(self, values: np.ndarray) -> float:
        """The integral of `values` x density, by the trapezoidal rule."""
        return float(np.trapezoid(values * self.density, self.at))


def crossing(level: float, variants: int, looks: Sequence[Look] = LOOKS, points: int = 801) -> float:
    """Probability that a variant without any effect is called better or worse at one of the looks.

    `level` is the level of the variant. Normal runs of known variance; the difference of means at successive looks has
    independent increments in the information 1 / (1/n + 1/b(n)).
    """
    limits = [-special.ndtri(level * look.share / 2) for look in looks]
    information = [1 / (1 / look.runs + 1 / baseline_runs(look.runs, variants)) for look in looks]
    at = np.linspace(-limits[0], limits[0], points)
    grid = Grid(at, _normal(at))
    total = 2 * float(special.ndtr(-limits[0]))
    for step in range(1, len(looks)):
        ratio = math.sqrt(information[step - 1] / information[step])
        spread = math.sqrt(1 - ratio**2)
        mean, limit = ratio * grid.at, limits[step]
        total += grid.mass(special.ndtr((mean - limit) / spread) + special.ndtr((-limit - mean) / spread))
        at = np.linspace(-limit, limit, points)
        moved = _normal((at[:, None] - mean[None, :]) / spread) / spread
        grid = Grid(at, np.trapezoid(moved * grid.density, grid.at, axis=1))
    return total


def _normal(x: np.ndarray) -> np.ndarray:
    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
