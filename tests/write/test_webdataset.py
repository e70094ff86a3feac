"""Tar archives of samples, as WebDataset writes them."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from raysweep.data import passed_over
from raysweep.errors import RaysweepError
from raysweep.write.sources import open_source
from raysweep.write.sources.base import check_labels
from raysweep.write.sources.webdataset import WebDataset
from raysweep.write.write_sets import write_images
from tests.images import encoded, noise

PNG = [encoded(Image.fromarray(noise(8, 8, seed))) for seed in range(10)]
Files = list[tuple[str, bytes]]


def archive(path: Path, files: Files, form: int = tarfile.USTAR_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def samples(numbers: range, end: str = "cls") -> Files:
    label = {"cls": "{}", "json": '{{"label": {}, "caption": "x"}}', "txt": "number {}\n"}[end]
    return [
        pair for k in numbers for pair in ((f"{k:06}.png", PNG[k]), (f"{k:06}.{end}", label.format(k % 2).encode()))
    ]


@pytest.mark.parametrize(
    ("end", "classes"), [("cls", ("0", "1")), ("json", ("0", "1")), ("txt", ("number 0", "number 1"))]
)
@pytest.mark.parametrize("names", [("train-{:06}.tar", "val-{:06}.tar"), ("train/{:05}.tar", "test/{:05}.tar")])
def test_shards_of_both_splits(tmp_path: Path, end: str, classes: tuple[str, ...], names: tuple[str, str]) -> None:
    for shard in range(2):
        archive(tmp_path / names[0].format(shard), samples(range(4 * shard, 4 * shard + 4), end))
    archive(tmp_path / names[1].format(0), samples(range(8, 10), end))
    source = open_source(str(tmp_path))
    check_labels(source)
    assert source.classes == classes
    assert [len(source.splits[split]) for split in ("train", "test")] == [8, 2]
    assert source.splits["train"].labels.tolist() == [0, 1] * 4
    part = pickle.loads(pickle.dumps(source.splits["train"].fetch(range(8))))
    assert [part(k) for k in range(8)] == PNG[:8]
    assert source.splits["test"].name(1) == f"{names[1].format(0)}: 000009.png"
    assert source.passed_over == {}


def test_long_names_and_folders_in_an_archive(tmp_path: Path) -> None:
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        name = f"{'deep/' * 60}\u00e9.v1"
        path = archive(
            tmp_path / "train.tar", [(f"{name}.JPG", PNG[0]), ("a/1.png", PNG[1]), ("b/1.png", PNG[2])], form
        )
        with pytest.raises(RaysweepError, match="label"):
            open_source(str(path))
        more = [("a/1.cls", b"0"), ("b/1.cls", b"1"), ("a/1.seg.png", PNG[3])]
        found = WebDataset(archive(path, [("a/1.png", PNG[1]), ("b/1.png", PNG[2]), *more], form))
        assert [found.splits["train"].picture(k) for k in range(2)] == [PNG[1], PNG[2]]
        assert {reason: items.count for reason, items in found.passed_over.items()} == {"further members of samples": 1}


def test_members_lead_nowhere_and_nothing_is_extracted(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(PNG[9])
    path = archive(
        tmp_path / "in" / "x.tar", [("../../out.png", PNG[0]), ("../../out.cls", b"a"), *samples(range(1, 4))]
    )
    with tarfile.open(path, "a") as tar:
        for name, kind in (("9.png", tarfile.SYMTYPE), ("8.png", tarfile.LNKTYPE), ("7.png", tarfile.CHRTYPE)):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, str(tmp_path / "secret")
            tar.addfile(link)
    before = sorted(tmp_path.rglob("*"))
    source = WebDataset(path)
    train = source.splits["train"]
    assert [train.picture(k) for k in range(len(train))] == PNG[:4]
    assert [items.count for items in source.passed_over.values()] == [3]
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_no_sample_is_counted(tmp_path: Path) -> None:
    files = [*samples(range(4)), ("5.cls", b"1"), (".hidden.png", PNG[5]), ("._0.png", PNG[6]), ("000000.npy", b"?")]
    archive(tmp_path / "train-0.tar", files)
    archive(tmp_path / "extra-0.tar", samples(range(2)))
    (tmp_path / "README.md").write_text("?")
    source = open_source(str(tmp_path), holdout=0.5)
    assert {reason: items.count for reason, items in source.passed_over.items()} == {
        "archives of splits that are not used": 1,
        "files beside the archives": 1,
        "further members of samples": 1,
        "hidden files": 2,
        "samples without an image": 1,
    }


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda data: data[: len(data) // 3], "train"),
        (lambda data: data[:1024] + b"x" * 512 + data[1536:], "1,024"),
        (lambda data: data + b"more", "more than"),
        (lambda data: data + data, "more than"),
        (lambda data: b"", "train"),
        (lambda data: b"\x1f\x8b" + data, "train"),
        (lambda data: bytes(10240), "no train images|train"),
    ],
)
def test_damaged_archives_are_refused_and_never_read_in_part(tmp_path: Path, damage: object, named: str) -> None:
    path = archive(tmp_path / "train-0.tar", samples(range(6)))
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(RaysweepError, match=named):
        check_labels(open_source(str(path)))


@pytest.mark.long
def test_an_archive_of_real_samples_is_written(tmp_path: Path) -> None:
    path = archive(tmp_path / "pets.tar", samples(range(10), "json"))
    manifest = write_images(open_source(str(path)), tmp_path / "out", workers=1)
    assert {name: split.class_counts for name, split in manifest.splits.items()} == {"train": (4, 4), "test": (1, 1)}


NAMES = ["a.png", "a.cls", "a.json", "a.txt", "a.jpg", "b.png", "b.cls", ".c.png", "d/a.png", "d/a.cls", "e.x", "png"]


@settings(max_examples=30)
@given(names=st.lists(st.sampled_from(NAMES), unique=True))
def test_every_image_is_in_the_set_or_counted(names: list[str]) -> None:
    contents = {"cls": b"1", "json": json.dumps({"label": "x"}).encode(), "txt": b"y"}
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(passed_over, "EXAMPLES", 1000)
        files = [(name, contents.get(name.rpartition(".")[2], PNG[0])) for name in names]
        path = archive(Path(folder) / "train.tar", files)
        try:
            source = WebDataset(path)
        except RaysweepError:
            assert any(name.endswith((".png", ".jpg")) for name in names)  # without a label
            return
        train = source.splits["train"]
        found = [train.name(k) for k in range(len(train))]
        found += [name for items in source.passed_over.values() for name in items.examples]
        for name in names:
            if name.endswith((".png", ".jpg")) or name in ("e.x", "png"):
                assert found.count(f"train.tar: {name}") == 1
