"""The probability of a wrong claim, by simulated studies; benchmarks/deciding.py has more of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from raysweep.deciding.race import Question
from raysweep.deciding.racing import RaceResult, one_by_one, run_race

Errors = Callable[[np.random.Generator, int], np.ndarray]
VARIANTS, BUDGET = 6, 120
RIVALS = tuple(f"v{number}" for number in range(VARIANTS))


def skewed(rng: np.random.Generator, runs: int) -> np.ndarray:
    return (rng.gamma(4.0, 1.0, runs) - 4.0) / 2.0


def run(rng: np.random.Generator, errors: Errors, gains: np.ndarray, noisy: float = 1.0) -> RaceResult:
    runs = {name: gain + errors(rng, 110) for name, gain in zip(RIVALS, gains, strict=True)}
    runs["v0"] = gains[0] + noisy * (runs["v0"] - gains[0])
    runs["baseline"] = errors(rng, 200)
    question = Question(("baseline", *RIVALS), "baseline", margin=1.0)
    return run_race(question, lambda name, seed: float(runs[name][seed]), BUDGET, None, None, one_by_one)


def wrong(found: RaceResult, gains: np.ndarray) -> bool:
    """Whether a race makes any claim that is not true, or has an interval without the true gain where it claims."""
    truths = {"better": gains > 0, "worse": gains < 0, "equal": np.abs(gains) < 1.0, "undecided": gains == gains}
    return not all(truths[found.verdicts[name]][place] for place, name in enumerate(RIVALS))


def normal(rng: np.random.Generator, runs: int) -> np.ndarray:
    return rng.normal(size=runs)


@pytest.mark.long
@pytest.mark.parametrize(
    ("errors", "gains", "noisy"),
    [
        (normal, np.zeros(VARIANTS), 1.0),
        (normal, np.zeros(VARIANTS), 5.0),
        (skewed, np.zeros(VARIANTS), 1.0),
        (normal, np.array([0.0, 1.0, -1.0, 4.0, -8.0, 0.2]), 1.0),
        (normal, np.ones(VARIANTS), 1.0),  # exactly at the margin: equal is wrong
    ],
)
def test_at_most_five_of_a_hundred_races_make_a_wrong_claim(errors: Errors, gains: np.ndarray, noisy: float) -> None:
    studies = 400
    mistakes = sum(
        wrong(run(np.random.default_rng([1, number]), errors, gains, noisy), gains) for number in range(studies)
    )
    assert stats.binomtest(mistakes, studies, 0.05, alternative="greater").pvalue > 0.01


def test_a_few_races_without_differences_make_no_claim() -> None:
    gains = np.zeros(VARIANTS)
    assert sum(wrong(run(np.random.default_rng([2, number]), normal, gains), gains) for number in range(20)) <= 4
