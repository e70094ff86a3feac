"""A store that is unavailable for a while: waited for by callers with patience, refused at once for all others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import RaysweepError
from raysweep.store import files as files_module
from raysweep.store.files import Files, Patience
from raysweep.store.store import Store

RETRIES = 3


class Time:
    """A clock that only pauses move; `back` runs after some of them, as a mount that is back."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses = 0
        self.back: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses += 1
        if self.pauses == RETRIES:
            self.back()


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(files_module, "time", clock)
    return clock


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def files(tmp_path: Path, told: list[str]) -> Files:
    found = Files.at(str(tmp_path / "store"), Patience(600.0, told.append))
    found.write("a/one", b"1")
    return found


def take_away(folder: Path) -> Callable[[], object]:
    """Put a file in the place of a folder; returns what brings the folder back."""
    elsewhere = folder.with_name("elsewhere")
    folder.rename(elsewhere)
    folder.write_text("")

    def bring_back() -> None:
        folder.unlink()
        elsewhere.rename(folder)

    return bring_back


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda files: files.find("a/one"), b"1"),
        (lambda files: files.write("a/two", b"2"), None),
        (lambda files: files.delete("a/one"), None),
    ],
)
def test_what_is_asked_while_the_store_is_unavailable_is_done_when_it_is_back(
    files: Files, told: list[str], tmp_path: Path, time: Time, act: Callable[[Files], Any], expected: Any
) -> None:
    time.back = take_away(tmp_path / "store")
    assert act(files) == expected
    assert time.pauses == RETRIES
    assert len(told) == 1, "once for each wait, however often it is tried"
    assert f"{tmp_path}/store" in told[0]
    assert "10 min" in told[0]


def test_patience_ends(files: Files, tmp_path: Path, told: list[str], time: Time) -> None:
    impatient = Files(files.uri, files.filesystem, files.root, Patience(5.0, told.append))
    take_away(tmp_path / "store")
    with pytest.raises(RaysweepError, match=r"a/two.*Not a directory"):
        impatient.write("a/two", b"2")
    assert len(told) == 1
    assert time.now >= 5.0


def test_what_is_missing_and_what_is_forbidden_is_not_waited_for(files: Files, told: list[str], time: Time) -> None:
    assert files.find("a/none") is None
    assert not told
    assert not time.pauses


def test_without_patience_an_error_is_raised_at_once(tmp_path: Path, time: Time) -> None:
    files = Files.at(str(tmp_path / "store"))
    files.write("a/one", b"1")
    take_away(tmp_path / "store")
    with pytest.raises(RaysweepError, match="a/one"):
        files.find("a/one")
    assert not time.pauses


def test_a_store_that_is_not_mounted_is_waited_for_and_not_created_again(
    tmp_path: Path, told: list[str], time: Time
) -> None:
    folder, mounted = tmp_path / "store", tmp_path / "elsewhere"
    Store.open(str(folder), create=True).write_checkpoint("a", b"old")
    store = Store.open(str(folder), patience=Patience(600.0, told.append))
    time.back = lambda: mounted.rename(folder)
    for act in (lambda: store.write_checkpoint("a", b"new"), lambda: Store.open(store.uri, patience=Patience(600.0))):
        folder.rename(mounted)
        time.pauses = 0
        act()
    assert store.read_checkpoint("a") == b"new"
    assert "store.json" in told[0]
