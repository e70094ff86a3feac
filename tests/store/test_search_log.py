"""Logs of architecture searches in stores: a file that is appended to, or an object that is put anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.errors import RaysweepError
from raysweep.nas.ask_tell import AskTell
from raysweep.nas.budget import Budget
from raysweep.nas.evaluation import Evaluated
from raysweep.nas.log import Event, EventLog, OpenLog, parse_log
from raysweep.nas.methods.supernet_methods import run_supernet
from raysweep.nas_trials.search_logs import ObjectLog, log_of
from raysweep.store.files import Files
from raysweep.store.store import Store
from tests.nas.test_supernet_methods import BITS, ENAS, KilledError, MadeUpWeights
from tests.nas_trials.trained import ask_for, open_all, run_all

SEARCH = {"space": "s", "seed": 0}
ASKED = Event("asked", 0, 0.0, "key", "one", None)
TOLD = Event("told", 0, 1.5, status="finished", value=0.25, cost_s=1.5)


def test_a_folder_and_object_storage_hold_the_same_bytes(uri: str, tmp_path: Path) -> None:
    for where in (uri, str(tmp_path)):
        log = log_of(Files.at(where), "name")(SEARCH)
        assert isinstance(log, ObjectLog if where == uri else EventLog)
        log.add(ASKED)
        log.add(TOLD)
        log.close()
        again = log_of(Files.at(where), "name")(SEARCH)
        assert list(again.events) == [ASKED, TOLD]
        again.close()
    assert Files.at(uri).find("searches/name.log") == (tmp_path / "searches" / "name.log").read_bytes()


def test_two_drivers_of_a_search_on_object_storage_are_noticed(uri: str) -> None:
    one, other = (log_of(Files.at(uri), "name")(SEARCH) for _ in range(2))
    one.add(ASKED)
    with pytest.raises(RaysweepError, match="searches/name.log.*another driver"):
        other.add(ASKED)
    one.add(TOLD)
    with pytest.raises(RaysweepError, match="seed 0, not 1"):
        log_of(Files.at(uri), "name")(SEARCH | {"seed": 1})


def test_a_lazy_log_is_written_when_flushed_or_closed(uri: str) -> None:
    files = Files.at(uri)
    log = log_of(files, "name", lazy=True)(SEARCH)
    log.add(ASKED)
    assert not files.exists("searches/name.log")
    log.flush()
    whole = files.find("searches/name.log")
    log.add(TOLD)
    assert files.find("searches/name.log") == whole
    log.close()
    again = log_of(files, "name", lazy=True)(SEARCH)
    assert list(again.events) == [ASKED, TOLD]
    again.flush()
    other = log_of(files, "name")(SEARCH)
    other.add(ASKED)
    again.add(ASKED)
    with pytest.raises(RaysweepError, match="searches/name.log.*another driver"):
        again.flush()


def test_a_log_of_version_1_on_object_storage_is_converted_with_its_next_event(uri: str) -> None:
    files, path = (
        Files.at(uri),
        next((Path(__file__).parents[2] / "docs/study/store/searches").glob("*-random-s0-*.log")),
    )
    files.write("searches/name.log", path.read_bytes())
    search = {"method": "RandomSearch()", "reuse": True, "seed": 0, "space": "nasbench201"}
    log = log_of(files, "name")(search)
    known = list(log.events)
    assert known == parse_log(path.read_bytes(), str(path), search).events
    log.close()
    assert files.find("searches/name.log") == path.read_bytes()
    log = log_of(files, "name")(search)
    log.add(ASKED)
    assert (files.find("searches/name.log") or b"").startswith(b'{"raysweep search log":2')
    assert list(log_of(files, "name")(search).events) == [*known, ASKED]


def test_scores_lost_by_a_lazy_log_are_repeated(uri: str, tmp_path: Path) -> None:
    """Killed anywhere: what is lost was scored with weights that are still there."""

    def run(weights: Path, log: OpenLog, most: int = 10**9) -> list[Evaluated[str]]:
        shared = MadeUpWeights(weights, ENAS.epochs, most)
        asking = AskTell(BITS, ENAS, budget=Budget(ENAS.evaluations), seed=3, log=log, reuse=False)
        run_supernet(asking, ENAS, shared)
        asking.close()
        return asking.evaluations

    whole = run(tmp_path / "weights", log_of(Files.at(str(tmp_path)), "whole"))
    for calls in range(1, 20, 3):
        lazy, weights = log_of(Files.at(uri), f"cut{calls}", lazy=True), tmp_path / f"weights{calls}"
        with pytest.raises(KilledError):
            run(weights, lazy, calls)
        assert run(weights, lazy) == whole


def test_a_search_on_object_storage_resumes(uri: str, tmp_path: Path) -> None:
    for place in (uri, str(tmp_path)):
        for most in (3, 2, None):
            searches = open_all(ask_for(place, "evolution", budget="8"))
            run_all(searches, most)
            searches.next()
            searches.close()
    assert Store.open(uri).evaluations() == Store.open(str(tmp_path)).evaluations()
    assert len(Store.open(uri).evaluations()) == 8
