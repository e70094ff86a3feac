"""Proposals per second of searches after 10,000 events: raysweep, Optuna and Nevergrad.

5,000 cells of the NASNet space (40 decisions) have been proposed and evaluated; the benchmark then times further
proposals, one after another, with evaluations that cost nothing. raysweep is also measured with its log on disk, which
is synced after every event, and after a tenth of and ten times the number of events: the cost must not grow
quadratically.

Nevergrad is not a dependency: pip install nevergrad.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks._harness import measure, ratios, report, seconds
from raysweep.nas import Budget, Evaluation, cell_space
from raysweep.nas.ask_tell import AskTell
from raysweep.nas.method import make_method

SPACE = cell_space("nasnet")
SIZES = [len(decision.options) for decision in SPACE.decisions]
BEHIND, FURTHER, REPEATS = 5_000, 200, 5
"""Numbers of proposals before timing and in each timed repeat, and number of repeats."""
SLOW = 5
"""Proposals per timed repeat for libraries that need most of a second for one."""
Step = Callable[[], None]


def value(code: Sequence[int]) -> float:
    """A value to maximise."""
    return sum((at + 1) * taken % 7 for at, taken in enumerate(code)) / 100


def rate(step: Step, further: int = FURTHER) -> Callable[[], float]:
    """A function that measures steps per second."""

    def steps() -> None:
        for _ in range(further):
            step()

    return lambda: further / seconds(steps)


def ours(method: str, behind: int = BEHIND, log: Path | None = None) -> Step:
    """A function for one proposal of raysweep and its result."""
    search: AskTell[Any] = AskTell(SPACE, make_method(method), budget=Budget(evaluations=10**9), seed=0, log=log)

    def step() -> None:
        proposal = search.ask()
        assert proposal is not None
        search.tell(proposal.number, Evaluation(value(SPACE.encode(proposal.architecture)), 1.0))

    for _ in range(behind):
        step()
    return step


def optuna_sampler(make: Callable[[Any], Any]) -> Step:
    """A function for one trial of an in-memory Optuna study after the same number of trials."""
    import numpy as np
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sizes = {f"d{at:02}": size for at, size in enumerate(SIZES)}
    options = {name: optuna.distributions.CategoricalDistribution(range(size)) for name, size in sizes.items()}
    study = optuna.create_study(direction="maximize", sampler=make(optuna.samplers))

    def step() -> None:
        trial = study.ask()
        study.tell(trial, value([trial.suggest_categorical(name, range(size)) for name, size in sizes.items()]))

    rng = np.random.default_rng(0)
    for _ in range(BEHIND):
        code = rng.integers(0, SIZES).tolist()
        params = dict(zip(sizes, code, strict=True))
        study.add_trial(optuna.trial.create_trial(params=params, distributions=dict(options), value=value(code)))
    return step


def nevergrad(name: str) -> Step:
    """A function for one candidate of a Nevergrad optimizer after the same number of evaluations."""
    import nevergrad as ng

    code = ng.p.Tuple(*(ng.p.Choice(range(size)) for size in SIZES))
    code.random_state.seed(0)
    search = ng.optimizers.registry[name](code, budget=10**6)

    def step() -> None:
        candidate = search.ask()
        search.tell(candidate, -value(candidate.value))

    for _ in range(BEHIND):
        step()
    return step


def main() -> None:
    """Measure all libraries in turn."""
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "evolution": rate(ours("evolution")),
            "evolution, log on disk": rate(ours("evolution", log=Path(folder) / "log")),
            "evolution, 1,000 events behind": rate(ours("evolution", BEHIND // 10)),
            "evolution, 100,000 events behind": rate(ours("evolution", BEHIND * 10)),
            "local search": rate(ours("local_search")),
            "reinforce, tabular": rate(ours("reinforce")),
            "Nevergrad DiscreteOnePlusOne": rate(nevergrad("DiscreteOnePlusOne")),
            "Nevergrad DE": rate(nevergrad("DE")),
            "Optuna NSGA-II": rate(optuna_sampler(lambda samplers: samplers.NSGAIISampler(seed=0)), SLOW),
            "Optuna TPE": rate(optuna_sampler(lambda samplers: samplers.TPESampler(seed=0)), SLOW),
        }
        rows = measure(sides, REPEATS)
    pairs = [("evolution, log on disk", side) for side in sides if side.startswith(("Optuna", "Nevergrad"))]
    pairs.append(("evolution, 100,000 events behind", "evolution, 1,000 events behind"))
    report("search_overhead", "proposals/s", rows, ratios(rows, *pairs))


if __name__ == "__main__":
    main()
