"""A store that is away for a while: waited for by those who say so, refused at once for all others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import RaysweepError
from raysweep.store import files as files_module
from raysweep.store.files import Files, Patience
from raysweep.store.store import Store


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "FIRST_PAUSE_S", 0.02)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def files(tmp_path: Path, told: list[str]) -> Files:
    found = Files.at(str(tmp_path / "store"), Patience(20.0, told.append))
    found.write("a/one", b"1")
    return found


def take_away(folder: Path) -> Callable[[], Any]:
    """Put a file in the place of a folder; returns what brings the folder back after a while."""
    elsewhere = folder.with_name("elsewhere")
    folder.rename(elsewhere)
    folder.write_text("")

    def bring_back() -> None:
        folder.unlink()
        elsewhere.rename(folder)

    return threading.Timer(0.3, bring_back).start


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda files: files.read("a/one"), b"1"),
        (lambda files: files.write("a/two", b"2"), None),
        (lambda files: files.delete("a/one"), None),
    ],
)
def test_what_is_asked_while_the_store_is_away_is_done_when_it_is_back(
    files: Files, told: list[str], tmp_path: Path, act: Callable[[Files], Any], expected: Any
) -> None:
    take_away(tmp_path / "store")()
    assert act(files) == expected
    assert len(told) == 1, "once for each wait, however often it is tried"
    assert told[0].startswith(f"for the store {tmp_path}/store, for up to 0 min: ")


def test_patience_ends(files: Files, tmp_path: Path, told: list[str]) -> None:
    impatient = Files(files.uri, files.filesystem, files.root, Patience(0.05, told.append))
    take_away(tmp_path / "store")
    with pytest.raises(RaysweepError, match=r"cannot write a/two in the store .*Not a directory"):
        impatient.write("a/two", b"2")
    assert told


def test_what_is_not_there_and_what_is_forbidden_is_not_waited_for(files: Files, told: list[str]) -> None:
    with pytest.raises(RaysweepError, match="cannot read a/none"):
        files.read("a/none")
    assert not told


def test_without_patience_an_error_is_told_at_once(tmp_path: Path) -> None:
    files = Files.at(str(tmp_path / "store"))
    files.write("a/one", b"1")
    take_away(tmp_path / "store")
    with pytest.raises(RaysweepError, match="cannot read a/one"):
        files.read("a/one")


def test_a_store_that_is_not_mounted_is_waited_for_and_not_begun_anew(tmp_path: Path, told: list[str]) -> None:
    Store.open(str(tmp_path / "store"), create=True).write_checkpoint("a", b"old")
    store = Store.open(str(tmp_path / "store"), patience=Patience(20.0, told.append))
    mounted = tmp_path / "elsewhere"
    for act in (lambda: store.write_checkpoint("a", b"new"), lambda: Store.open(store.uri, patience=Patience(20.0))):
        (tmp_path / "store").rename(mounted)
        threading.Timer(0.3, mounted.rename, [tmp_path / "store"]).start()
        act()
    assert store.read_checkpoint("a") == b"new"
    assert "nothing is there, not even store.json" in told[0]
