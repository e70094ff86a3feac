"""What the verbs say about a trial that a process trains, and about one that no process trains any more."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from raysweep.errors import ElsewhereError
from raysweep.identity import recipe_json
from raysweep.planning import PlannedTrial
from raysweep.request import Request
from raysweep.store.claims import Claim
from raysweep.store.store import Store
from raysweep.sweeps.study_sweep import member_rows
from raysweep.train import run_trial
from raysweep.verbs.entry import raysweep

HERE = socket.gethostname()


def call(*words: object) -> Result:
    return CliRunner().invoke(raysweep, [str(word) for word in words])


def plan_of(store: Path | str) -> list[PlannedTrial]:
    return Request(("activation",), "demo", {}, variants=("elu",), store=str(store)).plan()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A study of two trials: the first has begun, the second has not."""
    store = Store.open(str(tmp_path / "store"), create=True)
    first, second = plan_of(store.uri)
    store.write_members(member_rows([first, second], "activation", "demo"))
    row = {"trial": first.trial, "status": "running", "seed": 0, "epochs": 3, "recipe": recipe_json(first.recipe)}
    store.write_trial(row | {"protocol": "demo"})
    return store


@pytest.fixture
def claim(store: Store) -> Iterator[Claim]:
    """The first trial is being trained."""
    claim = Claim(store.files, plan_of(store.uri)[0].trial)
    assert claim.take() == ""
    yield claim
    claim.release()


def test_without_a_claim_a_trial_is_interrupted(store: Store) -> None:
    first, _ = plan_of(store.uri)
    assert first.action == "resume"
    (row,) = json.loads(call("status", "--store", store.uri, "--json").output)
    assert (row["running"], row["interrupted"], row["waiting"]) == (0, 1, 1)
    shown = json.loads(call("show", first.trial, "--store", store.uri, "--json").output)
    assert shown["status"] == "interrupted"


def test_a_claimed_trial_runs_elsewhere_and_costs_nothing(store: Store, claim: Claim) -> None:
    first, second = plan_of(store.uri)
    assert (first.action, second.action) == ("wait", "run")
    assert f"elsewhere ({HERE}, since 2" in first.reason
    assert first.estimated_gpu_h == 0 < second.estimated_gpu_h
    (row,) = json.loads(call("status", "--store", store.uri, "--json").output)
    assert (row["running"], row["interrupted"], row["waiting"]) == (1, 0, 1)
    assert f"1 on {HERE}, since 2" in call("status", "--store", store.uri).output
    shown = json.loads(call("show", first.trial, "--store", store.uri, "--json").output)
    assert shown["status"] == "running"
    assert f"process {os.getpid()}" in shown["running_on"]


def test_a_trial_that_has_been_claimed_and_has_no_row_yet_runs_elsewhere(store: Store) -> None:
    _, second = plan_of(store.uri)
    claim = Claim(store.files, second.trial)
    assert claim.take() == ""
    assert [planned.action for planned in plan_of(store.uri)] == ["resume", "wait"]
    claim.release()


def test_a_claimed_trial_is_not_trained_alone(store: Store, claim: Claim, small_images: Path) -> None:
    done = call("trial", claim.name.trial, "--store", store.uri, "--data", small_images)
    assert isinstance(done.exception, ElsewhereError)
    assert f"process {os.getpid()}" in str(done.exception)


def test_a_trial_that_fails_alone_is_recorded_with_its_error(
    store: Store, small_images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*anything: Any, **more: Any) -> Iterator[dict[str, Any]]:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(run_trial, "run_trial", fail)
    first, _ = plan_of(store.uri)
    done = call("trial", first.trial, "--store", store.uri, "--data", small_images)
    assert done.exit_code == 1
    assert "by nothing" in done.stderr
    row = store.trial(first.trial) or {}
    assert row["status"] == "failed"
    assert "by nothing" in row["error"]
