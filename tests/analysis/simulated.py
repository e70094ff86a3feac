"""Pages of simulated studies: what is true is known, so claims can be counted as right or wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from raysweep.analysis.contrasts import Contrast, Contrasts, Floats, Group
from raysweep.deciding.verdicts import Outcome

Errors = Callable[[np.random.Generator, tuple[int, ...]], Floats]
SEEDS, BASELINE_SEEDS = 3, 5


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    drawn: Floats = rng.normal(size=shape)
    return drawn


@dataclass(frozen=True)
class World:
    """Gains of the variants of one baseline, in standard deviations of a run, and how runs err."""

    gains: Floats
    errors: Errors = normal
    noisy: float = 1.0
    """Standard deviation of the first variant in terms of the others'."""
    seed_sd: float = 0.0
    seeds: int = SEEDS

    def page(self, rng: np.random.Generator) -> tuple[Contrasts, list[Contrast]]:
        """One simulated page, and the contrast of each variant."""
        shift = self.seed_sd * rng.normal(size=BASELINE_SEEDS)
        base = group("baseline", self.errors(rng, (BASELINE_SEEDS,)) + shift)
        table = self.errors(rng, (len(self.gains), self.seeds))
        table[0] *= self.noisy
        table += self.gains[:, None] + shift[: self.seeds]
        own = [group(f"v{number}", values) for number, values in enumerate(table)]
        page = Contrasts([(one, base) for one in own], margin=1.0)
        return page, [page.contrast(one, base) for one in own]


def group(name: str, values: Floats | list[float], failed: int = 0, pool: str = "p") -> Group:
    """Runs of seeds 0, 1, 2, ..."""
    trials = frozenset(f"{name}-{seed}" for seed in range(len(values) + failed))
    return Group(trials, pool, {seed: float(value) for seed, value in enumerate(values)}, failed)


def wrong(found: Contrast, gain: float) -> bool:
    """Whether a claim is made that is not true."""
    untrue = {Outcome.BETTER: gain <= 0, Outcome.WORSE: gain >= 0, Outcome.EQUAL: abs(gain) >= 1.0}
    return any(found.verdict == verdict and lie for verdict, lie in untrue.items())


def missed(found: Contrast, gain: float) -> bool:
    """Whether the interval does not hold the true gain."""
    return abs(found.gain - gain) > found.half
