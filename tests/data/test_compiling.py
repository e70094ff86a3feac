from __future__ import annotations

import os
from pathlib import Path

import pytest
from numba.core import config

from raysweep.data.compiling import choose_cache
from tests.disks import give_away


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)


def test_code_is_kept_next_to_its_source_if_it_can_be(tmp_path: Path) -> None:
    assert choose_cache(tmp_path / "loops.py") == ""


def test_otherwise_in_the_cache_of_the_user(tmp_path: Path) -> None:
    found = Path(choose_cache(Path("/proc/1/loops.py")))
    assert found.is_relative_to(tmp_path / "cache")
    assert found.stat().st_mode & 0o77 == 0


@pytest.mark.parametrize("kind", ["foreign", "open"])
def test_code_of_others_is_not_executed(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shared"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(shared))
    assert choose_cache(tmp_path / "loops.py") == str(shared)
    if kind == "open":
        shared.chmod(0o777)
    else:
        (tmp_path / "cache").mkdir()
        give_away(shared, monkeypatch)
    with pytest.warns(RuntimeWarning, match=str(shared)):
        assert choose_cache(tmp_path / "loops.py") != str(shared)


def test_settings_in_the_working_directory_are_ignored(tmp_path: Path) -> None:
    """They could name a folder of compiled code."""
    assert Path.cwd() == tmp_path
    Path(".numba_config.yaml").write_text("cache_dir: /tmp\n")
    chosen = config.CACHE_DIR
    os.environ["NUMBA_DEBUG_TYPEINFER"] = "0"  # any change lets numba read its settings again
    try:
        config.reload_config()
        assert config.CACHE_DIR != "/tmp"
    finally:
        del os.environ["NUMBA_DEBUG_TYPEINFER"]
        config.reload_config()
        config.CACHE_DIR = chosen
