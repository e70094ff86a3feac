"""A question of `raysweep decide` in `status`, its live view, and the report, on generated images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import raysweep
from raysweep.pace import Pace
from raysweep.store.following import Following
from raysweep.store.store import Store
from raysweep.sweeps import measured_pace
from raysweep.terminal import watch_store
from raysweep.terminal.snapshot import Snapshot
from raysweep.verbs.entry import raysweep as command
from tests.analysis.raced import race_up


def call(*words: object) -> str:
    done = CliRunner().invoke(command, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.long
def test_what_decide_found_is_what_status_and_report_say(
    small_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = Pace(3000.0, 6000.0, 0.1, 1_000_000, 2, "2026-01-01")
    monkeypatch.setattr(measured_pace, "pace_here", lambda request, note, threads=1: pace)
    monkeypatch.setattr("raysweep.analysis.page.drawing.pictures", lambda line, out: [])
    small = {"protocol": "demo", "width": 0.0625, "epochs": 1, "variants": "elu", "inline": True}
    store = tmp_path / "s"
    decision = raysweep.decide("activation", budget="20s", data=small_images, store=store, **small)
    (answer,) = decision.answers
    rows = json.loads(call("status", "--store", store, "--json"))
    (question,) = next(row["decide"] for row in rows if row["study"] == "activation")
    steps = {step["step"]: step["text"] for step in question["steps"]}
    (verdict,) = question["verdicts"]
    assert (verdict["variant"], verdict["verdict"]) == ("elu", str(answer.verdict.outcome))
    assert (verdict["runs"], verdict["did_not_train"]) == (answer.verdict.runs, answer.verdict.failed)
    assert question["decided"] + question["open"] == 1
    assert question["stop"]
    assert question["stop"] in call("status", "--store", store)
    page = Path(call("report", "activation", "--store", store, "--out", tmp_path / "out").strip()).read_text()
    frame = raysweep.gains("activation", store=store).set_index("variant")
    assert frame.loc["elu", "verdict"] == str(answer.verdict.outcome)
    assert {"calibrate", "control"} <= steps.keys()
    if decision.final:
        assert steps["final"] == decision.final["text"]
    for warning in decision.warnings:
        assert f'<p class="warn">{warning}</p>' in page
    assert page.index(f"Stopped: {question['stop']}") < page.index("Numbers")


def test_status_and_its_live_view_say_what_was_found(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "s"), create=True)
    race_up(store, [{"step": "final", "text": "elu \x1b[31mwins"}], "all is decided")
    (Path(store.uri) / "decisions" / "old.jsonl").write_text("{}")
    printed = call("status", "--watch", "--store", store.uri)
    for words in ("activation/elu  better", "final: elu \\x1b[31mwins", "4 decided, 0 open", "old.jsonl"):
        assert words in printed
    plain = call("status", "--store", store.uri)
    assert plain.index("all is decided") < plain.index("better") < plain.index("equal")


def test_the_screen_has_the_questions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store.open(str(tmp_path / "s"), create=True)
    race_up(store, stop="all is decided [/bold]")
    following = Following(store)
    following.refresh()
    with watch_store.Screen(following) as screen:
        screen.show(Snapshot.of(following), [], [])
    shown = capsys.readouterr().out
    assert "prelu" in shown
    assert "decided" in shown
