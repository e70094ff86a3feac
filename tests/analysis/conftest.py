from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.load import Line, load_lines
from analysis.published import published_top1
from raysweep.identity import recipe_json
from raysweep.plan import PlannedTrial
from raysweep.request import Request
from raysweep.results.store import Store
from raysweep.sweep import member_rows

EPOCHS = 4


def fill(store: Store, request: Request, **ends: str) -> list[PlannedTrial]:
    """Write made-up results of a study; `ends` gives variants another end than finished, by name."""
    plan = request.plan()
    store.write_members(member_rows(plan, "activation", request.protocol))
    noise, paper = np.random.default_rng(0), published_top1("activation")
    for planned in plan:
        end = ends.get(planned.members[0].variant, "finished")
        if end != "waiting":
            write(store, planned, end, paper.get(planned.members[0].variant, 0.4) + noise.normal(0, 0.01))
    return plan


def write(store: Store, planned: PlannedTrial, end: str, top1: float) -> None:
    """Write one trial's rows."""
    done = 2 if end == "running" else EPOCHS
    common: dict[str, Any] = {"wall_s": 2.0, "data_wait_s": 0.1, "images_per_s": 900.0}
    rows = [
        common | {"trial": planned.trial, "epoch": e, "top1": top1 * e / EPOCHS, "train_loss": 2.3 / e}
        for e in range(1, done + 1)
    ]
    store.write_epochs(planned.trial, rows)
    row = common | {
        "trial": planned.trial,
        "status": end,
        "seed": planned.recipe.seed,
        "recipe": recipe_json(planned.recipe),
        "top1": top1 if end == "finished" else None,
        "epochs": done,
        "diverged_epoch": 3 if end == "diverged" else None,
        "error": "Traceback\nValueError: <script>alert(1)</script>" if end == "failed" else None,
        "params": planned.cost.params,
        "macs": planned.cost.macs,
        "device": "cpu",
        "data_name": "made up",
        "git_commit": "0123abcd",
        "git_dirty": False,
    }
    store.write_trial(row)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three seeds of the activation study, with every end that a trial can have."""
    store = Store.open(str(tmp_path / "store"), create=True)
    request = Request(("activation",), "cifar10", {"training.epochs": 4.0}, seeds=3)
    fill(store, request, arcsinh="diverged", apl5="failed", selu="waiting", oplu="running")
    return store


@pytest.fixture
def line(store: Store) -> Line:
    """The one line of that store."""
    (line,) = load_lines(store, ["activation"])
    return line
