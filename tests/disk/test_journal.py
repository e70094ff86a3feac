from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.disk.journal import IMAGES, MAGIC, Journal, Record, begin_journal, read_journal
from raysweep.errors import RaysweepError

CONTENTS = [b"first", b"", bytes(100), b"last"]


def journal(folder: Path) -> Path:
    path = folder / "journal"
    made = begin_journal(path, b"job")
    made.add([Record(IMAGES, content) for content in CONTENTS[:2]])
    made.add([Record(IMAGES, content) for content in CONTENTS[2:]])
    made.close()
    return path


def contents(path: Path) -> list[bytes]:
    return [record.content for record in read_journal(path)]


def test_records_come_back_and_say_where_they_end(tmp_path: Path) -> None:
    path = journal(tmp_path)
    records = list(read_journal(path))
    assert [record.content for record in records] == [b"job", *CONTENTS]
    assert records[-1].end == path.stat().st_size
    assert [file.name for file in tmp_path.iterdir()] == ["journal"]


def test_a_torn_end_is_found_wherever_it_is_torn_and_cut_off(tmp_path: Path) -> None:
    path = journal(tmp_path)
    whole = path.read_bytes()
    ends = [record.end for record in read_journal(path)]
    for length in range(ends[0], len(whole)):
        path.write_bytes(whole[:length])
        found = list(read_journal(path))
        assert [record.end for record in found] == [end for end in ends if end <= length]
        again = Journal(path, found[-1].end)
        again.add([Record(IMAGES, b"more")])
        again.close()
        assert contents(path)[-2:] == [found[-1].content, b"more"]


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_ends_it_before(tmp_path_factory: pytest.TempPathFactory, at: int, change: int) -> None:
    path = journal(tmp_path_factory.mktemp("journal"))
    whole, ends = bytearray(path.read_bytes()), [record.end for record in read_journal(path)]
    at = ends[0] + at % (len(whole) - ends[0])
    whole[at] ^= change
    path.write_bytes(whole)
    assert len(contents(path)) == sum(end <= at for end in ends)


@pytest.mark.parametrize(
    "content", [b"", b"something else", MAGIC, MAGIC + b"x" * 50, MAGIC + Record(IMAGES, b"").to_bytes()]
)
def test_another_file_is_no_journal(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "journal").write_bytes(content)
    with pytest.raises(RaysweepError, match="not written by this raysweep"):
        contents(tmp_path / "journal")


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = journal(tmp_path)
    before = path.read_bytes()
    opened, write = Journal(path, len(before)), os.pwrite
    with monkeypatch.context() as patched:
        calls: list[int] = []

        def full(descriptor: int, data: bytes, at: int) -> int:
            calls.append(at)
            if len(calls) > 1:
                raise OSError("no space")
            return write(descriptor, data[:3], at)

        patched.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="no space"):
            opened.add([Record(IMAGES, b"more")])
    assert path.read_bytes() == before
    opened.add([Record(IMAGES, b"more")])
    assert contents(path)[-1] == b"more"
    opened.close()
