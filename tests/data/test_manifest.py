from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raysweep.data import manifest as module
from raysweep.data.beton import read_beton
from raysweep.data.fit import bind_data, check_data
from raysweep.data.manifest import Manifest, read_manifest, verify, write_manifest
from raysweep.data.stream import ImageFile
from raysweep.errors import RaysweepError
from raysweep.patch import patch
from raysweep.recipe import Recipe

Stored = dict[str, tuple[Path, Manifest]]


@pytest.fixture
def copied(stored: Stored, tmp_path: Path) -> tuple[Path, Manifest]:
    shutil.copytree(stored["raw"][0], tmp_path / "copy")
    return tmp_path / "copy", stored["raw"][1]


def test_a_manifest_survives_its_text(stored: Stored) -> None:
    manifest = stored["jpg"][1]
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_a_missing_folder_or_manifest_says_how_to_write_one(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RaysweepError, match=f"raysweep data write SOURCE {folder}"):
            read_manifest(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version is 2.*update raysweep"),
        ({"classes": ["a"]}, "class counts"),
        ({"digest": "../../../x"}, r"digest.*\.\./x"),
        ({"encoding": "png"}, "'png'"),
        ({"short_side": 0}, "short_side"),
        ({"splits": {}}, "no 'train'"),
        ({"splits": []}, "cannot be used"),
        ({"unknown": 1}, "unknown"),
        ({"version": None}, "cannot be used"),
    ],
)
def test_an_invalid_manifest_is_refused(copied: tuple[Path, Manifest], change: dict[str, Any], message: str) -> None:
    folder, manifest = copied
    (folder / "manifest.json").write_text(json.dumps(json.loads(manifest.to_json()) | change))
    with pytest.raises(RaysweepError, match=message):
        read_manifest(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"version": 1}'])
def test_another_json_file_is_refused(copied: tuple[Path, Manifest], text: str) -> None:
    folder, _ = copied
    (folder / "manifest.json").write_text(text)
    with pytest.raises(RaysweepError, match="cannot be used"):
        read_manifest(folder)


def test_a_file_outside_the_folder_is_refused(copied: tuple[Path, Manifest]) -> None:
    folder, manifest = copied
    (folder / "manifest.json").write_text(manifest.to_json().replace("train.beton", "../train.beton"))
    with pytest.raises(RaysweepError, match=r"\.\./train\.beton"):
        read_manifest(folder)


def test_a_truncated_file_is_an_error_with_both_sizes(copied: tuple[Path, Manifest]) -> None:
    folder, manifest = copied
    path = folder / "test.beton"
    path.write_bytes(path.read_bytes()[:-10])
    size = manifest.splits["test"].bytes
    with pytest.raises(RaysweepError, match=f"test.beton is truncated.*{size:,}.*{size - 10:,}"):
        verify(folder, manifest, full=False)
    with pytest.raises(RaysweepError, match="test.beton"):
        ImageFile.open(folder, manifest, "test")
    path.unlink()
    with pytest.raises(RaysweepError, match="test.beton"):
        verify(folder, manifest, full=False)


def test_a_changed_byte_is_found_by_the_checksum(copied: tuple[Path, Manifest]) -> None:
    folder, manifest = copied
    verify(folder, manifest, full=True)
    data = bytearray((folder / "train.beton").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "train.beton").write_bytes(data)
    verify(folder, manifest, full=False)
    with pytest.raises(RaysweepError, match="train.beton.*sha256"):
        verify(folder, manifest, full=True)


def test_a_checksum_is_computed_once_per_file(copied: tuple[Path, Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, manifest = copied
    verify(folder, manifest, full=True)
    monkeypatch.setattr(module.hashlib, "file_digest", None)
    verify(folder, manifest, full=True)
    os.utime(folder / "train.beton")
    with pytest.raises(TypeError):
        verify(folder, manifest, full=True)


@pytest.mark.parametrize("text", ["", "[1]", '{"train.beton": 3}'])
def test_a_damaged_memory_of_checksums_is_ignored(copied: tuple[Path, Manifest], text: str) -> None:
    folder, manifest = copied
    (folder / ".verified.json").write_text(text)
    verify(folder, manifest, full=True)
    assert json.loads((folder / ".verified.json").read_text())["test.beton"][2] == manifest.splits["test"].sha256


def test_writing_a_manifest_leaves_no_other_file(tmp_path: Path, stored: Stored) -> None:
    write_manifest(tmp_path, stored["raw"][1])
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("keep", [0, 10, 1000, 5000, 0.5, -100])
def test_a_truncated_ffcv_file_is_an_error_and_no_crash(stored: Stored, tmp_path: Path, keep: float) -> None:
    data = (stored["jpg"][0] / "train.beton").read_bytes()
    (tmp_path / "x.beton").write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else int(keep)])
    with pytest.raises(RaysweepError, match=r"x\.beton"):
        read_beton(tmp_path / "x.beton")


def test_foreign_bytes_are_an_error_and_no_crash(stored: Stored, tmp_path: Path) -> None:
    data = (stored["jpg"][0] / "train.beton").read_bytes()
    for position in (0, 2, 8, 16, 20, 24, 2200):
        (tmp_path / "x.beton").write_bytes(data[:position] + b"\xff" * 8 + data[position + 8 :])
        with pytest.raises(RaysweepError, match=r"x\.beton"):
            read_beton(tmp_path / "x.beton")


def test_a_file_that_was_never_finished_is_refused(stored: Stored, tmp_path: Path) -> None:
    data = bytearray((stored["jpg"][0] / "train.beton").read_bytes())
    data[16:24] = bytes(8)
    (tmp_path / "x.beton").write_bytes(data)
    with pytest.raises(RaysweepError, match=r"x\.beton"):
        read_beton(tmp_path / "x.beton")


def fitting(manifest: Manifest, **changes: Any) -> Recipe:
    paths = {"data.side": 32, "data.short_side": 40, "network.outputs": 10}
    return patch(Recipe(), paths | {key.replace("__", "."): value for key, value in changes.items()})


def test_a_recipe_is_bound_to_its_images(stored: Stored) -> None:
    folder, manifest = stored["raw"]
    bound = bind_data(fitting(manifest), check_data(fitting(manifest), folder))
    assert (bound.data.digest, bound.data.train_images, bound.data.test_images) == (manifest.digest, 120, 50)
    assert check_data(bound, folder) == manifest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__short_side": 36}, "--side 36.*--set data.short_side=40"),
        ({"data__side": 50, "data__pad": 2}, "side.* 50"),
        ({"data__side": 42, "data__pad": 2}, "42"),
        ({"network__outputs": 9}, "--classes 10"),
        ({"data__digest": "abc"}, "digest abc"),
    ],
)
def test_a_recipe_that_does_not_fit_its_images_is_refused(
    stored: Stored, changes: dict[str, Any], message: str
) -> None:
    folder, manifest = stored["raw"]
    with pytest.raises(RaysweepError, match=message):
        check_data(fitting(manifest, **changes), folder)


def test_a_class_without_training_images_is_refused(copied: tuple[Path, Manifest]) -> None:
    folder, manifest = copied
    value = json.loads(manifest.to_json())
    value["splits"]["train"]["class_counts"][:2] = [0, 24]
    (folder / "manifest.json").write_text(json.dumps(value))
    with pytest.raises(RaysweepError, match="striped disc"):
        check_data(fitting(manifest), folder)


def test_manifest_and_check_load_nothing_heavy() -> None:
    code = (
        "import sys, raysweep.data.fit; print(*[m for m in ('numpy', 'torch', 'cv2', 'pyarrow') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""
