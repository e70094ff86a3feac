from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.analysis.load import Line, load_lines
from raysweep.analysis.published import published_study
from raysweep.identity import recipe_json
from raysweep.planning import PlannedTrial
from raysweep.request import Request
from raysweep.store.store import Store
from raysweep.sweeps.study_sweep import member_rows

EPOCHS = 4
WAITS = {"linear_nopool": 0.82}
"""Seconds of 2 that a trial waits for images; 0.1 for others."""
SCRIPT = "<script>alert(1)</script>"


def fill(store: Store, request: Request, **ends: str) -> list[PlannedTrial]:
    """Write made-up results of a study; `ends` gives variants another end than finished, by name."""
    plan = request.plan()
    store.write_members(member_rows(plan, "activation", request.protocol))
    noise, paper = np.random.default_rng(0), published_study("activation", "relu")["published_top1"]
    for planned in plan:
        variant = planned.members[0].variant
        end = ends.get(variant, "finished")
        if end != "waiting":
            write(store, planned, end, paper.get(variant, 0.4) + noise.normal(0, 0.01))
    return plan


def write(store: Store, planned: PlannedTrial, end: str, top1: float) -> None:
    """Write one trial's rows."""
    done = {"running": 2, "diverged": 3, "failed": 0}.get(end, EPOCHS)
    common: dict[str, Any] = {"trial": planned.trial, "wall_s": 2.0, "data_wait_s": 0.1, "images_per_s": 900.0}
    common["data_wait_s"] = WAITS.get(planned.members[0].variant, common["data_wait_s"])
    rows = [
        {"epoch": e, "iteration": planned.recipe.length.end(e), "top1": top1 * e / EPOCHS, "train_loss": 2.3 / e}
        | common
        for e in range(1, done + 1)
    ]
    store.write_epochs(planned.trial, rows)
    row = common | {
        "status": end,
        "seed": planned.recipe.seed,
        "recipe": recipe_json(planned.recipe),
        "top1": top1 if end == "finished" else None,
        "epochs": done,
        "planned_epochs": EPOCHS,
        "diverged_epoch": 3 if end == "diverged" else None,
        "error": f"Traceback\nValueError: {SCRIPT}" if end == "failed" else None,
        "params": planned.cost.params,
        "macs": planned.cost.macs,
        "device": "cpu",
        "data_name": "made up",
        "git_commit": "0123abcd",
        "git_dirty": True,
        "versions": '{"ray": "2.60.0", "ffcv": null}',
        "started_at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        "updated_at": datetime(2026, 1, 2, 5, 6, tzinfo=UTC),
    }
    store.write_trial(row)


@pytest.fixture(scope="session")
def full_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three seeds of the activation study, with every end that a trial can have; read only."""
    store = Store.open(str(tmp_path_factory.mktemp("results") / "store"), create=True)
    request = Request(("activation",), "cifar10", {"training.epochs": 4.0}, seeds=3)
    fill(store, request, arcsinh="diverged", apl5="failed", selu="waiting", oplu="running")
    return store


@pytest.fixture(scope="session")
def line(full_store: Store) -> Line:
    """The one line of that store."""
    (line,) = load_lines(full_store, ["activation"])
    return line


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store of a test's own."""
    return Store.open(str(tmp_path / "store"), create=True)
