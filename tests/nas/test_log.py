"""The log of a search: JSON Lines that survive kills, and logs of earlier versions."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from raysweep.errors import RaysweepError
from raysweep.nas import NASBench201
from raysweep.nas.driver import run_in_turn
from raysweep.nas.log import Event, EventLog, read_log
from tests.nas.searches import begin, ones

SEARCH = {"space": "bits", "seed": 0}
EVENTS = [
    Event("asked", 0, 0.0, "k", "0101", 3.0),
    Event("lost", 0, 1.5, cost_s=1.5),
    Event("told", 0, 4.0, status="finished", value=0.1 + 0.2, cost_s=2.5, epochs=3.0, macs=1e15),
    Event("asked", 1, 4.0, "ü", "11\n11", math.inf),
]
OLD = Path(__file__).parents[2] / "docs/study/store/searches"


def write(path: Path) -> None:
    log = EventLog(path, SEARCH)
    for event in EVENTS:
        log.add(event)
    log.close()


def events(path: Path) -> list[Event]:
    log = EventLog(path, SEARCH)
    log.close()
    return log.events


def test_events_round_trip_exactly_as_one_json_object_per_line(tmp_path: Path) -> None:
    write(tmp_path / "log")
    assert events(tmp_path / "log") == read_log(tmp_path / "log") == EVENTS
    first, *lines = map(json.loads, (tmp_path / "log").read_text().split("\n")[:-1])
    assert first["search"] == SEARCH
    assert [line["kind"] for line in lines] == [event.kind for event in EVENTS]
    assert lines[1] == {"kind": "lost", "number": 0, "clock_s": 1.5, "cost_s": 1.5}
    assert [type(event.clock_s) for event in events(tmp_path / "log")] == [float] * len(EVENTS)


def test_a_torn_end_is_cut_off_and_the_log_continues(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = EventLog(path, SEARCH)
    ends = [path.stat().st_size]
    for event in EVENTS:
        log.add(event)
        ends.append(path.stat().st_size)
    log.close()
    whole = path.read_bytes()
    for length in range(0, len(whole), 11):
        path.write_bytes(whole[:length])
        kept = EVENTS[: max(sum(end <= length for end in ends) - 1, 0)]
        assert events(path) == kept
        log = EventLog(path, SEARCH)
        log.add(EVENTS[0])
        log.close()
        assert events(path) == [*kept, EVENTS[0]]


@pytest.mark.parametrize(
    ("old", "new"), [(b'"lost"', b'"lo\xff'), (b'"clock_s":1.5', b'"clock_t":1.5'), (b"1.5,", b'"x",')]
)
def test_damage_before_the_end_is_an_error_that_names_the_line(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = tmp_path / "log"
    write(path)
    damaged = path.read_bytes().replace(old, new, 1)
    path.write_bytes(damaged)
    with pytest.raises(RaysweepError, match=r"log.* line 3 of 5.*head -n 2"):
        EventLog(path, SEARCH)
    assert path.read_bytes() == damaged


def test_another_file_or_the_log_of_another_search_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "log")
    with pytest.raises(RaysweepError, match=r"log.* seed 0, not 1"):
        EventLog(tmp_path / "log", SEARCH | {"seed": 1})
    for text in ("my notes", "my notes\nof today\n", '{"a": 1}\n', "1\n", '{"raysweep search log": 3, "search": {}}\n'):
        (tmp_path / "text").write_text(text)
        with pytest.raises(RaysweepError, match="text"):
            EventLog(tmp_path / "text", SEARCH)
        assert (tmp_path / "text").read_text() == text
    (tmp_path / "file").write_text("")
    with pytest.raises(RaysweepError, match="file"):
        EventLog(tmp_path / "file" / "log", SEARCH)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log", SEARCH)
    with pytest.raises(RaysweepError, match="log .*another process"):
        EventLog(tmp_path / "log", SEARCH)
    log.close()
    EventLog(tmp_path / "log", SEARCH).close()


@pytest.mark.parametrize("old", sorted(OLD.glob("*.log")), ids=lambda path: path.stem)
def test_a_log_of_version_1_is_converted_and_replays_to_the_same_evaluations(tmp_path: Path, old: Path) -> None:
    _, _, method, seed, _ = old.stem.split("-")
    stored = pq.read_table(old.with_suffix(".parquet")).sort_by("place").to_pylist()
    path = Path(shutil.copy(old, tmp_path / "log"))
    path.write_bytes(old.read_bytes() + b"\x01\xff")  # killed while a record was written
    options = {"population": 8} if method == "evolution" else {}
    for _ in range(2):
        search = begin(method, 16, int(seed[1:]), path, NASBench201(), **options)
        search.close()
        assert [describe(vars(one)) for one in search.evaluations] == [describe(row) for row in stored]
        assert path.read_bytes().startswith(b'{"raysweep search log":2')
        assert read_log(path) == read_log(old)


def describe(row: Mapping[str, Any]) -> tuple[Any, ...]:
    value = row["value"] if row["value"] is not None and math.isfinite(row["value"]) else None
    names = ("number", "key", "fidelity", "cost_s", "status", "reused", "clock_s")
    return (str(row["architecture"]), value, *(row[name] for name in names))


def test_a_damaged_log_of_version_1_is_refused(tmp_path: Path) -> None:
    old = next(OLD.glob("*.log")).read_bytes()
    for damaged in (old[:40], old[:2000] + b"?" + old[2001:]):
        (tmp_path / "log").write_bytes(damaged)
        with pytest.raises(RaysweepError, match="log .*byte"):
            read_log(tmp_path / "log")


def test_a_killed_search_resumes_identically(tmp_path: Path) -> None:
    """Killed for real, in the middle of an evaluation."""
    whole = begin("evolution", 30, population=6, sample=3)
    run_in_turn(whole, ones)
    code = (
        "import os, signal; from pathlib import Path; from tests.nas.searches import begin, ones\n"
        "from raysweep.nas.driver import run_in_turn\n"
        f"search = begin('evolution', 30, log=Path({str(tmp_path / 'log')!r}), population=6, sample=3)\n"
        "def evaluate(bits):\n"
        "    if len(search.evaluations) > 11: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return ones(bits)\n"
        "run_in_turn(search, evaluate)\n"
    )
    root = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", code], cwd=root, check=False, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    resumed = begin("evolution", 30, log=tmp_path / "log", population=6, sample=3)
    assert len(resumed.evaluations) >= 12
    run_in_turn(resumed, ones)
    resumed.close()
    assert resumed.evaluations == whole.evaluations
