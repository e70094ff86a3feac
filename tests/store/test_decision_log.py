"""Logs of questions: they continue, refuse other settings, and notice another writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import RaysweepError
from raysweep.store.decision_log import DecisionLog
from raysweep.store.files import Files

HEAD: dict[str, Any] = {"study": "activation", "variants": ("relu", "elu"), "settings": {"solver.lr": 0.01}}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files.at(str(tmp_path / "store"))


def test_a_log_continues_with_what_it_had(files: Files) -> None:
    log = DecisionLog(files, "q", HEAD)
    assert log.is_new
    log.add({"variant": "elu", "seed": 0, "value": 61.5})
    log.add({"verdict": "undecided", "variant": "elu"})
    again = DecisionLog(files, "q", HEAD)
    assert not again.is_new
    assert list(again.of_kind("seed")) == [{"variant": "elu", "seed": 0, "value": 61.5}]
    again.add({"stop": "the hours are used"})
    assert len(DecisionLog(files, "q", HEAD).rows) == 4


def test_other_settings_are_refused_with_their_values(files: Files) -> None:
    DecisionLog(files, "q", HEAD).add({"stop": ""})
    with pytest.raises(RaysweepError) as error:
        DecisionLog(files, "q", HEAD | {"settings": {"solver.lr": 0.02}})
    assert all(value in str(error.value) for value in ("solver.lr", "0.01", "0.02", "--store"))


def test_another_writer_is_noticed_and_loses_nothing(files: Files) -> None:
    slow, fast = DecisionLog(files, "q", HEAD), DecisionLog(files, "q", HEAD)
    fast.add({"seed": 0})
    with pytest.raises(RaysweepError, match="decisions/q.jsonl"):
        slow.add({"seed": 1})
    assert list(DecisionLog(files, "q", HEAD).of_kind("seed")) == [{"seed": 0}]


@pytest.mark.parametrize("content", [b"{", b"[1]\n", b'{"study": "activation"}\n', b"\xff\n"])
def test_a_damaged_log_is_refused(files: Files, content: bytes) -> None:
    files.write("decisions/q.jsonl", content)
    with pytest.raises(RaysweepError, match="decisions/q.jsonl"):
        DecisionLog(files, "q", HEAD)
