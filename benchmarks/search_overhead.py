"""Proposals per second of searches that have 10,000 events behind them: ours, Optuna's and Nevergrad's.

5,000 cells of the NASNet space (40 decisions) have been proposed and evaluated; then one after another is proposed and
its value told. The value costs nothing. Ours also with the log on disk, which holds every event before the next one,
and with a tenth and ten times as many events behind: nothing may grow with the square of them.

Nevergrad is no dependency: pip install nevergrad.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._harness import measure, report, seconds
from raysweep.nas import Budget, Evaluation, cell_space
from raysweep.nas.ask_tell import AskTell
from raysweep.nas.method import make_method

SPACE = cell_space("nasnet")
SIZES = [len(decision.options) for decision in SPACE.decisions]
BEHIND, FURTHER, REPEATS = 5_000, 200, 5
"""Proposals evaluated before, and timed at each repeat."""
SLOW = 5
"""Timed of a peer that takes most of a second for one."""
Step = Callable[[], None]


def value(code: Sequence[int]) -> float:
    """Something to climb."""
    return sum((at + 1) * taken % 7 for at, taken in enumerate(code)) / 100


def rate(step: Step, further: int = FURTHER) -> Callable[[], float]:
    """Steps per second."""

    def steps() -> None:
        for _ in range(further):
            step()

    return lambda: further / seconds(steps)


def ours(method: str, behind: int = BEHIND, log: Path | None = None) -> Step:
    """One proposal of a search of ours, and its result."""
    search: AskTell[Any] = AskTell(SPACE, make_method(method), budget=Budget(evaluations=10**9), seed=0, log=log)

    def step() -> None:
        proposal = search.ask()
        assert proposal is not None
        search.tell(proposal.number, Evaluation(value(SPACE.encode(proposal.architecture)), 1.0))

    for _ in range(behind):
        step()
    return step


def optuna_sampler(make: Callable[[Any], Any]) -> Step:
    """One trial of a study of Optuna's, in memory, with the same number of trials behind."""
    import numpy as np
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    options = [optuna.distributions.CategoricalDistribution(range(size)) for size in SIZES]
    study = optuna.create_study(direction="maximize", sampler=make(optuna.samplers))

    def step() -> None:
        trial = study.ask()
        code = [trial.suggest_categorical(f"d{at:02}", range(size)) for at, size in enumerate(SIZES)]
        study.tell(trial, value(code))

    rng = np.random.default_rng(0)
    codes = (rng.integers(0, SIZES).tolist() for _ in range(BEHIND))
    names = [f"d{at:02}" for at in range(len(SIZES))]
    known: dict[str, optuna.distributions.BaseDistribution] = dict(zip(names, options, strict=True))
    study.add_trials(
        [
            optuna.trial.create_trial(
                params=dict(zip(names, code, strict=True)), distributions=known, value=value(code)
            )
            for code in codes
        ]
    )
    return step


def nevergrad(name: str) -> Step:
    """One candidate of an optimizer of Nevergrad's, which has evaluated as many before."""
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
    """Measure all sides in turn."""
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
    medians = {row.side: row.median for row in rows}
    peers = [side for side in medians if side.startswith(("Optuna", "Nevergrad"))]
    ratios = {
        f"evolution, log on disk, over {side}": medians["evolution, log on disk"] / medians[side] for side in peers
    }
    few, many = (medians[f"evolution, {count} events behind"] for count in ("1,000", "100,000"))
    report("search_overhead", "proposals/s", rows, ratios | {"100,000 events behind over 1,000": many / few})


if __name__ == "__main__":
    main()
