"""What to run next: what most likely decides something for its cost, or what tells the best variants apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

from raysweep.deciding.looks import LOOKS, Look
from raysweep.deciding.race import Job, Race
from raysweep.deciding.spread import GainError, Runs, Spread

AHEAD = 5  # looks; a variant that needs more of them is far from a decision
DRAWS = 4000


@dataclass(frozen=True, slots=True)
class Step:
    """Runs to be made next, and what they are worth for their cost."""

    jobs: list[Job]
    worth: float


def next_step(race: Race, affordable: float = math.inf) -> Step | None:
    """The next step of a race that costs at most `affordable`; None if nothing is open or nothing open is affordable.

    A variant whose next look needs only runs that are due already waits for them.
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
        if verdict.outcome.decided or not _idle(race, name) or not (outlook := Outlook.of(race, name, spread)):
            continue
        ahead = [look for look in LOOKS if look.runs > verdict.runs][:AHEAD]
        if not (jobs := race.needed(name, ahead[0].runs)):
            continue  # the runs of the baseline that its next look needs are due
        worth = 0.0
        for look in ahead:
            if (cost := race.cost(race.needed(name, look.runs))) > affordable:
                break
            worth = max(worth, outlook.chance(look, race.baseline_runs_of(look.runs)) / max(cost, 1e-9))
        if worth:
            yield Step(jobs, worth)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the runs of a variant so far let expect of looks to come; `error` is the standard error of the gain."""

    variant: Runs
    baseline: Runs
    error: float
    level: float
    margin: float

    @classmethod
    def of(cls, race: Race, name: str, spread: Spread) -> Outlook | None:
        """The outlook of a variant; None if neither it nor the baseline trains."""
        variant, baseline = race.runs.get(name), race.runs.get(race.question.baseline)
        if variant is None or baseline is None:
            return None
        error = GainError.of(variant, baseline, spread).standard_error
        return cls(variant, baseline, error, race.level(), race.question.margin)

    def chance(self, look: Look, baseline_runs: int) -> float:
        """Probability that a look decides."""
        share = (1 / look.runs + 1 / baseline_runs) / (1 / self.variant.n + 1 / self.baseline.n)
        then = self.error * math.sqrt(min(share, 1.0))
        half = -float(special.ndtri(self.level * look.share / 2)) * then
        moves = math.sqrt(max(self.error**2 - then**2, 1e-12))
        gain, margin = self.variant.mean - self.baseline.mean, self.margin
        differs = _normal((gain - half) / moves) + _normal((-gain - half) / moves)
        equal = _normal((margin - half - gain) / moves) - _normal((half - margin - gain) / moves)
        return differs + max(equal, 0.0)


def _normal(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


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
        return self.top(1)

    def top(self, count: int) -> dict[str, float]:
        """Probability of each variant to be among the best `count`."""
        among = np.argsort(-self.draws, axis=1, kind="stable")[:, :count]
        counts = np.bincount(among.ravel(), minlength=len(self.names))
        return dict(zip(self.names, (counts / len(self.draws)).tolist(), strict=True))


def standing(race: Race) -> Standing | None:
    """Where the variants stand that trained in all their runs; None before any of them has two."""
    groups = {name: runs for name, runs in race.runs.items() if runs.n == len(race.values(name))}
    spread = race.spread()
    return standing_of(groups, spread) if spread and groups else None


def standing_of(groups: Mapping[str, Runs], spread: Spread) -> Standing:
    """Where variants stand by their runs."""
    means = np.array([group.mean for group in groups.values()])
    errors = np.array([GainError.of(group, None, spread).standard_error for group in groups.values()])
    normal = np.random.default_rng(0).standard_normal((DRAWS, len(groups)))
    return Standing(tuple(groups), means, errors, means + errors * normal)


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
