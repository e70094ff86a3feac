from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.errors import RaysweepError
from raysweep.nas.driver import run_in_turn
from raysweep.nas.log import Event, EventLog, read_log
from tests.nas.searches import begin, ones

SEARCH = {"space": "bits", "seed": 0}
EVENTS = [
    Event("asked", 0, 0.0, "k", "0101", 3.0),
    Event("lost", 0, 1.5, cost_s=1.5),
    Event("told", 0, 4.0, status="finished", value=0.1 + 0.2, cost_s=2.5, epochs=3.0, macs=1e15),
    Event("asked", 1, 4.0, "ü", "1111"),
]


def write(path: Path) -> None:
    log = EventLog(path, SEARCH)
    for event in EVENTS:
        log.add(event)
    log.close()


def events(path: Path) -> list[Event]:
    log = EventLog(path, SEARCH)
    log.close()
    return log.events


def test_events_come_back_to_the_bit_and_as_a_table(tmp_path: Path) -> None:
    write(tmp_path / "log")
    assert events(tmp_path / "log") == EVENTS
    table = read_log(tmp_path / "log")
    assert [Event(**row) for row in table.to_pylist()] == EVENTS
    assert table.schema.metadata == {b"search": b'{"seed":0,"space":"bits"}'}


def test_an_end_torn_anywhere_is_cut_off_and_the_log_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = EventLog(path, SEARCH)
    ends = [path.stat().st_size]
    for event in EVENTS:
        log.add(event)
        ends.append(path.stat().st_size)
    log.close()
    whole = path.read_bytes()
    for length in range(ends[2], len(whole), 41):
        path.write_bytes(whole[:length])
        kept = EVENTS[: sum(end <= length for end in ends) - 1]
        assert events(path) == kept
        log = EventLog(path, SEARCH)
        log.add(EVENTS[0])
        log.close()
        assert events(path) == [*kept, EVENTS[0]]


def test_damage_before_the_end_is_refused_and_nothing_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path)
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"0101")] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(RaysweepError, match=r"log is damaged at byte .*truncate -s \d+ "):
        EventLog(path, SEARCH)
    assert path.read_bytes() == damaged


def test_what_is_no_log_or_one_of_another_search_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "log")
    with pytest.raises(RaysweepError, match="with seed 0, not 1: name another log"):
        EventLog(tmp_path / "log", SEARCH | {"seed": 1})
    (tmp_path / "text").write_text("my notes")
    with pytest.raises(RaysweepError, match="was not written by this raysweep"):
        EventLog(tmp_path / "text", SEARCH)
    assert (tmp_path / "text").read_text() == "my notes"
    (tmp_path / "file").write_text("")
    with pytest.raises(RaysweepError, match="cannot be written"):
        EventLog(tmp_path / "file" / "log", SEARCH)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log", SEARCH)
    with pytest.raises(RaysweepError, match="in use by another process"):
        EventLog(tmp_path / "log", SEARCH)
    log.close()
    EventLog(tmp_path / "log", SEARCH).close()


def test_a_killed_search_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
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
