"""Logs of architecture searches in stores: a file that is appended to, or an object that is put anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.errors import RaysweepError
from raysweep.nas.log import Event, EventLog
from raysweep.results.files import Files
from raysweep.results.search_log import ObjectLog, log_of
from raysweep.results.store import Store
from tests.architectures.trained import ask_for, open_all, run_all

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
    assert Files.at(uri).read("searches/name.log") == (tmp_path / "searches" / "name.log").read_bytes()


def test_two_drivers_of_a_search_on_object_storage_are_noticed(uri: str) -> None:
    one, other = (log_of(Files.at(uri), "name")(SEARCH) for _ in range(2))
    one.add(ASKED)
    with pytest.raises(RaysweepError, match="has been written by another driver"):
        other.add(ASKED)
    one.add(TOLD)
    with pytest.raises(RaysweepError, match="with seed 0, not 1"):
        log_of(Files.at(uri), "name")(SEARCH | {"seed": 1})


def test_a_search_on_object_storage_goes_on_where_it_was(uri: str, tmp_path: Path) -> None:
    for place in (uri, str(tmp_path)):
        for most in (3, 2, None):
            searches = open_all(ask_for(place, "evolution", budget="8"))
            run_all(searches, most)
            searches.next()
            searches.close()
    assert Store.open(uri).evaluations() == Store.open(str(tmp_path)).evaluations()
    assert len(Store.open(uri).evaluations()) == 8
