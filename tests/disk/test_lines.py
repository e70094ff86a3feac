"""Files that grow by whole lines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raysweep.disk.lines import LineFile
from raysweep.disk.locks import LockedError


def refuse(content: bytes) -> bytes:
    raise ValueError(content)


def test_lines_are_appended_to_what_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a\nb\nunfinished")
    file = LineFile(path, lambda content: content[:4])
    file.append(b"c\n")
    file.close()
    assert path.read_bytes() == b"a\nb\nc\n"


def test_what_is_refused_stays_as_it_is_and_is_released(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"somebody's notes")
    with pytest.raises(ValueError, match="notes"):
        LineFile(path, refuse)
    assert path.read_bytes() == b"somebody's notes"
    LineFile(path, bytes).close()


def test_a_line_that_cannot_be_written_leaves_no_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LineFile(tmp_path / "log", lambda _: b"head\n")
    whole = os.pwrite
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", lambda descriptor, line, at: whole(descriptor, line[:2], at))
        with pytest.raises(OSError, match="full"):
            file.append(b"line\n")
    assert (tmp_path / "log").read_bytes() == b"head\n"
    file.append(b"line\n")
    assert (tmp_path / "log").read_bytes() == b"head\nline\n"
    file.close()


def test_one_process_at_a_time_has_it_open(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "log", bytes)
    with pytest.raises(LockedError):
        LineFile(tmp_path / "log", bytes)
    file.close()
