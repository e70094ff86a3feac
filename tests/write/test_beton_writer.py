from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raysweep.data.beton import JPG, read_beton
from raysweep.data.image_file import ImageFile
from raysweep.data.manifest import read_manifest
from raysweep.data.stream import TestStream
from raysweep.write import beton_writer
from raysweep.write.beton_writer import BetonWriter, page_size
from raysweep.write.encode import STORED, jpeg
from raysweep.write.sources import open_source
from raysweep.write.write_sets import write_images
from tests.images import Folder, noise, tiny

CROP = 20


@pytest.mark.parametrize("encoding", ["jpg", pytest.param("mixed", marks=pytest.mark.long)])
def test_ffcv_reads_the_same_pixels_and_labels_as_we_do(
    class_folder: Folder, tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images of many sizes over many pages, one of them larger than the pages the file was begun with."""
    monkeypatch.setattr(beton_writer, "PAGE", 1 << 15)
    sizes = [(20 + 7 * k % 40, 24 + 11 * k % 70) for k in range(60)]
    files = {
        f"train/{'cat' if k % 3 else 'dog'}/{k:02}.png": Image.fromarray(noise(*size, seed=k))
        for k, size in enumerate(sizes)
    }
    huge = {"train/cat/25h.png": Image.fromarray(noise(150, 160))}
    write_images(open_source(str(class_folder(tiny() | files | huge))), tmp_path / "out", encoding=encoding)
    folder, manifest = tmp_path / "out", read_manifest(tmp_path / "out")
    ours = crops(folder)
    theirs = read_by_ffcv(folder / "train.beton", tmp_path)
    for way in ("mapped", "pages", "page-random"):
        np.testing.assert_array_equal(theirs[f"{way} images"], ours[0])
        np.testing.assert_array_equal(theirs[f"{way} labels"], ours[1])
    assert len(theirs["metadata"]) == manifest.splits["train"].images == 65
    assert int(theirs["pages"]) == (1 << 15 if encoding == "jpg" else 1 << 17)
    places = theirs["places"]
    ends, page = places["ptr"] + places["size"] - np.uint64(1), np.uint64(theirs["pages"])
    np.testing.assert_array_equal(places["ptr"] // page, ends // page)
    assert len(np.unique(places["ptr"] // page)) > (3 if encoding == "jpg" else 1)
    assert theirs["jpeg"].tobytes() == jpeg(ours[0][0], 90)


def crops(folder: Path) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    file = ImageFile.open(folder, read_manifest(folder), "train")
    batch = TestStream(file, side=CROP, batch_size=file.num_images).batch(0)
    return batch.images, batch.labels


def read_by_ffcv(path: Path, tmp_path: Path) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    command = [sys.executable, "-m", "tests.write.ffcv_reads", str(path), str(tmp_path / "ffcv.npz"), str(CROP)]
    subprocess.run(command, check=True, timeout=200, cwd=Path(__file__).parents[2])
    with np.load(tmp_path / "ffcv.npz") as found:
        return dict(found)


def stored(sizes: list[int]) -> np.ndarray:  # type: ignore[type-arg]
    rows = np.zeros(len(sizes), STORED)
    rows["size"], rows["mode"] = sizes, JPG
    rows["height"] = rows["width"] = 1
    return rows


BATCHES = [[3000, 1000], [], [200, 4000, 1], [9000], [16384, 100]]
SIZES = list(chain(*BATCHES))


def write(path: Path, order: Sequence[int], *, finished: bool = True) -> None:
    """Write these batches of images, in this order."""
    file = BetonWriter(path, stored(SIZES), 20)
    for number in order:
        first = sum(map(len, BATCHES[:number]))
        file.put(first, b"".join(bytes([first + k + 1]) * size for k, size in enumerate(BATCHES[number])))
    if finished:
        file.finish(np.arange(len(SIZES)))
        file.finish(np.arange(len(SIZES)))
    file.close()


def test_no_image_lies_across_the_end_of_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beton_writer, "PAGE", 4096)
    write(tmp_path / "a", range(len(BATCHES)))
    beton = read_beton(tmp_path / "a")
    assert beton.labels.tolist() == list(range(len(SIZES)))
    assert [beton.stored(k).tolist() for k in range(len(SIZES))] == [[k + 1] * size for k, size in enumerate(SIZES)]
    starts = beton.starts.tolist()
    for start, size in zip(starts, SIZES, strict=True):
        assert start // 16384 == (start + size - 1) // 16384
    assert starts == sorted(starts)
    assert starts[0] == 4096  # after the header and room for the table, 3 kB


@pytest.mark.parametrize("first", [[0], [1, 4], [4, 2, 0], [0, 1, 2, 3, 4]])
@pytest.mark.parametrize("finished", [False, True])
def test_batches_can_be_written_in_any_order_by_several_writers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: list[int], finished: bool
) -> None:
    monkeypatch.setattr(beton_writer, "PAGE", 4096)
    write(tmp_path / "a", range(len(BATCHES)))
    write(tmp_path / "b", first, finished=finished)
    write(tmp_path / "b", [k for k in range(len(BATCHES)) if k not in first[1:]])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_disk_that_takes_a_part_at_a_time_gets_all_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = os.pwrite
    write(tmp_path / "a", range(len(BATCHES)))
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: put(file, data[:1000], at))
    write(tmp_path / "b", range(len(BATCHES)))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(("size", "page"), [(0, 4096), (4096, 4096), (4097, 8192), (100_000, 131_072)])
def test_a_page_is_a_power_of_two_in_which_the_image_fits(size: int, page: int) -> None:
    assert page_size(size, 4096) == page
