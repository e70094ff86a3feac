from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import ElsewhereError, RaysweepError
from raysweep.orchestrate import inline
from raysweep.orchestrate.events import Outcome
from raysweep.orchestrate.inline import run_inline
from raysweep.train.task import Placement, TrialTask
from tests.orchestrate.fakes import Listener, make_row, make_tasks, train_nothing


@pytest.fixture
def listener() -> Listener:
    return Listener()


def test_trials_run_in_order_and_a_failing_one_does_not_stop_the_rest(tmp_path: Path, listener: Listener) -> None:
    tasks = make_tasks(tmp_path, "a", "bad", "diverged", "b")
    outcome = run_inline(tasks, listener.on_event, train=train_nothing, record_end=listener.record_end)
    assert outcome == Outcome(finished=("a", "b"), diverged=("diverged",), failed=("bad",))
    assert listener.kinds("a") == ["started", "epoch", "epoch", "epoch", "finished"]
    assert listener.kinds("bad") == ["started", "epoch", "retried", "epoch", "failed"]
    assert listener.kinds("diverged")[-1] == "diverged"
    assert list(listener.recorded) == ["bad"]


def test_a_failure_is_recorded_with_its_traceback_and_reported_in_one_line(tmp_path: Path, listener: Listener) -> None:
    run_inline(make_tasks(tmp_path, "bad"), listener.on_event, train=train_nothing, record_end=listener.record_end)
    status, error = listener.recorded["bad"]
    assert status == "failed"
    assert error is not None
    assert "Traceback" in error
    assert listener.events[-1].text == "ValueError: bad cannot go on"


def test_a_user_error_is_not_tried_again(tmp_path: Path, listener: Listener) -> None:
    def train(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
        raise RaysweepError("26 outputs for 28 classes")
        yield {}

    run_inline(make_tasks(tmp_path, "a"), listener.on_event, train=train, record_end=listener.record_end)
    assert listener.kinds("a") == ["started", "failed"]


def test_a_second_attempt_can_succeed(tmp_path: Path, listener: Listener) -> None:
    def train(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
        if attempt == 1:
            raise OSError("the disk is gone")
        yield make_row(task.trial, 1, 1)

    outcome = run_inline(make_tasks(tmp_path, "a"), listener.on_event, train=train, record_end=listener.record_end)
    assert outcome.finished == ("a",)
    assert listener.kinds("a") == ["started", "retried", "epoch", "finished"]


def test_a_trial_without_a_final_status_has_failed(tmp_path: Path, listener: Listener) -> None:
    def train(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
        yield make_row(task.trial, 1)

    outcome = run_inline(make_tasks(tmp_path, "a"), listener.on_event, train=train, record_end=listener.record_end)
    assert outcome.failed == ("a",)
    assert "final status" in str(listener.recorded["a"][1])


def test_an_interruption_closes_the_running_trial_first(tmp_path: Path, listener: Listener) -> None:
    closed = []

    def train(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
        try:
            yield make_row(task.trial, 1)
            raise KeyboardInterrupt
        finally:
            closed.append(task.trial)

    with pytest.raises(KeyboardInterrupt):
        run_inline(make_tasks(tmp_path, "a", "b"), listener.on_event, train=train, record_end=listener.record_end)
    assert closed == ["a"]
    assert listener.kinds("b") == []
    assert listener.recorded == {}


def test_the_module_loads_neither_torch_nor_ray() -> None:
    code = "import sys, raysweep.orchestrate.inline; sys.exit(bool({'torch', 'ray'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_trial_that_runs_elsewhere_comes_last_and_its_result_counts(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the other process finishes it (a), or dies so that it is trained here (b)."""
    monkeypatch.setattr(inline, "LOOK_S", 0)
    looks: list[str] = []

    def train(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
        looks.append(task.trial)
        if task.trial in ("a", "b") and looks.count(task.trial) < 3:
            raise ElsewhereError(task.trial, "node7")
        yield make_row(task.trial, 3)

    tasks = make_tasks(tmp_path, "a", "b", "c")
    outcome = run_inline(tasks, listener.on_event, train=train, record_end=listener.record_end, max_attempts=1)
    assert outcome == Outcome(finished=("a", "b", "c"))
    assert looks == ["a", "b", "c", "a", "b", "a", "b"]
    assert listener.kinds("a") == ["started", "elsewhere", "epoch", "finished"]
    assert "node7" in next(event.text for event in listener.events if event.kind == "elsewhere")
    assert listener.recorded == {}


def test_a_trial_that_was_lost_to_another_process_is_no_failure(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "LOOK_S", 0)
    lost = iter([True, False])

    def train(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
        yield make_row(task.trial, 1)
        if next(lost):
            raise ElsewhereError(task.trial, "node7", lost=True)
        yield make_row(task.trial, 3)

    outcome = run_inline(make_tasks(tmp_path, "a"), listener.on_event, train=train, max_attempts=1)
    assert outcome.finished == ("a",)


def test_a_task_that_depends_on_a_trial_elsewhere_waits_for_it(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "LOOK_S", 0)
    looks: list[str] = []

    def train(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
        looks.append(task.trial)
        if looks == ["a"]:
            raise ElsewhereError(task.trial, "node7")
        yield make_row(task.trial, 3)

    first, second = make_tasks(tmp_path, "a", "b")
    run_inline(iter([first, None, second]), listener.on_event, train=train)
    assert looks == ["a", "a", "b"]
