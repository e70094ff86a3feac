"""Errors that nothing in raysweep has foreseen."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from raysweep.verbs.list import KINDS
from tests.verbs.test_any_arguments import status_of

LIST = ["list", "studies"]


@pytest.fixture(autouse=True)
def _a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(of: str | None) -> list[dict[str, str]]:
        raise LookupError("no \x1b[31m such\nthing at s3://KEY:SECRET@bucket")

    monkeypatch.setitem(KINDS, "studies", fail)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_its_traceback_is_in_a_file_that_only_the_user_may_read(tmp_path: Path) -> None:
    status, output = status_of(LIST)
    (log,) = tmp_path.glob("raysweep-error-*.log")
    assert status == 1
    assert len(output.splitlines()) == 1
    assert all(word in output for word in ("LookupError", "\\x1b[31m", str(log)))
    assert "Traceback" in log.read_text()
    assert "SECRET" not in log.read_text() + output
    assert log.stat().st_mode & 0o777 == 0o600


def test_without_a_place_for_the_file_there_is_a_sentence_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    status, output = status_of(LIST)
    assert (status, len(output.splitlines())) == (1, 1)
    assert "RAYSWEEP_TRACEBACK" in output


def test_a_variable_prints_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYSWEEP_TRACEBACK", "1")
    assert "Traceback" in status_of(LIST)[1]
