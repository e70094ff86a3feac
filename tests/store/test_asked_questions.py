"""Logs of questions as those read them who follow: unfinished, of later versions, and damaged."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from raysweep.deciding.verdicts import UNSEEN, Outcome
from raysweep.store.asked_questions import AskedQuestion, AskedQuestions, asked_questions
from raysweep.store.files import Files
from tests.store.questions import ask

TOPS = {"relu": 70.0, "elu": 77.0, "tanh": 70.2}
RESULTS = [
    (variant, seed, f"{variant}{seed}", None if (variant, seed) == ("tanh", 1) else top1 + 0.1 * seed)
    for seed in range(3)
    for variant, top1 in TOPS.items()
]
HEAD = '{"raysweep decide":1,"study":"s","variants":["a","b"],"baseline":"a","margin":1.0,"level":0.05}\n'


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files.at(str(tmp_path / "store"))


def the_only(files: Files) -> AskedQuestion:
    problems: list[str] = []
    (found,) = asked_questions(files, problems.append)
    assert not problems
    return found


def test_verdicts_are_those_of_the_race_at_every_line(files: Files) -> None:
    race = ask(files, RESULTS, ("elu", "tanh"))
    found = the_only(files)
    assert (found.study, found.baseline, found.margin, found.stop) == ("activation", "relu", 1.0, "")
    for name, verdict in race.verdicts.items():
        assert found.verdicts[name].outcome == verdict.outcome
        assert found.verdicts[name].gain == pytest.approx(verdict.gain, abs=1e-4)
        assert (found.verdicts[name].runs, found.verdicts[name].failed) == (verdict.runs, verdict.failed)
    assert found.verdicts["tanh"].outcome == Outcome.DID_NOT_TRAIN
    assert found.trials["elu"] == ["elu0", "elu1", "elu2"]
    assert (found.decided + found.open, found.runs, found.clock_s) == (2, 9, 81)


def test_a_question_may_have_just_begun(files: Files) -> None:
    ask(files, [], ("elu",))
    found = the_only(files)
    assert (found.verdicts, found.open, found.clock_s, found.runs) == ({"elu": UNSEEN}, 1, 0.0, 0)
    assert "2 h" in found.why[0]
    (files.local(found.name) or Path()).write_text(HEAD)
    assert the_only(files).why == []


def test_a_question_that_was_continued_is_in_progress_again(files: Files) -> None:
    ask(files, RESULTS, ("elu", "tanh"), stop="the time is used")
    assert the_only(files).stop == "the time is used"
    with (files.local(the_only(files).name) or Path()).open("a") as log:
        log.write('{"variant":"elu","seed":3,"trial":"elu3","value":1.0,"clock_s":4000}\n')
    assert (the_only(files).stop, the_only(files).clock_s) == ("", 4000)


def test_what_later_versions_write_breaks_nothing(files: Files) -> None:
    steps: list[dict[str, Any]] = [
        {"step": "control", "control": "more images", "outcome": "passed", "text": "passed", "gain": 4, "new": {}},
        {"step": "teleport", "variant": "elu", "gain": "much"},
        {"verdict": "magnificent", "variant": "elu"},
        {"verdict": "better", "variant": "nobody"},
        {"step": "rate", "study": "another of the same command", "text": "not about this one"},
        {"unheard": "of"},
    ]
    ask(files, RESULTS, ("elu", "tanh"), steps=steps)
    control, teleport = the_only(files).steps
    assert (control.number("gain"), teleport.variant, teleport.text) == (4.0, "elu", "")
    assert math.isnan(teleport.number("gain"))
    assert the_only(files).verdicts["elu"].outcome in set(Outcome)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[1]\n",
        b'{"raysweep decide":2}\n',
        HEAD.replace('"a"]', "7]").replace('["a","b"]', "[7]").encode(),
        HEAD.replace("1.0", '"1"').encode(),
        HEAD.replace(',"margin":1.0', "").encode(),
        HEAD.encode() + b'{"variant":"b","seed":0,"value":1}\n',
        HEAD.encode() + b'{"verdict":"better","variant":"b","gain":1}\n',
        HEAD.encode() + b'{"clock_s":1' + b"0" * 400 + b"}\n",
        b"[" * 100_000,
    ],
)
def test_a_damaged_log_is_named_and_the_rest_is_shown(files: Files, content: bytes) -> None:
    ask(files, [], ("elu", "tanh"))
    files.write("decisions/bad\x1b.jsonl", content)
    problems: list[str] = []
    assert [one.study for one in asked_questions(files, problems.append)] == ["activation"]
    (problem,) = problems
    assert "decisions/bad\\x1b.jsonl" in problem


def test_only_logs_that_have_changed_are_read_again(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(files, [], ("elu", "tanh"))
    ask(files, [], ("average",), "max", study="pooling")
    read: list[str] = []
    find = files.find
    monkeypatch.setattr(files, "find", lambda name: (read.append(name), find(name))[1])
    questions = AskedQuestions(files, print)
    assert [one.study for one in questions.refresh()] == ["activation", "pooling"]
    assert questions.refresh() == questions.refresh()
    assert len(read) == 2
    ask(files, [("max", 0, "max0", 50.0)], ("average",), "max", study="pooling", name="again")
    assert [one.study for one in questions.refresh()] == ["activation", "pooling", "pooling"]
    assert len(read) == 4  # twice the new log: its writer reads it first
    files.delete("decisions/activation-question.jsonl")
    assert [one.study for one in questions.refresh()] == ["pooling", "pooling"]
