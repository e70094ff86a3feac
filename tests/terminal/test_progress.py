from __future__ import annotations

from dataclasses import replace

import pytest

from raysweep.orchestrate.events import Event
from raysweep.planning import make_plan
from raysweep.protocols import find_protocol
from raysweep.store import waiting
from raysweep.study import find_study
from raysweep.terminal import progress
from raysweep.terminal.eta import Work
from raysweep.terminal.progress import Bars, Lines, SweepProgress

PLAN = make_plan([find_study("activation").only(["maxout_same_width"])], find_protocol("demo"), [0])
RELU, MAXOUT = (planned.trial for planned in PLAN)
LENGTH = PLAN[0].recipe.length


def epoch(trial: str, number: int = 1, wall_s: float = 2.0) -> Event:
    row = {
        "epoch": number,
        "planned_epochs": LENGTH.num_epochs,
        "iteration": LENGTH.end(number),
        "images_seen": LENGTH.end(number) * LENGTH.batch_size,
        "wall_s": wall_s,
        "top1": 0.1234,
        "train_loss": 2.3,
        "images_per_s": 1000.0,
        "data_wait_s": 0.1,
        "status": "running",
    }
    return Event("epoch", trial, row)


def test_eta_comes_from_measured_speed_and_cost() -> None:
    work = Work({planned.trial: planned for planned in PLAN})
    work.start(RELU)
    work.start(MAXOUT)
    assert work.eta_s() is None
    work.add(RELU, epoch(RELU, 1, wall_s=2.0).row)
    assert work.eta_s(RELU) == pytest.approx(2.0 * (LENGTH.num_epochs - 1), rel=0.02)
    times_dearer = PLAN[1].cost.macs / PLAN[0].cost.macs
    rest = 2.0 * (LENGTH.num_epochs - 1) + 2.0 * LENGTH.num_epochs * times_dearer
    assert work.eta_s() == pytest.approx(rest / 2, rel=0.02)
    work.end(RELU)
    work.end(MAXOUT)
    assert work.eta_s() == 0


def test_the_eta_counts_the_trials_that_run_and_not_the_workers_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with SweepProgress(PLAN) as shown:
        shown.on_event(Event("started", RELU))
        shown.on_event(epoch(RELU))
        alone = shown.work.eta_s()
        shown.on_event(Event("started", MAXOUT))
        both = shown.work.eta_s()
        assert alone is not None
        assert both == pytest.approx(alone / 2)
        shown.on_event(Event("retried", MAXOUT, text="its worker was killed"))
        assert shown.work.eta_s() == pytest.approx(both), "it will run again"
        shown.on_event(Event("finished", RELU, epoch(RELU, 4).row))
        shown.on_event(Event("started", MAXOUT))
        assert shown.work.eta_s() == pytest.approx(shown.work.eta_s(MAXOUT)), "only one is left"


def test_the_number_of_proposed_trials_may_change(capsys: pytest.CaptureFixture[str]) -> None:
    left = iter((9, 8, 2, 1))
    found = {planned.trial: planned for planned in PLAN}
    with SweepProgress([], found.__getitem__, {"nas": 12}, lambda: next(left)) as shown:
        shown.on_event(Event("started", RELU))
        assert (shown.work.total, shown.work.unknown) == (9, 8)
        shown.on_event(Event("finished", RELU, epoch(RELU, 4).row))
        shown.on_event(Event("started", MAXOUT))
        shown.on_event(Event("finished", MAXOUT, epoch(MAXOUT, 4).row))
    lines = capsys.readouterr().err.splitlines()
    assert lines[1].startswith("[1/9]")
    assert lines[3].startswith("[2/3]")


def test_plain_lines_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with SweepProgress(PLAN) as shown:
        assert isinstance(shown.view, Lines)
        shown.on_event(Event("note", text="2 trials at once"))
        shown.on_event(Event("started", RELU))
        shown.on_event(epoch(RELU))
        shown.on_event(epoch(RELU, 2))  # too soon after the first
        shown.on_event(Event("finished", RELU, epoch(RELU, 4).row))
        shown.on_event(Event("failed", MAXOUT, {"error": "Traceback"}, "ValueError: bad"))
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert lines[0] == "note  2 trials at once"
    assert lines[1] == f"{RELU} activation/relu seed 0  started"
    assert "epoch 1/4  top-1 12.3 %  loss 2.300  1,000 images/s  data wait 0.1 s, 5% of the time  ETA " in lines[2]
    assert lines[3].startswith(f"[1/2] {RELU} activation/relu seed 0  finished  top-1 12.3 %")
    assert "failed  ValueError: bad" in lines[4]
    assert len(lines) == 5
    assert "\x1b" not in captured.err


def test_waiting_for_images_is_reported_once_with_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    def waited(trial: str, number: int, wait_s: float) -> Event:
        row = epoch(trial, number).row
        return Event("epoch", trial, dict(row) | {"data_wait_s": wait_s})

    with SweepProgress(PLAN) as shown:
        shown.on_event(waited(RELU, 1, 1.9))  # a first epoch does not count
        shown.on_event(waited(RELU, 2, 0.19))  # too little to matter
        assert "bottleneck" not in capsys.readouterr().err
        shown.on_event(waited(RELU, 3, 0.82))
        shown.on_event(waited(MAXOUT, 2, 0.82))
    (note,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("note"))
    assert "41%" in note
    assert waiting.NEXT_STEP in note


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    with SweepProgress(PLAN) as shown:
        assert isinstance(shown.view, Bars)
        shown.on_event(Event("started", RELU))
        shown.on_event(epoch(RELU))
        shown.on_event(Event("diverged", RELU, epoch(RELU).row, "loss is not finite"))
        shown.on_event(epoch(MAXOUT))
        bars = {task.description.strip(): task for task in shown.view.progress.tasks}
        assert bars["activation"].completed == 1
        assert bars["activation"].total == 2
        assert bars["activation/maxout_same_width seed 0"].completed == 1
        assert "activation/relu seed 0" not in bars
    assert "diverged  loss is not finite" in capsys.readouterr().err


def test_the_eta_of_a_resumed_trial_is_that_of_what_is_left() -> None:
    resumed = [replace(planned, done=LENGTH.num_epochs - 1) for planned in PLAN]
    work, whole = (Work({planned.trial: planned for planned in plan}) for plan in (resumed, PLAN))
    for one in (work, whole):
        one.start(RELU)
        one.add(RELU, epoch(RELU, LENGTH.num_epochs).row)
    known, all_of_it = work.eta_s(MAXOUT), whole.eta_s(MAXOUT)
    assert known is not None
    assert all_of_it is not None
    assert known == pytest.approx(all_of_it / LENGTH.num_epochs, rel=0.02)
