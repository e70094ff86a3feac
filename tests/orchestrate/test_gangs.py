"""Threads of gangs that are added while a sweep ends, without Ray."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raysweep.orchestrate import gangs as module
from raysweep.orchestrate.gangs import Gangs
from raysweep.train.worker import Gang, GangShape
from tests.orchestrate.fakes import train_nothing

Started = list[str]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """Names of the gangs that were started; each runs until the sweep stops."""
    names = Started()
    monkeypatch.setattr(module.ray, "get", lambda answer: answer)
    monkeypatch.setattr(Gangs, "_keep", lambda self, gang: (names.append(gang.name), self.stopping.wait()))
    monkeypatch.setattr(Gangs, "_free", lambda self, prefix: None)
    return names


def gang(name: str) -> Gang:
    return Gang(name, GangShape(), None, train_nothing)


def gangs(enlist: Any = lambda name, wide: None) -> Gangs:
    return Gangs(SimpleNamespace(enlist=SimpleNamespace(remote=enlist)), Path(), "boot")


def test_a_gang_that_is_added_when_the_sweep_has_stopped_does_not_start(started: Started) -> None:
    """The thread that adds gangs was in the middle of a check when the sweep ended."""
    late = threading.Event()
    all_gangs = gangs(lambda name, wide: name == "late" and late.wait(10))
    all_gangs.add(gang("early"))
    adding = threading.Thread(target=all_gangs.add, args=(gang("late"),))
    adding.start()
    all_gangs.stop(10)
    late.set()
    adding.join(10)
    assert started == list(all_gangs.threads) == ["early"]
    assert not any(thread.is_alive() for thread in all_gangs.threads.values())


def test_gangs_can_be_added_while_others_are_waited_for(started: Started) -> None:
    all_gangs = gangs()
    all_gangs.add(gang("gang-0"))
    adding = threading.Thread(target=lambda: [all_gangs.add(gang(f"gang-{number}")) for number in range(1, 50)])
    adding.start()
    all_gangs.stop(10)
    adding.join(10)
    assert set(started) == set(all_gangs.threads)
    assert not any(thread.is_alive() for thread in all_gangs.threads.values())
