"""The compiled inner loops: numba's cache of them, and their results against NumPy's and torch's at the edges."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from raysweep.data.beton import RAW
from raysweep.data.loops import cut, normalise, scratch

LOAD = """
import numpy as np
from raysweep.data import loops
functions = loops.cut, loops.unpack, loops._normalise
assert loops.normalise(np.full((1, 3, 3, 3), 5, np.uint8), [1.0], 2.0).sum() == 27 * 8
print(*(sum(getattr(f.stats, name).values()) for name in ("cache_hits", "cache_misses") for f in functions))
"""
COMPILED, LOADED = "0 0 0 1 1 1", "1 1 1 0 0 0"


def load(cache: Path, **environment: str) -> str:
    """Import the loops in a new process with this cache folder; returns their cache hits and misses."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)} | environment
    command = [sys.executable, "-W", "error", "-c", LOAD]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.long
def test_the_second_process_loads_what_the_first_has_compiled(tmp_path: Path) -> None:
    assert [load(tmp_path) for _ in range(2)] == [COMPILED, LOADED]


@pytest.mark.long
def test_processes_that_compile_at_once_both_work(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert len(list(pool.map(load, [tmp_path] * 2))) == 2
    assert load(tmp_path) == LOADED


def test_loops_work_without_a_folder_for_the_cache(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    only = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    assert load(tmp_path / "file" / "cache", **only) == COMPILED
    assert load(tmp_path / "cache", **only) == COMPILED


@pytest.mark.long
@pytest.mark.parametrize(("suffix", "length"), [("nbi", 0), ("nbc", 200)])
def test_loops_work_with_a_damaged_cache(tmp_path: Path, suffix: str, length: int) -> None:
    load(tmp_path)
    damaged = list(tmp_path.rglob(f"*.{suffix}"))
    assert len(damaged) == 3
    for path in damaged:
        path.write_bytes(path.read_bytes()[:length])
    assert load(tmp_path) == COMPILED


@pytest.mark.parametrize("wrong", ["kind", "order"])
def test_arrays_of_another_kind_or_order_are_refused(wrong: str) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    where = np.zeros((1, 4), np.int32 if wrong == "kind" else np.int64)
    out = np.zeros((1, 4, 4, 3), np.uint8)
    tables = [np.array([value], kind) for value, kind in ((0, np.uint64), (192, np.uint64), (RAW, np.uint8))]
    sides = [np.array([8], np.int64)] * 2
    target = out if wrong == "kind" else out.transpose(0, 2, 1, 3)[:, :, ::2]
    with pytest.raises(TypeError, match="int32" if wrong == "kind" else "4d, A"):
        cut(image.reshape(-1), *tables, *sides, where, 0, scratch(0), target)


def by_numpy(image: NDArray[np.uint8], side: int, top: int, left: int, mirrored: bool, pad: int) -> NDArray[np.uint8]:
    room = max(side, pad) + pad
    whole = np.pad(image, ((room, room), (room, room), (0, 0)))
    crop = whole[room - pad + top :, room - pad + left :][:side, :side]
    return crop[:, ::-1] if mirrored else crop


@given(
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    side=st.integers(1, 20),
    pad=st.integers(0, 24),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    mirrored=st.booleans(),
)
def test_a_crop_is_numpys(
    size: tuple[int, int], side: int, pad: int, place: tuple[float, float], mirrored: bool
) -> None:
    """The image is the whole store; a second picture after the crop tells whether anything beyond it is written."""
    rows, columns = size
    image = np.random.default_rng(rows * columns).integers(1, 256, (rows, columns, 3), np.uint8)
    top, left = (round(share * max(0, length + 2 * pad - side)) for share, length in zip(place, size, strict=True))
    guarded = np.full((2, side, side, 3), 77, np.uint8)
    counts = {"dtype": np.int64}
    done = cut(
        image.reshape(-1),
        np.array([0], np.uint64),
        np.array([image.size], np.uint64),
        np.array([RAW], np.uint8),
        *(np.array([length], **counts) for length in size),
        np.array([[0, top, left, mirrored]], **counts),
        pad,
        scratch(0),
        guarded[:1],
    )
    assert done == 1
    np.testing.assert_array_equal(guarded[0], by_numpy(image, side, top, left, mirrored, pad))
    assert (guarded[1] == 77).all()


@pytest.mark.parametrize("shape", [(2, 7, 9, 3), (3, 5, 5, 1), (1, 64, 64, 3), (0, 4, 4, 3)])
@pytest.mark.parametrize("mean", [(124.0, 117.0, 104.0), (117.64,)])
def test_normalised_pixels_are_torchs_to_the_bit(shape: tuple[int, ...], mean: tuple[float, ...]) -> None:
    if len(mean) == 3 and shape[-1] == 1:
        mean = mean[:1]
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    pixels = torch.from_numpy(images).float()
    for scale in (0.04, 0.027, 1.0):
        expected = pixels.sub(torch.tensor(mean)).mul(scale)
        assert torch.equal(torch.from_numpy(normalise(images, mean, scale)), expected)


def test_every_grey_level_is_normalised_as_torch_does() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 256, 1, 1).repeat(3, axis=3)[:, ::-1]
    for mean in np.random.default_rng(1).uniform(0, 255, (20, 3)).tolist():
        expected = torch.from_numpy(levels.copy()).float().sub(torch.tensor(mean)).mul(0.04)
        assert torch.equal(torch.from_numpy(normalise(levels, mean, 0.04)), expected)


def test_a_target_that_would_have_to_be_copied_is_refused() -> None:
    with pytest.raises(ValueError, match="copy"):
        normalise(np.zeros((2, 4, 4, 3), np.uint8), [1.0], 1.0, np.zeros((2, 4, 8, 3), np.float32)[:, :, ::2])
