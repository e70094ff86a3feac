from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest

from benchmarks import _harness
from benchmarks._harness import Row, command_seconds, measure, ratios, report


def test_sides_are_measured_in_turn() -> None:
    numbers = count(1)
    rows = measure({"a": lambda: next(numbers), "b": lambda: -next(numbers)}, 3)
    assert rows == [Row("a", 3, 1, 5, 3), Row("b", -4, -6, -2, 3)]


def test_a_side_that_could_not_be_measured_has_no_ratio() -> None:
    rows = [Row.of("a", [6.0, 1.0, 8.0]), Row.of("b", [3.0])]
    assert ratios(rows, ("a", "b"), ("a", "missing")) == {"a over b": 2.0}


def test_a_report_is_printed_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_harness, "RESULTS", tmp_path)
    rows = [Row.of("a", [1.0, 2.0, 4.0]), Row.of("b", [8.0])]
    report("speed", "images/s", rows, ratios(rows, ("b", "a")), {"a": {"own MiB": 12345.0}})
    kept = json.loads((tmp_path / "speed.json").read_text())
    assert kept["rows"][0] == {"side": "a", "median": 2, "minimum": 1, "maximum": 4, "n": 3, "own MiB": 12345}
    assert kept["ratios"] == {"b over a": 4}
    assert kept["hardware"]["cores"] > 0
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines()] == [
        ["images/s", "median", "min", "max", "n", "own", "MiB"],
        ["a", "2", "1", "4", "3", "12,345"],
        ["b", "8", "8", "8", "1", "-"],
        ["b", "over", "a:", "4.00"],
    ]


def test_a_command_is_timed_as_a_process() -> None:
    assert command_seconds("--help") > 0
