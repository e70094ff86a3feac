"""Compiled loops: kept in a file, loaded without numba, and built again where the file cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from raysweep.data import compiled
from raysweep.data.beton import RAW
from raysweep.data.kernels import cut, scratch

LOAD = """
import sys
from raysweep.data.compiled import loops
loops()
print("numba" in sys.modules, "torch" in sys.modules, "cv2" in sys.modules)
"""


def load(cache: Path) -> str:
    """What a new process says that keeps its code in this folder."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    found = subprocess.run([sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, check=True)
    return found.stdout.strip()


def test_the_first_process_compiles_and_later_ones_load_without_numba(tmp_path: Path) -> None:
    assert load(tmp_path) == "True False False"
    (code,) = tmp_path.glob("*.o")
    assert load(tmp_path) == "False False False"
    damaged = bytearray(code.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    code.write_bytes(damaged)
    assert load(tmp_path) == "True False False"
    assert compiled.read_code(code) is not None


def test_processes_that_start_together_compile_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(load, [tmp_path] * 2)) == ["False False False", "True False False"]


def test_code_is_kept_where_something_may_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(compiled, "compile_loops", lambda: made.append("compiled") or b"code")
    folders = [tmp_path / name for name in ("locked", "open")]
    monkeypatch.setattr(compiled, "code_folders", lambda: folders)
    monkeypatch.setattr(
        compiled, "_can_write", lambda folder: folder.name != "locked" and not folder.mkdir(exist_ok=True)
    )
    assert [compiled.stored_code() for _ in range(2)] == [b"code"] * 2
    assert (made, [len(list(folder.glob("*.o"))) for folder in folders]) == (["compiled"], [0, 1])
    monkeypatch.setattr(compiled, "_can_write", lambda folder: False)
    # What is there is used all the same.
    assert (compiled.stored_code(), made) == (b"code", ["compiled"])
    folders.pop()
    assert (compiled.stored_code(), made) == (b"code", ["compiled", "compiled"])


def test_the_key_is_another_for_another_source_or_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiled.code_key()
    assert compiled.code_key() == before
    monkeypatch.setattr(compiled.metadata, "version", lambda name: "0")
    assert compiled.code_key() != before


@pytest.mark.parametrize("wrong", ["kind", "order"])
def test_arrays_that_the_loops_would_misread_are_refused(wrong: str) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    where = np.zeros((1, 4), np.int32 if wrong == "kind" else np.int64)
    out = np.zeros((1, 4, 4, 3), np.uint8)
    sizes = [np.array([8], np.int64)] * 2
    addresses = np.array([0], np.uint64), np.array([192], np.uint64), np.array([RAW], np.uint8)
    with pytest.raises(TypeError, match="contiguous"):
        cut(
            image.reshape(-1),
            *addresses,
            *sizes,
            where,
            0,
            scratch(0),
            out if wrong == "kind" else out.transpose(0, 2, 1, 3)[:, :, ::2],
        )


def test_threads_that_come_first_at_once_use_the_same_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with loops of its own, those of the slower one would be freed while they run."""
    monkeypatch.setattr(compiled, "_made", [])
    at_once = threading.Barrier(4)

    def come(_: int) -> compiled.Loops:
        at_once.wait()
        return compiled.loops()

    with ThreadPoolExecutor(4) as threads:
        assert len(set(map(id, threads.map(come, range(4))))) == 1
