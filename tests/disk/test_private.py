from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from raysweep.disk.cache import cache_folder, ensure_home, recall, remember
from raysweep.disk.private import is_ours, is_trusted, own_folder, private_folder
from tests.disks import give_away


def test_a_private_folder_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o777)
    for name in ("new/er", "open"):
        assert stat.S_IMODE(private_folder(tmp_path / name).stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["link", "file", "foreign"])
def test_what_another_user_may_have_put_there_is_no_private_folder(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"raysweep-{os.geteuid()}"
    (tmp_path / "victim").mkdir()
    if kind == "link":
        path.symlink_to(tmp_path / "victim")
    elif kind == "file":
        path.touch()
    else:
        path.mkdir()
        give_away(path, monkeypatch)
    with pytest.raises(PermissionError):
        private_folder(path)
    other = own_folder([tmp_path])
    assert other.parent == tmp_path
    assert other.name not in (path.name, "victim")


def test_only_files_of_this_user_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert [is_ours(tmp_path / name) for name in ("file", "link")] == [True, False]
    assert is_trusted(tmp_path / "new")
    (tmp_path / "new").chmod(0o777)
    assert not is_trusted(tmp_path / "new")
    (tmp_path / "foreign").mkdir()
    for name in ("file", "foreign"):
        give_away(tmp_path / name, monkeypatch)
    assert not is_ours(tmp_path / "file")
    assert not is_trusted(tmp_path / "foreign")


@pytest.fixture
def unknown_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs with any user id: no entry in the list of users, no home."""

    def unknown(user: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {user}")

    monkeypatch.setattr("raysweep.disk.cache._temporary", lambda: own_folder([tmp_path]))
    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, "")  # for it to be restored
        monkeypatch.delenv(name)


@pytest.mark.parametrize("home", [None, "/proc/nowhere"])
def test_without_a_home_the_cache_is_among_temporary_files(
    home: str | None, unknown_user: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if home:
        monkeypatch.setenv("HOME", home)
    remember("costs", {"a": 1})
    assert recall("costs") == {"a": 1}
    assert cache_folder().parent == tmp_path


def test_a_process_without_a_home_gets_one(unknown_user: None, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        Path.home()
    ensure_home()
    assert Path.home().parent == tmp_path


def test_a_home_that_cannot_be_written_stays(
    unknown_user: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/proc/nowhere")
    ensure_home()
    assert os.environ["HOME"] == "/proc/nowhere"
    assert Path(os.environ["MPLCONFIGDIR"]).is_relative_to(tmp_path)
