"""A store with a question of `raysweep decide` about made-up trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from raysweep.analysis.load import Line, load_lines
from raysweep.deciding.race import Race
from raysweep.planning import PlannedTrial
from raysweep.request import Request
from raysweep.store.store import Store
from raysweep.sweeps.study_sweep import member_rows
from tests.analysis.conftest import write
from tests.store.questions import ask

GAINS: Mapping[str, float] = {"elu": 6.0, "prelu": 4.0, "linear": -8.0, "relu_lrn": 0.1}
"""Points over the baseline; the seeds differ by a standard deviation of 0.6 points."""
RUNS, BASELINE_RUNS = 4, 8


def race_up(
    store: Store, steps: Iterable[Mapping[str, Any]] = (), stop: str = "", log: str = "question", **ends: str
) -> Race:
    """Write the trials of the activation study and the log of a question about them; `ends` as of `fill`."""
    settings = {"training.epochs": 4.0, "data.holdout": 0.1}
    request = Request(("activation",), "cifar10", settings, seeds=BASELINE_RUNS, variants=tuple(GAINS))
    plan = [one for one in request.plan() if one.recipe.seed < (RUNS if name(one) != "relu" else BASELINE_RUNS)]
    plan.sort(key=lambda one: one.recipe.seed)
    store.write_members(member_rows(plan, "activation", "cifar10"))
    noise, results = np.random.default_rng(1), []
    for one in plan:
        top1, end = 70 + GAINS.get(name(one), 0.0) + 0.6 * noise.normal(), ends.get(name(one), "finished")
        write(store, one, end, top1 / 100)
        results.append((name(one), one.recipe.seed, one.trial, top1 if end == "finished" else None))
    return ask(store.files, results, tuple(GAINS), steps=steps, stop=stop, name=log)


def name(planned: PlannedTrial) -> str:
    """The variant of a trial."""
    return planned.members[0].variant


def raced_line(store: Store) -> Line:
    """The line of the question."""
    (line,) = load_lines(store, ["activation"])
    return line
