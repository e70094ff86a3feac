from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from raysweep.data import checking, write
from raysweep.data.generated import GeneratedSamples, GeneratedSource
from raysweep.data.manifest import Manifest, read_manifest, verify
from raysweep.data.sources import open_source
from raysweep.data.stream import ImageFile, TestStream
from raysweep.data.write import write_images
from raysweep.errors import RaysweepError
from tests.data.conftest import Folder, encoded, noise

Stored = dict[str, tuple[Path, Manifest]]


def picture(height: int = 20, width: int = 20, seed: int = 0) -> Image.Image:
    return Image.fromarray(noise(height, width, seed))


def tiny(seed: int = 0) -> dict[str, bytes | Image.Image]:
    """A class folder of two classes."""
    places = [f"{split}/{name}/{k}.png" for split in ("train", "val") for name in ("cat", "dog") for k in range(2)]
    return {place: picture(seed=seed + number) for number, place in enumerate(places)}


def test_the_manifest_says_what_was_written(stored: Stored) -> None:
    for encoding, (folder, manifest) in stored.items():
        assert read_manifest(folder) == manifest
        assert (manifest.encoding, manifest.short_side, manifest.name) == (encoding, 40, "generated")
        assert manifest.splits["train"].class_counts == (12,) * 10
        verify(folder, manifest, full=True)
        names = {path.name for path in folder.iterdir()}
        assert names <= {"train.beton", "test.beton", "manifest.json", ".verified.json"}


def test_the_digest_is_that_of_the_content(stored: Stored, tmp_path: Path) -> None:
    again = write_images(GeneratedSource(120, 50, side=40, seed=3), tmp_path / "again", workers=2)
    assert again.digest == stored["raw"][1].digest != stored["jpg"][1].digest
    assert len(again.digest) == 12
    assert again.encoding == "raw"


def test_layout_in_the_file_does_not_change_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = GeneratedSource(250, 20, side=20, seed=1)
    one, two = (write_images(source, tmp_path / str(workers), workers=workers) for workers in (1, 3))
    assert one.digest == two.digest
    assert one.splits["train"].bytes != two.splits["train"].bytes


def test_odd_images_are_stored_as_upright_rgb(class_folder: Folder, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    odd = {
        "train/cat/grey.jpg": encoded(picture().convert("L"), "JPEG"),
        "train/cat/cmyk.jpg": encoded(picture().convert("CMYK"), "JPEG"),
        "train/dog/palette.png": encoded(picture().quantize(4)),
        "train/dog/turned.jpg": encoded(picture(20, 30), "JPEG", exif=exif),
        "train/dog/deep.png": encoded(Image.fromarray(noise(20, 20)[:, :, 0].astype(np.uint16) * 257)),
    }
    source = open_source(str(class_folder(tiny() | odd)))
    manifest = write_images(source, tmp_path / "out", encoding="jpg")
    file = ImageFile.open(tmp_path / "out", manifest, "train")
    assert manifest.splits["train"].class_counts == (4, 5)
    names = [source.splits["train"].name(index) for index in range(9)]
    assert file.sizes(np.array([names.index("train/dog/turned.jpg")]))[0].tolist() == [30, 20]


def test_side_makes_every_short_side_the_same(class_folder: Folder, tmp_path: Path) -> None:
    files = tiny() | {"train/cat/wide.png": picture(30, 60), "train/dog/high.png": picture(50, 10)}
    source = open_source(str(class_folder(files)))
    manifest = write_images(source, tmp_path / "out", side=16)
    assert manifest.short_side == 16
    file = ImageFile.open(tmp_path / "out", manifest, "train")
    assert set(file.sizes(np.arange(file.num_images)).min(axis=1)) == {16}
    assert file.sizes(np.arange(file.num_images)).max() == 80
    as_they_are = write_images(source, tmp_path / "kept")
    assert as_they_are.short_side == 10


BAD = {"train/cat/cut.jpg": encoded(picture(90, 90), "JPEG")[:900], "val/dog/note.png": b"not an image"}


def test_bad_images_are_listed_and_nothing_is_written(class_folder: Folder, tmp_path: Path) -> None:
    source = open_source(str(class_folder(tiny() | BAD)))
    with pytest.raises(
        RaysweepError, match=r"2 of 10 images(.|\n)*train/cat/cut\.jpg(.|\n)*val/dog/note\.png(.|\n)*--skip-bad"
    ):
        write_images(source, tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()


def test_bad_images_are_left_out_where_that_is_asked(class_folder: Folder, tmp_path: Path) -> None:
    source = open_source(str(class_folder(tiny() | BAD)))
    steps: list[tuple[int, int]] = []
    manifest = write_images(source, tmp_path / "out", skip_bad=True, progress=lambda *step: steps.append(step))
    assert [name.split(" ")[0] for name in manifest.skipped] == list(BAD)
    assert manifest.splits["train"].images == manifest.splits["test"].images == 4
    assert steps == sorted(steps)
    assert steps[-1] == (20, 20)


def test_a_class_that_loses_its_only_image_is_an_error(class_folder: Folder, tmp_path: Path) -> None:
    files = tiny() | {"train/emu/a.png": b"not an image", "val/emu/a.png": picture()}
    source = open_source(str(class_folder(files)))
    with pytest.raises(RaysweepError, match="emu"):
        write_images(source, tmp_path / "out", skip_bad=True)
    assert not (tmp_path / "out").exists()


def test_images_larger_than_ffcvs_page_are_stored(class_folder: Folder, tmp_path: Path) -> None:
    # FFCV hangs when an image does not fit into a page; its default has 8 MiB.
    source = open_source(str(class_folder(tiny() | {"train/cat/huge.png": Image.new("RGB", (2200, 1900), (9, 8, 7))})))
    manifest = write_images(source, tmp_path / "out", encoding="raw")
    file = ImageFile.open(tmp_path / "out", manifest, "train")
    assert file.sizes(np.arange(file.num_images)).max() == 2200


def test_a_set_that_is_there_is_kept_unless_told(tmp_path: Path, class_folder: Folder) -> None:
    source = open_source(str(class_folder(tiny())))
    first = write_images(source, tmp_path / "out")
    with pytest.raises(RaysweepError, match="--overwrite"):
        write_images(source, tmp_path / "out")
    verify(tmp_path / "out", first, full=True)
    class_folder(tiny(seed=9))
    second = write_images(source, tmp_path / "out", overwrite=True)
    assert second.digest != first.digest
    verify(tmp_path / "out", second, full=True)


def test_a_disk_that_is_too_small_is_refused_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1_000_000))
    with pytest.raises(RaysweepError, match=r"0\.00 GB free.* need about 0\.01 GB"):
        write_images(GeneratedSource(20, 10), tmp_path / "out")
    assert not (tmp_path / "out").exists()


class KillsItsWorker(GeneratedSamples):
    """Kills the process that asks for an image the second time: that is FFCV's worker."""

    def __init__(self, marks: Path) -> None:
        super().__init__("train", 40, 20, 0)
        self.marks = marks

    def picture(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        mark = self.marks / str(index)
        if index == 30 and mark.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        mark.touch()
        return super().picture(index)


def test_a_killed_worker_of_ffcv_is_an_error_and_not_a_wait(tmp_path: Path) -> None:
    source = GeneratedSource(40, 10, side=20)
    (tmp_path / "marks").mkdir()
    source.splits = {"train": KillsItsWorker(tmp_path / "marks"), "test": source.splits["test"]}
    segments = set(Path("/dev/shm").glob("psm_*"))
    start = time.monotonic()
    with pytest.raises(RaysweepError, match="SIGKILL"):
        write_images(source, tmp_path / "out", workers=1)
    assert time.monotonic() - start < 60
    assert not (tmp_path / "out").exists()
    assert set(Path("/dev/shm").glob("psm_*")) <= segments


class KillsTheDecoder(GeneratedSamples):
    def picture(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        if index == 30:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().picture(index)


def test_an_image_that_kills_its_decoder_is_an_error_and_not_a_wait(tmp_path: Path) -> None:
    source = GeneratedSource(40, 10, side=20)
    source.splits = {"train": KillsTheDecoder("train", 40, 20, 0), "test": source.splits["test"]}
    with pytest.raises(RaysweepError, match="generated train image 0"):
        write_images(source, tmp_path / "out")


class Sleeps(GeneratedSamples):
    def picture(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        time.sleep(1000)
        raise AssertionError


def test_a_writer_without_progress_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = GeneratedSource(40, 10, side=20)
    source.splits = {"train": Sleeps("train", 40, 20, 0), "test": source.splits["test"]}
    monkeypatch.setattr(write, "STALL_S", 6.0)
    with pytest.raises(RaysweepError, match="no progress for 6 s"):
        write_images(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Unpicklable(GeneratedSamples):
    def __getstate__(self) -> Any:
        raise KeyboardInterrupt


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    source = GeneratedSource(40, 10, side=20)
    source.splits = {"train": Unpicklable("train", 40, 20, 0), "test": source.splits["test"]}
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        write_images(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"side": 0}, "side is 0"),
        ({"encoding": "png"}, "'png'"),
        ({"quality": 101}, "101"),
        ({"workers": 0}, "workers"),
        ({"side": 20, "rescale": "bicubic"}, "'bicubic': use auto, nearest"),
        ({"rescale": "nearest"}, "without a side nothing is resized"),
    ],
)
def test_options_without_meaning_are_refused(tmp_path: Path, changes: dict[str, Any], names: str) -> None:
    with pytest.raises(RaysweepError, match=names):
        write_images(GeneratedSource(20, 10), tmp_path / "out", **changes)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(RaysweepError, match="is a file"):
        write_images(GeneratedSource(20, 10), tmp_path / "out")


def test_labels_out_of_range_are_named_with_their_number(tmp_path: Path) -> None:
    source = GeneratedSource(40, 10)
    source.classes = source.classes[:8]
    with pytest.raises(RaysweepError, match=r"8 \(4 images\), 9 \(4 images\)"):
        write_images(source, tmp_path / "out")


def test_auto_encoding_is_raw_for_small_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    job = checking.Job({}, "", None, "auto", "auto", 90, False, 1, 0)
    found = checking.Checked(np.arange(2), np.array([[10, 20], [30, 40]]), [], 0.5)
    assert checking.choose_encoding(job, {"train": found}) == "raw"
    monkeypatch.setattr(checking, "RAW_BELOW", (200 + 1200) * 3)
    assert checking.choose_encoding(job, {"train": found}) == "jpg"


def test_real_images(real_images: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(real_images / "imagenet1k_sample144.parquet").slice(0, 60)
    split = pa.array(["train", "test"] * 30)
    labels = pa.array(np.arange(60) // 2, pa.int32())
    table = (
        table.set_column(1, "label", labels)
        .set_column(2, "split", split)
        .replace_schema_metadata({"class_names": json.dumps([str(k) for k in range(30)])})
    )
    pq.write_table(table, tmp_path / "real.parquet")
    source = open_source(str(tmp_path / "real.parquet"))
    manifest = write_images(source, tmp_path / "out", encoding="jpg", side=72)
    assert manifest.short_side == 72
    batch = TestStream(ImageFile.open(tmp_path / "out", manifest, "test"), side=64, batch_size=30).batch(0)
    assert batch.images.shape == (30, 64, 64, 3)
    assert batch.images.std() > 40


RESCALED = {"nearest": cv2.INTER_NEAREST, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}


@pytest.mark.parametrize(("side", "auto"), [(24, "area"), (60, "cubic")])
def test_images_are_resized_as_asked(tmp_path: Path, side: int, auto: str) -> None:
    source = GeneratedSource(20, 10, side=40)
    pictures = [source.splits["test"].picture(index) for index in range(10)]
    digests = {}
    for rescale in ("auto", *RESCALED):
        folder = tmp_path / rescale
        manifest = write_images(source, folder, side=side, rescale=rescale)
        assert read_manifest(folder).rescale == rescale
        digests[rescale] = manifest.digest
        found = TestStream(ImageFile.open(folder, manifest, "test"), side=side, batch_size=10).batch(0).images
        method = RESCALED[auto if rescale == "auto" else rescale]
        expected = [cv2.resize(picture, (side, side), interpolation=method) for picture in pictures]
        np.testing.assert_array_equal(found, np.stack(expected))
    assert len(set(digests.values())) == 5


def test_digests_of_sets_written_before_there_was_a_choice_stay() -> None:
    source = GeneratedSource(20, 10)
    entry = {"bytes": 1, "sha256": "", "images": 20, "class_counts": [2] * 10}

    def digest(rescale: str) -> str:
        splits = {name: dict(entry) for name in ("train", "test")}
        made = {"encoding": "raw", "short_side": 36, "contents": {"train": "a", "test": "b"}, "skipped": []}
        return write._manifest(source, 90, rescale, made | {"splits": splits}).digest

    assert digest("auto") == OLD_DIGEST
    assert digest("nearest") != OLD_DIGEST


OLD_DIGEST = "adabd3ddc029"
"""Of the same content by the code that had no --rescale."""
