"""How many variants are decided rightly for how many trainings: `raysweep.race`, a fixed design, AdaStop and halving.

Simulated studies of several kinds, and studies whose seeds are drawn from the runs of the committed store. A fixed
design trains every variant SEEDS times and the baseline more often, by Dunnett's allocation, and uses his test. The
race gets 60 % of its trainings. AdaStop (Mathieu et al. 2023) compares every variant with the baseline, at most as
often. Successive halving only looks for the best variant, with as many trainings as the race.

An error is a wrong claim about any variant of a study: better, worse or equal where that is not so. A decision is right
if it is a claim and true; of a variant that fails to train, that it does. The best variant is found if what is picked
is at most the margin worse than the best one.

    pip install adastop tabulate  # otherwise without AdaStop
    python benchmarks/deciding.py [STUDIES [PROCESSES]]
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from statistics import fmean

import numpy as np

from benchmarks._harness import Row, report
from benchmarks.dunnett import critical
from raysweep.analysis.published import published
from raysweep.deciding.race import Question
from raysweep.deciding.racing import one_by_one, run_race
from raysweep.deciding.verdicts import Outcome
from raysweep.store.store import Store

STUDIES = 2000
ADASTOP_SHARE = 20  # of so many studies one also runs AdaStop, whose permutations take a hundred times as long
MARGIN, LEVEL, BUDGET = 1.0, 0.05, 0.6
SEEDS = {4: 16, 25: 16}
"""Number of variants -> runs of each in the fixed design."""
MOST_RUNS = 400
BASELINE = "baseline"


@dataclass(frozen=True)
class World:
    """A study whose truth is known: what each run of each variant gives; nan is a run that did not train."""

    gains: Mapping[str, float]
    """Variant -> true gain in points of runs that train; the baseline's is 0."""
    runs: Mapping[str, Sequence[float]]
    failing: frozenset[str] = frozenset()
    """Variants of which some runs fail to train."""

    @property
    def rivals(self) -> list[str]:
        """All variants but the baseline."""
        return [name for name in self.gains if name != BASELINE]

    def measure(self, name: str, seed: int) -> float:
        """The result of a run."""
        return self.runs[name][seed]

    def is_right(self, name: str, outcome: Outcome) -> bool:
        """Whether a claim is true."""
        gain = self.gains[name]
        truths = {
            Outcome.BETTER: gain > 0,
            Outcome.WORSE: gain < 0,
            Outcome.EQUAL: abs(gain) < MARGIN,
            Outcome.DID_NOT_TRAIN: name in self.failing,
        }
        return truths[outcome]

    def is_best(self, name: str) -> bool:
        """Whether a variant trains and no other one that does is better by more than the margin."""
        top = max(gain for other, gain in self.gains.items() if other not in self.failing)
        return name not in self.failing and self.gains[name] >= top - MARGIN


@dataclass
class Score:
    """What a design reached in one study."""

    error: bool
    right: float
    trainings: int
    found: bool | None = None

    @classmethod
    def of(cls, world: World, claims: Mapping[str, Outcome], trainings: int, best: str | None = None) -> Score:
        """The score of these claims; `best` is the variant that the design picks."""
        decided = {name: outcome for name, outcome in claims.items() if outcome is not Outcome.UNDECIDED}
        right = sum(world.is_right(name, outcome) for name, outcome in decided.items())
        return cls(right < len(decided), right / len(world.rivals), trainings, world.is_best(best) if best else None)


@cache
def published_gains() -> tuple[float, ...]:
    """Every published gain over the baseline of its study, in points."""
    rows = published()
    rows = rows[rows["top1"].notna()].drop_duplicates(["study", "variant"])
    first = rows.groupby("study")["top1"].transform("first")
    gains = 100 * (rows["top1"].astype(float) - first.astype(float))
    return tuple(gains[rows.duplicated("study")])


@dataclass(frozen=True)
class Simulated:
    """A kind of simulated study: normal runs; the first variant may be noisy, or fail to train in 1 of 4 runs."""

    sd: float = 1.0
    published: bool = True
    noisy: float = 1.0
    failing: bool = False

    def make(self, rng: np.random.Generator, variants: int) -> World:
        """One study with this many variants."""
        names = [f"v{number}" for number in range(variants)]
        gains = rng.choice(published_gains(), variants) if self.published else np.zeros(variants)
        runs = {name: gain + rng.normal(0, self.sd, MOST_RUNS) for name, gain in zip(names, gains, strict=True)}
        runs["v0"] = gains[0] + self.noisy * (runs["v0"] - gains[0])
        if self.failing:
            runs["v0"] = np.where(rng.random(MOST_RUNS) < 0.25, np.nan, runs["v0"])
        runs[BASELINE] = rng.normal(0, self.sd, MOST_RUNS)
        truth = {BASELINE: 0.0} | dict(zip(names, map(float, gains), strict=True))
        return World(truth, runs, frozenset(["v0"] if self.failing else []))


@cache
def stored_runs() -> dict[str, dict[str, list[float]]]:
    """Study -> variant -> top-1 (percent) of its runs: studies of the committed store with four variants or more."""
    from raysweep.analysis.load import ALL, load_lines

    lines = load_lines(Store.open("docs/study/store"), [ALL])
    found: dict[str, dict[str, list[float]]] = {}
    for line in lines:
        frame = line.trials[line.trials["status"] == "finished"]
        runs = {str(name): (100 * group).tolist() for name, group in frame.groupby("variant")["top1"]}
        runs = {name: values for name, values in runs.items() if len(values) > 2}
        if line.baseline in runs and len(runs) > 4:
            found[line.study] = {BASELINE: runs.pop(line.baseline)} | runs
    return found


def replayed(rng: np.random.Generator) -> World:
    """A study of the store; each run is drawn from those of its variant, and the truth is their mean."""
    studies = stored_runs()
    study = studies[sorted(studies)[rng.integers(len(studies))]]
    reference = float(np.mean(study[BASELINE]))
    gains = {name: float(np.mean(values)) - reference for name, values in study.items()}
    return World(gains, {name: rng.choice(values, MOST_RUNS).tolist() for name, values in study.items()})


SIMULATED = {
    "no differences, SD 1": Simulated(published=False),
    "no differences, one variant 5 times as noisy": Simulated(published=False, noisy=5.0),
    "published gains, SD 1.0": Simulated(),
    "published gains, SD 1.8": Simulated(sd=1.8),
    "published gains, one variant 5 times as noisy": Simulated(noisy=5.0),
    "published gains, one variant fails in 1 of 4": Simulated(failing=True),
}


def kinds() -> dict[str, Callable[[np.random.Generator], World]]:
    """Kind of study -> how one is made."""
    simulated: dict[str, Callable[[np.random.Generator], World]] = {
        f"{variants} variants, {name}": partial(kind.make, variants=variants)
        for variants in SEEDS
        for name, kind in SIMULATED.items()
    }
    return simulated | {"runs of the committed store": replayed}


def fixed_sizes(world: World) -> tuple[int, int]:
    """Runs of each variant and of the baseline in the fixed design."""
    runs = SEEDS.get(len(world.rivals), 16)
    return runs, math.ceil(math.sqrt(len(world.rivals)) * runs)


def total(world: World) -> int:
    """Trainings of the fixed design."""
    runs, baseline = fixed_sizes(world)
    return runs * len(world.rivals) + baseline


def fixed(world: World) -> Score:
    """The fixed design with Dunnett's test and one pooled variance; equal if an interval lies within the margin."""
    runs, base = fixed_sizes(world)
    values = {name: _trained(world, name, base if name == BASELINE else runs) for name in world.gains}
    squares = sum(float(((v - v.mean()) ** 2).sum()) for v in values.values())
    df = sum(len(v) - 1 for v in values.values())
    bound = critical(np.full(len(world.rivals), math.sqrt(runs / (runs + base))), df, 1 - LEVEL)
    half = bound * math.sqrt(squares / df * (1 / runs + 1 / base))
    gains = {name: float(v.mean() - values[BASELINE].mean()) for name, v in values.items()}
    claims = {name: _claim(gains[name] - half, gains[name] + half) for name in world.rivals}
    claims |= {name: Outcome.DID_NOT_TRAIN for name in world.rivals if len(values[name]) < runs}
    picked = max(
        (name for name in gains if claims.get(name) is not Outcome.DID_NOT_TRAIN), key=lambda name: gains[name]
    )
    return Score.of(world, claims, total(world), picked)


def _trained(world: World, name: str, runs: int) -> np.ndarray:
    return np.array([value for value in world.runs[name][:runs] if not math.isnan(value)])


def _claim(low: float, high: float) -> Outcome:
    if low > 0:
        return Outcome.BETTER
    if high < 0:
        return Outcome.WORSE
    return Outcome.EQUAL if low > -MARGIN and high < MARGIN else Outcome.UNDECIDED


def race(world: World, goal: str) -> Score:
    """The race with 60 % of the trainings of the fixed design."""
    question = Question(tuple(world.gains), BASELINE, MARGIN, LEVEL, goal)
    found = run_race(question, world.measure, BUDGET * total(world), None, None, one_by_one)
    return Score.of(world, found.verdicts, len(found.trials), found.best)


def adastop(world: World) -> Score | None:
    """AdaStop with groups of a quarter of the fixed design's runs, at most four of them; None without the package."""
    try:
        from adastop import MultipleAgentsComparator
    except ImportError:
        return None

    group = fixed_sizes(world)[0] // 4
    names = list(world.gains)
    if world.failing:
        return None  # it has no notion of a failure
    against = [(names.index(BASELINE), names.index(name)) for name in world.rivals]
    test = MultipleAgentsComparator(n=group, K=4, B=1000, comparisons=np.array(against), alpha=LEVEL, seed=0)
    decided: dict[str, str] = {}
    while not test.is_finished:
        given = {name: np.asarray(world.runs[name][: group * (test.k + 1)]) for name in names}
        test.partial_compare(given, verbose=False)
        decided = {name: test.decisions[str(np.array(pair))] for name, pair in zip(world.rivals, against, strict=True)}
    meaning = {"larger": Outcome.WORSE, "smaller": Outcome.BETTER}  # it is the baseline that is larger
    claims = {name: meaning.get(word, Outcome.UNDECIDED) for name, word in decided.items()}
    return Score.of(world, claims, sum(test.n_iters.values()))


def halving(world: World) -> Score:
    """Successive halving (Jamieson and Talwalkar 2016): the better half by mean stays, with twice the runs."""
    left = list(world.gains)
    rounds = max(1, math.ceil(math.log2(len(left))))
    used, runs, budget = 0, 0, BUDGET * total(world)
    for _ in range(rounds):
        more = int(budget / rounds / len(left))
        runs, used = runs + more, used + more * len(left)
        means = {name: np.nan_to_num(np.mean(world.runs[name][:runs]), nan=-np.inf) for name in left}  # failed: last
        left = sorted(left, key=lambda name: -means[name])[: math.ceil(len(left) / 2)]
    return Score.of(world, {}, used, left[0])


DESIGNS: dict[str, Callable[[World], Score | None]] = {
    "fixed": fixed,
    "race": partial(race, goal="all"),
    "race for the best": partial(race, goal="best"),
    "AdaStop": adastop,
    "halving": halving,
}


@dataclass
class Tally:
    """Scores of one design over many studies."""

    scores: list[Score] = field(default_factory=list)

    def row(self, side: str) -> tuple[Row, dict[str, float]]:
        """Share decided rightly, and the further columns."""
        columns = {
            "error %": 100 * fmean(score.error for score in self.scores),
            "trainings": fmean(score.trainings for score in self.scores),
        }
        if found := [score.found for score in self.scores if score.found is not None]:
            columns["best found %"] = 100 * fmean(found)
        right = [100 * score.right for score in self.scores]
        return Row.of(side, right), {"right % (mean)": fmean(right)} | columns


def study(kind: str, number: int) -> dict[str, Score | None]:
    """One study under every design."""
    world = kinds()[kind](np.random.default_rng([number, *kind.encode()]))
    designs = {name: run for name, run in DESIGNS.items() if name != "AdaStop" or number % ADASTOP_SHARE == 0}
    return {name: run(world) for name, run in designs.items()}


def main(studies: int = STUDIES, processes: int = 2) -> None:
    """Simulate all kinds."""
    rows: list[Row] = []
    columns: dict[str, dict[str, float]] = {}
    with ProcessPoolExecutor(processes) as pool:
        for kind in kinds():
            tallies = {name: Tally() for name in DESIGNS}
            for found in pool.map(partial(study, kind), range(studies), chunksize=10):
                for name, score in found.items():
                    if score is not None:
                        tallies[name].scores.append(score)
            for name, tally in tallies.items():
                if tally.scores:
                    row, columns[f"{kind}: {name}"] = tally.row(f"{kind}: {name}")
                    rows.append(row)
            print(f"{kind}: {studies} studies", flush=True)
    report("deciding", "% decided rightly", rows, {}, columns)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
