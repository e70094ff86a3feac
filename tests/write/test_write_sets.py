from __future__ import annotations

import json
import re
import shutil
from collections import Counter, namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from raysweep.data.image_file import ImageFile
from raysweep.data.manifest import Manifest, read_manifest, verify
from raysweep.data.stream import TestStream
from raysweep.errors import RaysweepError
from raysweep.write import beton_writer, estimate
from raysweep.write import write_sets as writing
from raysweep.write.forms import Form
from raysweep.write.publishing import set_digest
from raysweep.write.sources import open_source
from raysweep.write.sources.generated import GeneratedSamples, GeneratedSource
from raysweep.write.write_sets import write_images, write_sets
from tests.images import Folder, encoded, noise, picture, tiny

Stored = dict[str, tuple[Path, Manifest]]


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


def test_files_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    source = GeneratedSource(250, 20, side=20, seed=1)
    one, two = (write_images(source, tmp_path / str(workers), workers=workers) for workers in (1, 3))
    assert one == two


def test_layout_in_the_file_does_not_change_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = GeneratedSource(50, 20, side=20, seed=1)
    one = write_images(source, tmp_path / "one")
    monkeypatch.setattr(beton_writer, "PAGE", 4096)
    two = write_images(source, tmp_path / "two")
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


def test_bad_images_are_named_when_all_others_are_written(class_folder: Folder, tmp_path: Path) -> None:
    root = class_folder(tiny() | BAD)
    with pytest.raises(
        RaysweepError, match=r"2 of 10 images(.|\n)*train/cat/cut\.jpg(.|\n)*val/dog/note\.png(.|\n)*--skip-bad"
    ):
        write_images(open_source(str(root)), tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".writing"}


def test_bad_images_are_skipped_with_skip_bad(class_folder: Folder, tmp_path: Path) -> None:
    source = open_source(str(class_folder(tiny() | BAD)))
    steps: list[tuple[int, int]] = []
    manifest = write_images(source, tmp_path / "out", skip_bad=True, progress=lambda *step: steps.append(step))
    assert [name.split(" ")[0] for name in manifest.skipped] == list(BAD)
    assert manifest.splits["train"].images == manifest.splits["test"].images == 4
    assert steps == sorted(steps)
    assert steps[-1] == (10, 10)


def test_after_a_refusal_skip_bad_finishes_at_once(class_folder: Folder, tmp_path: Path) -> None:
    root = class_folder(tiny() | BAD)
    plain = write_images(open_source(str(root)), tmp_path / "plain", skip_bad=True)
    with pytest.raises(RaysweepError, match="2 of 10"):
        write_images(open_source(str(root)), tmp_path / "out")
    steps: list[tuple[int, int]] = []
    manifest = write_images(
        open_source(str(root)), tmp_path / "out", skip_bad=True, progress=lambda *step: steps.append(step)
    )
    assert set(steps) == {(10, 10)}
    assert manifest == plain


def test_after_a_refusal_repaired_images_take_their_place(class_folder: Folder, tmp_path: Path) -> None:
    root = class_folder(tiny() | BAD)
    for _ in range(2):
        with pytest.raises(RaysweepError, match="2 of 10"):
            write_images(open_source(str(root)), tmp_path / "out")
    class_folder({name: encoded(picture(seed=50)) for name in BAD})
    manifest = write_images(open_source(str(root)), tmp_path / "out")
    assert manifest.skipped == ()
    plain = write_images(open_source(str(root)), tmp_path / "plain")
    assert manifest == plain  # to the byte: the files have the order of the images


def test_many_bad_images_are_all_named_in_a_file(class_folder: Folder, tmp_path: Path) -> None:
    bad = {f"train/cat/bad{k:02}.png": b"" for k in range(13)}
    with pytest.raises(RaysweepError, match=r"13 of 21(.|\n)* 3 more(.*)bad.txt"):
        write_images(open_source(str(class_folder(tiny() | bad))), tmp_path / "out")
    assert (tmp_path / "out/.writing/bad.txt").read_text().splitlines() == [f"{name} (empty)" for name in bad]


def test_an_image_that_is_bad_in_one_size_is_in_no_set(class_folder: Folder, tmp_path: Path) -> None:
    files = tiny() | {"train/cat/line.png": Image.fromarray(noise(2, 1000))}
    source = open_source(str(class_folder(files)))
    sets = write_sets(source, tmp_path / "out", side=20, also=["140"], skip_bad=True)
    assert [manifest.skipped[0] for manifest in sets.values()] == [
        "train/cat/line.png (too large to be stored: 70000x140)"
    ] * 2
    assert write_images(source, tmp_path / "alone", side=20).skipped == ()


def test_a_class_that_loses_its_only_image_is_an_error(class_folder: Folder, tmp_path: Path) -> None:
    files = tiny() | {"train/emu/a.png": b"not an image", "val/emu/a.png": picture()}
    source = open_source(str(class_folder(files)))
    with pytest.raises(RaysweepError, match="emu"):
        write_images(source, tmp_path / "out", skip_bad=True)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_images_larger_than_ffcvs_page_are_stored(class_folder: Folder, tmp_path: Path) -> None:
    source = open_source(str(class_folder(tiny() | {"train/cat/huge.png": Image.new("RGB", (2200, 1900), (9, 8, 7))})))
    manifest = write_images(source, tmp_path / "out", encoding="raw")
    file = ImageFile.open(tmp_path / "out", manifest, "train")
    assert file.sizes(np.arange(file.num_images)).max() == 2200


def test_an_existing_set_is_replaced_only_with_overwrite(tmp_path: Path, class_folder: Folder) -> None:
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
    with pytest.raises(RaysweepError, match=r"\b1 MB .*\b1\d\.?\d* MB"):
        write_images(GeneratedSource(1500, 500), tmp_path / "new" / "out", encoding="raw")
    assert not (tmp_path / "new" / "out").exists()


def test_the_estimate_is_reported_first(tmp_path: Path) -> None:
    said: list[str] = []
    write_sets(GeneratedSource(1500, 500), tmp_path / "out", side=36, also=["24"], encoding="raw", say=said.append)
    files = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.beton"))
    found = re.fullmatch(r"2,000 images, about ([\d.]+) MB and \d+ s with \d process(es)?; [\d.]+ [GT]B free", said[0])
    assert found
    assert files == pytest.approx(float(found[1]) * 1e6, rel=0.1)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"side": 0}, "side is 0"),
        ({"encoding": "png"}, "'png'"),
        ({"quality": 101}, "101"),
        ({"workers": 0}, "workers"),
        ({"side": 20, "also": ["40", "40-auto"]}, "40-auto.*twice"),
        ({"side": 20, "also": ["20"]}, "20 px, rescaled auto,.*twice"),
        ({"also": ["x"]}, "'x'.*144-nearest"),
        ({"also": ["20-bicubic"]}, "'bicubic': use auto, nearest"),
        ({"encoding": "mixed", "raw_share": 1.0}, "raw_share is 1.0"),
        ({"side": 20, "rescale": "bicubic"}, "'bicubic': use auto, nearest"),
        ({"rescale": "nearest"}, "nearest.*--side"),
    ],
)
def test_invalid_options_are_refused(tmp_path: Path, changes: dict[str, Any], names: str) -> None:
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


@pytest.mark.parametrize(("limit", "encoding"), [(1, "raw"), (0, "jpg")])
@pytest.mark.parametrize("error", [0.5, 2.0])
def test_auto_encoding_is_raw_for_small_sets_whatever_the_estimate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, encoding: str, error: float
) -> None:
    def measure(*arguments: Any) -> estimate.Estimate:
        found = estimate.measure(*arguments)
        return replace(found, pixels={name: error * mean for name, mean in found.pixels.items()})

    monkeypatch.setattr(estimate, "RAW_BELOW", 30 * 20 * 20 * 3 + limit)
    monkeypatch.setattr(writing, "measure", measure)
    said: list[str] = []
    manifest = write_images(GeneratedSource(20, 10, side=20), tmp_path / "out", say=said.append)
    assert manifest.encoding == encoding
    assert ("starting over" in " ".join(said)) == ((error < 1) != bool(limit))
    assert manifest == write_images(GeneratedSource(20, 10, side=20), tmp_path / "asked", encoding=encoding)


@pytest.mark.long
def test_mixed_stores_a_share_as_pixels_the_same_images_every_time(tmp_path: Path) -> None:
    source = GeneratedSource(400, 50, side=20)
    sets = write_sets(source, tmp_path / "out", side=20, also=["16"], encoding="mixed", raw_share=0.25)
    modes = [ImageFile.open(folder, manifest, "train").beton.modes for folder, manifest in sets.items()]
    np.testing.assert_array_equal(*modes)
    assert 0.18 < modes[0].mean() < 0.32
    manifest = sets[tmp_path / "out"]
    assert (manifest.encoding, manifest.raw_share) == ("mixed", 0.25)
    files = {
        kind: ImageFile.open(tmp_path / kind, write_images(source, tmp_path / kind, side=20, encoding=kind), "train")
        for kind in ("raw", "jpg")
    }
    mixed = ImageFile.open(tmp_path / "out", manifest, "train")
    for index in range(400):
        same = files["raw" if modes[0][index] else "jpg"].beton.stored(index)
        np.testing.assert_array_equal(mixed.beton.stored(index), same)


def test_one_pass_writes_what_a_pass_for_each_size_does(tmp_path: Path) -> None:
    source = GeneratedSource(120, 50, side=40)
    sets = write_sets(source, tmp_path / "all", side=36, also=["24", "36-nearest", "60"], encoding="jpg")
    assert [folder.name for folder in sets] == ["all", "short24", "short36-nearest", "short60"]
    for folder, manifest in sets.items():
        assert manifest == read_manifest(folder)
        options = {"side": manifest.short_side, "rescale": manifest.rescale, "encoding": "jpg"}
        assert manifest == write_images(source, tmp_path / f"one{folder.name}", **options)
    assert not (tmp_path / "all" / ".writing").exists()


def test_a_picture_is_read_once_for_all_sizes_and_a_sample_once_more(tmp_path: Path) -> None:
    write_sets(Counting(tmp_path / "reads"), tmp_path / "out", side=20, also=["16", "30"], workers=1)
    reads = Counter((tmp_path / "reads").read_text().split())
    assert len(reads) == 170
    assert Counter(reads.values()) == {1: 154, 2: 16}


class CountingSamples(GeneratedSamples):
    """Notes in a file which image was read."""

    def __init__(self, split: str, count: int, reads: Path) -> None:
        super().__init__(split, count, 20, 0)
        self.reads = reads

    def picture(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        with self.reads.open("a") as file:
            file.write(f"{self._split}{index}\n")
        return super().picture(index)


class Counting(GeneratedSource):
    def __init__(self, reads: Path) -> None:
        super().__init__(120, 50, side=20)
        self.splits = {split: CountingSamples(split, count, reads) for split, count in (("train", 120), ("test", 50))}


def test_sets_that_are_there_are_kept_where_further_sizes_are_asked_for(tmp_path: Path) -> None:
    source, said = GeneratedSource(40, 10, side=40), list[str]()
    first = write_images(source, tmp_path / "out", side=40)
    inode = (tmp_path / "out" / "train.beton").stat().st_ino
    sets = write_sets(source, tmp_path / "out", side=40, also=["24"], say=said.append)
    assert str(tmp_path / "out") in said[0]
    assert (sets[tmp_path / "out"], (tmp_path / "out" / "train.beton").stat().st_ino) == (first, inode)
    assert read_manifest(tmp_path / "out" / "short24").short_side == 24
    assert write_sets(source, tmp_path / "out", side=40, also=["24"]) == sets
    with pytest.raises(RaysweepError, match=r"out.*side 40, not 36.*--overwrite"):
        write_sets(source, tmp_path / "out", side=36, also=["20"])
    with pytest.raises(RaysweepError, match=r"50 images, not 51"):
        write_sets(GeneratedSource(41, 10, side=40), tmp_path / "out", side=40, also=["20"])
    source.splits["train"].labels[0] = (source.splits["train"].labels[0] + 1) % 10
    with pytest.raises(RaysweepError, match="other numbers"):
        write_sets(source, tmp_path / "out", side=40, also=["20"])
    source.classes = source.classes[::-1]
    with pytest.raises(RaysweepError, match="other classes than generated"):
        write_sets(source, tmp_path / "out", side=40, also=["20"])
    assert not (tmp_path / "out" / "short20").exists()


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
    sets = write_sets(source, tmp_path / "out", side=side, also=[f"{side}-{name}" for name in RESCALED])
    assert [manifest.rescale for manifest in sets.values()] == ["auto", *RESCALED]
    for folder, manifest in sets.items():
        found = TestStream(ImageFile.open(folder, manifest, "test"), side=side, batch_size=10).batch(0).images
        method = RESCALED[auto if manifest.rescale == "auto" else manifest.rescale]
        expected = [cv2.resize(picture, (side, side), interpolation=method) for picture in pictures]
        np.testing.assert_array_equal(found, np.stack(expected))
    assert len({manifest.digest for manifest in sets.values()}) == 5


def test_digests_of_sets_written_before_there_was_a_choice_stay() -> None:
    def digest(rescale: str) -> str:
        form = Form(rescale=rescale, encoding="raw")
        return set_digest(form, 36, GeneratedSource(20, 10).classes, {"train": "a", "test": "b"})

    assert digest("auto") == OLD_DIGEST
    assert digest("nearest") != OLD_DIGEST


OLD_DIGEST = "adabd3ddc029"
"""Of the same content by the code that had no --rescale."""


@pytest.mark.parametrize(
    ("options", "digest"),
    [
        ({"side": 24, "encoding": "jpg", "quality": 75}, "762cf6268bd3"),
        ({"side": 60, "encoding": "jpg", "rescale": "nearest"}, "a045b9da9145"),
        ({"side": 24}, "9d887304103a"),
    ],
)
def test_digests_are_those_of_sets_that_ffcv_wrote(tmp_path: Path, options: dict[str, Any], digest: str) -> None:
    """Computed by the code that let FFCV's DatasetWriter write the files: they are part of trial ids."""
    assert write_images(GeneratedSource(120, 50, side=40, seed=3), tmp_path / "out", **options).digest == digest


def test_digests_in_full_size_are_those_of_sets_that_ffcv_wrote(stored: Stored) -> None:
    assert {encoding: manifest.digest for encoding, (_, manifest) in stored.items()} == {
        "raw": "8c825a38f8fe",
        "jpg": "d3dfb6356719",
    }


def test_files_have_the_same_bytes_as_when_they_were_written_in_one_piece(tmp_path: Path) -> None:
    """Before there were shards; 950 images are several of them."""
    manifest = write_images(GeneratedSource(950, 50, side=40, seed=3), tmp_path / "out", side=24)
    assert manifest.digest == "3adcfb6e31d3"
    assert [manifest.splits[split].sha256[:12] for split in ("train", "test")] == ["206cfb29771b", "73dc3908a07c"]
