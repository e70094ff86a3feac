"""Searches with shared weights on Ray: two side by side, one of whose workers is killed on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysweep.nas_trials.supernet_task import train_supernet, write_failure
from raysweep.orchestrate.ray_sweep import run_on_ray
from raysweep.sweeps.resources import Resources
from raysweep.sweeps.supernet_sweep import execute_supernets
from raysweep.train.task import Placement, TrialTask
from tests.nas_trials.supernets import found, prepare
from tests.orchestrate.conftest import RAYS_OWN_WARNINGS
from tests.orchestrate.fakes import Listener

pytestmark = [*RAYS_OWN_WARNINGS, pytest.mark.usefixtures("one_thread")]


def train_and_die(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """The first attempt at the first seed is gone without a word after an epoch."""
    for row in train_supernet(task, place, attempt):
        yield row
        if attempt == 1 and task.recipe.seed == 0:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.long
def test_a_killed_worker_changes_nothing_that_is_found(
    cluster: str, listener: Listener, small_images: Path, tmp_path: Path
) -> None:
    prepared = prepare(small_images, tmp_path / "ray", seeds=2)
    outcome = run_on_ray(
        prepared.left, listener.on_event, address=cluster, workers=2, train=train_and_die, record_end=write_failure
    )
    assert sorted(outcome.finished) == sorted(task.trial for task in prepared.tasks)
    (retried,) = [event for event in listener.events if event.kind == "retried"]
    assert retried.trial == prepared.tasks[0].trial
    execute_supernets(prepare(small_images, tmp_path / "whole", seeds=2), Resources(inline=True))
    assert found(tmp_path / "ray") == found(tmp_path / "whole")
