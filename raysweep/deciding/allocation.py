"""What to run next: what most likely decides something for its cost, or what tells the best variants apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special

from raysweep.deciding.looks import LOOKS, Look
from raysweep.deciding.race import Job, Race
from raysweep.deciding.spread import GainError, Runs, Spread
from raysweep.deciding.verdicts import trained

AHEAD = 5  # looks; a variant that needs more of them is far from a decision
DRAWS = 4000


@dataclass(frozen=True, slots=True)
class Step:
    """Runs to be made next, and what they are worth for their cost."""

    jobs: list[Job]
    worth: float


def next_step(race: Race, affordable: float = math.inf) -> Step | None:
    """The next step of a race that costs at most `affordable`; None if nothing is open or nothing open is affordable.

    A variant with runs that are due already waits for them.
    """
    spread = race.spread()
    if spread is None:
        return None
    steps = _best(race, affordable) if race.question.goal == "best" else _all(race, spread, affordable)
    return max(steps, key=lambda step: step.worth, default=None)


def _idle(race: Race, name: str) -> bool:
    return len(race.values(name)) == race.targets[name]


def _all(race: Race, spread: Spread, affordable: float) -> Iterator[Step]:
    for name, verdict in race.verdicts.items():
        if verdict.outcome.decided or not _idle(race, name):
            continue
        ahead = [look for look in LOOKS if look.runs > verdict.runs][:AHEAD]
        whole = [(look, cost) for look in ahead if (cost := race.cost(race.needed(name, look.runs))) <= affordable]
        if whole:
            worth = max(chance(race, name, look, spread) / max(cost, 1e-9) for look, cost in whole)
            runs = ahead[0].runs
            yield Step(race.needed(name, runs), worth)


def chance(race: Race, name: str, look: Look, spread: Spread) -> float:
    """Probability that a look still to come decides about a variant, as far as its runs so far can tell."""
    variant, baseline = Runs.of(trained(race.values(name))), Runs.of(trained(race.values(race.question.baseline)))
    base = race.baseline_runs_of(look.runs)
    error = GainError.of(variant, baseline, spread)
    now = math.sqrt(sum(w * s**2 for w, s in zip(error.weights, error.scales, strict=True)))
    then = now * math.sqrt((1 / look.runs + 1 / base) / (1 / variant.n + 1 / baseline.n))
    half = -float(special.ndtri(race.level() * look.share / 2)) * then
    moves = math.sqrt(max(now**2 - then**2, 1e-12))
    gain, margin = variant.mean - baseline.mean, race.question.margin
    differs = special.ndtr((gain - half) / moves) + special.ndtr((-gain - half) / moves)
    equal = special.ndtr((margin - half - gain) / moves) - special.ndtr((half - margin - gain) / moves)
    return float(differs + max(equal, 0.0))


@dataclass(frozen=True, slots=True)
class Standing:
    """The variants that trained, with mean, standard error and draws of the true mean, (draws, variants)."""

    names: tuple[str, ...]
    means: np.ndarray
    errors: np.ndarray
    draws: np.ndarray

    @property
    def leader(self) -> int:
        """Position of the highest mean."""
        return int(np.argmax(self.means))

    def miss(self, margin: float) -> float:
        """Probability that some other variant is better than the leader by more than the margin."""
        others = np.delete(self.draws, self.leader, axis=1)
        return float((others.max(axis=1) > self.draws[:, self.leader] + margin).mean())

    def best(self) -> dict[str, float]:
        """Probability of each variant to be the best."""
        counts = np.bincount(self.draws.argmax(axis=1), minlength=len(self.names))
        return dict(zip(self.names, (counts / len(self.draws)).tolist(), strict=True))


def standing(race: Race) -> Standing | None:
    """Where the variants stand that trained in all their runs; None before any of them has two."""
    runs = {name: race.values(name) for name in race.question.variants}
    groups = {name: Runs.of(trained(values)) for name, values in runs.items() if values and None not in values}
    spread = race.spread()
    if spread is None or not groups:
        return None
    means = np.array([group.mean for group in groups.values()])
    errors = np.array([_standard_error(group, spread) for group in groups.values()])
    normal = np.random.default_rng(0).standard_normal((DRAWS, len(groups)))
    return Standing(tuple(groups), means, errors, means + errors * normal)


def _standard_error(group: Runs, spread: Spread) -> float:
    error = GainError.of(group, Runs(10**9, 0.0, 0.0), spread)
    return math.sqrt(sum(weight * scale**2 for weight, scale in zip(error.weights, error.scales, strict=True)))


def _best(race: Race, affordable: float) -> Iterator[Step]:
    """One more run of the leader or of a variant that may be better, worth the doubt it removes for its cost."""
    now = standing(race)
    if now is None or now.miss(race.question.margin) <= race.question.level:
        return
    leads = now.draws[:, [now.leader]]
    better = (now.draws > leads).mean(axis=0)
    better[now.leader] = np.delete(better, now.leader).max()
    for name, doubt, error in zip(now.names, better, now.errors, strict=True):
        runs = len(race.values(name)) + 1
        jobs = [(name, runs - 1)]
        if _idle(race, name) and runs <= LOOKS[-1].runs and race.cost(jobs) <= affordable:
            yield Step(jobs, float(doubt * error**2 / runs / race.cost(jobs)))
