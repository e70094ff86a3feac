"""Sweeps that a shortage of memory interrupts, without Ray."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raysweep.orchestrate import outlasting, ray_sweep
from raysweep.orchestrate.events import Event, OnEvent, Outcome
from raysweep.orchestrate.ray_sweep import ShortOfMemoryError
from raysweep.store.store import Store
from raysweep.sweeps.common import carry_out
from raysweep.sweeps.resources import Resources
from tests.orchestrate.fakes import Listener, make_tasks


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The trials and further arguments of each sweep on Ray; the first one ends a trial, and is then killed."""
    calls: list[dict[str, Any]] = []

    def run(tasks: Any, on_event: OnEvent, **more: Any) -> Outcome:
        calls.append({"trials": [task.trial for task in tasks], **more})
        if len(calls) == 1:
            on_event(Event("finished", "a"))
            raise ShortOfMemoryError("none left")
        return Outcome(finished=("b",))

    monkeypatch.setattr(ray_sweep, "run_on_ray", run)
    monkeypatch.setattr(outlasting, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda seconds: None))
    return calls


def test_the_rest_of_a_plan_is_trained_after_a_shortage(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    listener, about = Listener(), {"store": Store.open(str(tmp_path), create=True).uri}
    outcome = carry_out(make_tasks(tmp_path, "a", "b"), listener.on_event, Resources(), about)
    assert outcome == Outcome(finished=("a", "b"))
    assert [call["trials"] for call in asked] == [["a", "b"], ["b"]]
    assert any("none left" in event.text for event in listener.events)


def test_a_search_is_made_again_after_a_shortage(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    made: list[object] = []

    def on_ray() -> dict[str, Any]:
        made.append(object())
        return {"search": made[-1]}

    about = {"store": Store.open(str(tmp_path), create=True).uri}
    outcome = carry_out(iter(()), Listener().on_event, Resources(), about, on_ray)
    assert outcome == Outcome(finished=("a", "b"))
    assert [call["search"] for call in asked] == made
    assert len(made) == 2
