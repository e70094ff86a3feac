"""Class folders as they are found: service folders, links, names, kinds of files, and names of splits."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from raysweep.data import passed_over
from raysweep.errors import RaysweepError
from raysweep.write.sources import kinds, open_source, walk
from raysweep.write.sources.base import Source, check_labels, warnings
from raysweep.write.sources.folder import FolderSource
from raysweep.write.sources.open_image import open_regular
from raysweep.write.write_sets import write_images
from tests.images import Folder, encoded, noise

JPEG, PNG, TGA = (encoded(Image.fromarray(noise(8, 8)), kind) for kind in ("JPEG", "PNG", "TGA"))
BASE = {f"{split}/{name}/0.png": PNG for split in ("train", "val") for name in ("cat", "dog")}


def names(source: Source, split: str = "train") -> list[str]:
    samples = source.splits[split]
    return [samples.name(index) for index in range(len(samples))]


def counts(source: Source) -> dict[str, int]:
    return {reason: items.count for reason, items in source.passed_over.items()}


def cats(source: Source) -> list[str]:
    return [name.removeprefix("train/cat/") for name in names(source) if name.startswith("train/cat/")]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("train/cat/.ipynb_checkpoints/0-checkpoint.png", "hidden folders"),
        ("train/.ipynb_checkpoints/x.png", "hidden folders"),
        ("train/cat/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg", "folders of other programs"),
        ("val/cat/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg", "folders of other programs"),
        ("train/__MACOSX/cat/0.png", "folders of other programs"),
        (".git/x.png", "hidden folders"),
        ("train/cat/._0.png", "hidden files"),
        ("train/cat/Thumbs.db", "files of other programs"),
        ("train/cat/0.png~", "files of other programs"),
        ("train/cat/0.png.bak", r"suffix \.bak"),
        ("train/cat/notes.txt", r"suffix \.txt"),
        ("train/cat/README", "no images"),
        ("train/list.txt", "beside the class folders"),
        ("train/0.png", "beside the class folders"),
        ("words.txt", "beside the splits"),
        ("extra/cat/0.png", "no splits"),
        ("test/cat/0.png", "test, a split that is not used"),
    ],
)
def test_what_is_no_image_of_the_set_is_counted_by_reason(class_folder: Folder, path: str, reason: str) -> None:
    content = PNG if "png" in path or "jpg" in path else b"text"
    source = FolderSource(class_folder(BASE | {path: content}))
    assert names(source) == ["train/cat/0.png", "train/dog/0.png"]
    assert len(source.splits["test"]) == 2
    [(found, items)] = source.passed_over.items()
    assert (items.count, items.examples) == (1, (path,))
    assert re.search(reason, found)


@pytest.mark.parametrize(
    "name",
    ["3.jfif", "3.pjpeg", "4.JPG_large", "5", "7.jpg?w=640", "8.avif", "9.j2k", "10.tga", "a.dat", "x.jpg/0.png"],
)
def test_what_the_decoder_reads_is_an_image_whatever_its_name(class_folder: Folder, name: str) -> None:
    source = FolderSource(class_folder(BASE | {f"train/cat/{name}": TGA if "tga" in name else JPEG}))
    assert cats(source) == sorted(["0.png", name])
    assert source.passed_over == {}


def test_a_class_without_images_says_what_it_has_instead(class_folder: Folder) -> None:
    files = {path.replace("0.png", "0.heic"): b"ftypheic" for path in BASE}
    source = FolderSource(class_folder(files))
    with pytest.raises(RaysweepError, match=r"train(.|\n)*\.heic: 4 \(train/cat/0\.heic, "):
        check_labels(source)


def test_many_suffixes_are_counted_together(class_folder: Folder) -> None:
    root = class_folder(BASE | {f"train/cat/0.x{number:02}": b"?" for number in range(30)})
    assert counts(FolderSource(root))["files with other suffixes"] == 30 - walk.MANY_SUFFIXES


def test_links_count_as_what_they_point_to_at_every_level(class_folder: Folder, tmp_path: Path) -> None:
    root = class_folder(BASE)
    pool = tmp_path / "pool"
    (pool / "owl/deep").mkdir(parents=True)
    for path in (pool / "1.png", pool / "owl/2.png", pool / "owl/deep/3.png"):
        path.write_bytes(PNG)
    (root / "train/cat/one.png").symlink_to(pool / "1.png")
    (root / "train/cat/more").symlink_to(pool / "owl")
    for split in ("train", "val"):
        (root / split / "owl").symlink_to(pool / "owl")
    (root / "val").rename(tmp_path / "elsewhere")
    (root / "val").symlink_to(tmp_path / "elsewhere")
    source = FolderSource(root)
    assert cats(source) == ["0.png", "more/2.png", "more/deep/3.png", "one.png"]
    assert source.classes == ("cat", "dog", "owl")
    assert names(source, "test") == [
        f"val/{name}" for name in ("cat/0.png", "dog/0.png", "owl/2.png", "owl/deep/3.png")
    ]
    assert source.passed_over == {}


def test_loops_of_links_end_and_are_counted(class_folder: Folder) -> None:
    root = class_folder(BASE | {"train/cat/in/1.png": PNG})
    links = {"cat/in/up": "..", "cat/self": ".", "cat/again": "in", "up": "..", "cat/root": "/"}
    for name, target in links.items():
        (root / "train" / name).symlink_to(target)
    (root / "train/dog/x").symlink_to("../cat/y")
    (root / "train/cat/y").symlink_to("../dog/x")
    source = FolderSource(root)
    assert cats(source) == ["0.png", "in/1.png", "y"]
    assert counts(source) == {walk.LOOP: len(links)}


def test_a_link_to_everything_is_not_followed_in_search_of_a_set(class_folder: Folder) -> None:
    root = class_folder({"cat/0.png": PNG})
    (root / "all").symlink_to("/")
    with pytest.raises(RaysweepError, match="folders all, cat"):
        open_source(str(root))


def test_folders_that_link_to_each_other_are_read_once_for_each_class(class_folder: Folder) -> None:
    root = class_folder(BASE)
    pool = root.parent / "pool"
    for number in range(12):
        (pool / f"{number}").mkdir(parents=True)
        (pool / f"{number}/{number}.png").write_bytes(PNG)
        for other in range(12):
            (pool / f"{number}/to{other}").symlink_to(f"../{other}")
    (root / "train/cat/pool").symlink_to(pool)
    assert len(cats(FolderSource(root))) == 13


@pytest.mark.parametrize(("link", "bad"), [("cat/1.png", True), ("cat/more", True), ("cat/list.txt", False)])
def test_a_link_that_leads_nowhere_is_bad_where_an_image_may_be_lost(
    class_folder: Folder, link: str, bad: bool
) -> None:
    root = class_folder(BASE)
    (root / "train" / link).symlink_to("/nowhere")
    source = FolderSource(root)
    assert sum(counts(source).values()) == (not bad)
    if bad:
        with pytest.raises(FileNotFoundError):
            source.splits["train"].picture(names(source).index(f"train/{link}"))


def test_hidden_links_that_lead_nowhere_are_counted(class_folder: Folder) -> None:
    root = class_folder(BASE)
    for place in ("", "train", "train/cat"):
        (root / place / ".#0.png").symlink_to("user@host.123:456")  # the lock of an editor
    assert counts(FolderSource(root)) == {"hidden files": 3}


@pytest.mark.parametrize("link", ["val", "train/owl", "val/owl"])
def test_a_link_that_leads_nowhere_in_place_of_a_folder_is_an_error(class_folder: Folder, link: str) -> None:
    root = class_folder(BASE | {"test/cat/0.png": PNG, "test/dog/0.png": PNG})
    shutil.rmtree(root / link, ignore_errors=True)
    (root / link).symlink_to("/nowhere")
    with pytest.raises(RaysweepError, match=link):
        FolderSource(root)


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a folder unreadable, for root as well."""

    def lock(name: str) -> None:
        entries = walk.entries

        def refuse(folder: str | Path) -> Any:
            if str(folder).endswith(name):
                raise PermissionError(13, "Permission denied", str(folder))
            return entries(folder)

        for module in ("walk", "layout"):
            monkeypatch.setattr(f"raysweep.write.sources.{module}.entries", refuse)

    return lock


@pytest.mark.parametrize("folder", ["set", "set/train", "set/val"])
def test_an_unreadable_split_is_an_error(class_folder: Folder, locked: Callable[[str], None], folder: str) -> None:
    root = class_folder(BASE)
    locked(folder)
    with pytest.raises(RaysweepError, match=rf"{folder} .*Permission denied"):
        FolderSource(root)


def test_an_unreadable_folder_that_may_be_parquet_is_an_error(
    class_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path / "train"))

    monkeypatch.setattr(kinds, "KINDS", (replace(kinds.KINDS[0], recognises=refuse),))
    with pytest.raises(RaysweepError, match=r"set/train .*Permission denied"):
        open_source(str(class_folder(BASE)))


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: None])
def test_a_source_that_is_neither_a_file_nor_a_folder_is_an_error(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "x.parquet")
    with pytest.raises(RaysweepError, match=r"x\.parquet"):
        open_source(str(tmp_path / "x.parquet"))


def test_an_unreadable_folder_in_a_class_is_bad_and_elsewhere_counted(
    class_folder: Folder, locked: Callable[[str], None]
) -> None:
    root = class_folder(BASE | {"train/cat/private/1.png": PNG, "lost+found/private/x": b""})
    locked("private")
    source = FolderSource(root)
    assert cats(source) == ["0.png", "private"]
    assert counts(source) == {"folders that cannot be read (Permission denied)": 1}


def test_nothing_but_regular_files_is_opened(class_folder: Folder, tmp_path: Path) -> None:
    root = class_folder(BASE)
    os.mkfifo(root / "train/cat/1.png")
    os.mkfifo(root / "train/cat/no-suffix")
    (root / "train/cat/2.png").symlink_to("/dev/zero")
    source = FolderSource(root)
    assert cats(source) == ["0.png"]
    assert counts(source) == {"FIFOs and sockets": 2, "devices": 1}
    for name in ("1.png", "2.png"):
        with pytest.raises(OSError, match="regular"):
            open_regular(root / "train/cat" / name)


def test_large_files_of_other_kinds_are_not_read(class_folder: Folder) -> None:
    root = class_folder(BASE | {"train/cat/x.bin": b"RIFF0000WEBP"})
    os.truncate(root / "train/cat/x.bin", 5 << 30)
    assert counts(FolderSource(root)) == {"files with the suffix .bin": 1}


def test_a_file_that_is_too_large_is_not_read(class_folder: Folder) -> None:
    root = class_folder(BASE)
    os.truncate(root / "train/cat/0.png", 5 << 30)
    with pytest.raises(OSError, match=r"5,368,709,120 bytes"):
        FolderSource(root).splits["train"].picture(0)


def test_names_of_classes_are_checked_before_anything_is_written(class_folder: Folder, tmp_path: Path) -> None:
    root = class_folder(BASE)
    for split in ("train", "val"):
        shutil.copytree(root / split / "cat", root / split / "\udcff")
    with pytest.raises(RaysweepError, match="UTF-8.*udcff"):
        write_images(FolderSource(root), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_root_with_any_name_is_read(class_folder: Folder, tmp_path: Path) -> None:
    root = class_folder(BASE).rename(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff\nb"))
    source = FolderSource(root)
    assert source.spec.endswith(r"a\udcff\nb")
    assert source.splits["train"].picture(0) == PNG


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "valid"), ("Train", "Test"), ("training", "testing"), ("TRAIN", "eval"), ("train", "dev")],
)
def test_splits_have_several_names(class_folder: Folder, train: str, test: str) -> None:
    files = {path.replace("train", train).replace("val", test): data for path, data in BASE.items()}
    source = FolderSource(class_folder(files))
    assert (len(source.splits["train"]), len(source.splits["test"])) == (2, 2)
    assert [word in source.notes[0] for word in (train, test)] == [True, True]


def test_of_three_splits_the_one_that_is_not_used_is_named_and_counted(class_folder: Folder) -> None:
    files = {path.replace("val", "test"): data for path, data in BASE.items()}
    source = FolderSource(class_folder(BASE | files))
    assert names(source, "test") == ["val/cat/0.png", "val/dog/0.png"]
    assert "test is not used" in source.notes[0]
    assert list(counts(source).values()) == [2]


def test_two_folders_for_one_split_are_an_error(class_folder: Folder) -> None:
    for more in ("Train/cat/0.png", "training/cat/0.png", "Val/cat/0.png"):
        root = class_folder(BASE | {more: PNG})
        with pytest.raises(RaysweepError, match=more.split("/")[0]):
            FolderSource(root)
        shutil.rmtree(root / more.split("/")[0])


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["cat/0.png"], r"folders cat.*val/CLASS"),
        (["train_images/0.png", "test_images/0.png"], r"folders test_images, train_images"),
        (["one/train/cat/0.png", "two/train/cat/0.png"], "use that folder"),
        (["train/0.png", "train/1.png", "test/0.png", "train.csv"], r"train has 2 images.*train\.csv"),
        (["train/cat/0.png", "val/0.png"], r"val has 1 image .*val/CLASS"),
        (["train/images/0.png", "val/images/0.png", "train/labels.csv"], r"one folder.*train/labels\.csv"),
        (["train/cat/0.png", "val/images/0.png", "val/labels.txt"], r"cat.*val/labels\.txt"),
        (["train/Cat/0.png", "val/cat/0.png"], r"Cat and cat.*Rename"),
        (["train/caf\u00e9/0.png", "val/cafe\u0301/0.png"], "Rename"),
        (["top/train/cat/0.png", "top/val/cat/0.png"], "use that folder"),
        (["train/cat/0.png", "holdout/cat/0.png"], r"holdout.*to val"),
        (["fit/cat/0.png", "val/cat/0.png"], r"fit.*to train"),
        (["a.tar"], r"a\.tar"),
    ],
)
def test_a_folder_that_is_no_set_says_what_it_is_and_what_to_do(
    class_folder: Folder, files: list[str], words: str
) -> None:
    with pytest.raises(RaysweepError, match=words):
        check_labels(FolderSource(class_folder(dict.fromkeys(files, PNG))))


def test_one_class_and_classes_that_look_alike_are_warned_of(class_folder: Folder) -> None:
    for classes in (["cat"], ["cat", "Cat"]):
        files = {f"{split}/{name}/0.png": PNG for split in ("train", "val") for name in classes}
        [warning] = warnings(FolderSource(class_folder(files)))
        assert classes[-1] in warning or "one class" in warning


NAMES = ["a.jpg", "b", "c.txt", ".d.png", "Thumbs.db", "e.jpg?w=1", "\udcff.png", "g\nh.png", "in", ".j", "@eaDir"]
KINDS = ["image", "damaged", "empty", *["folder"] * 4, "fifo", "device", "up", "self", "nowhere", "sibling"]
PLACES = ["", "train", "val", "train/cat", "train/dog", "val/cat", "val/dog"]
Step = tuple[int, str, str]


def make(path: Path, kind: str) -> None:
    targets = {"up": "..", "self": path.name, "nowhere": "nowhere", "sibling": "a.jpg", "device": "/dev/zero"}
    contents = {"image": PNG, "damaged": PNG[:40], "empty": b""}
    if kind in targets:
        path.symlink_to(targets[kind])
    elif kind in contents:
        path.write_bytes(contents[kind])
    else:
        (os.mkfifo if kind == "fifo" else os.mkdir)(path)


def grow(root: Path, steps: list[Step]) -> dict[Path, str]:
    """The entries of a tree: each step adds one to one of the folders that are there."""
    folders = [root / place for place in PLACES]
    tree = dict.fromkeys(folders, "folder") | {root / path: "image" for path in BASE}
    for place, name, kind in steps:
        path = folders[place % len(folders)] / name
        if path not in tree:
            tree[path] = kind
            if kind == "folder":
                folders.append(path)
    return tree


def build(tree: dict[Path, str]) -> None:
    for path, kind in tree.items():
        if kind == "folder":
            path.mkdir(parents=True, exist_ok=True)
    for path, kind in tree.items():
        if kind != "folder":
            make(path, kind)


def outcome(root: Path) -> Any:
    """The set, or the error, which must name the file that is its cause."""
    try:
        source = FolderSource(root)
    except RaysweepError as error:
        return str(error)
    if source.refusal:
        return source.refusal
    return source.classes, names(source), names(source, "test"), source.passed_over


@settings(max_examples=30)
@given(
    steps=st.lists(st.tuples(st.integers(0, 20), st.sampled_from(NAMES), st.sampled_from(KINDS)), max_size=14),
    order=st.randoms(use_true_random=False),
)
def test_every_file_is_in_the_set_or_counted_whatever_the_order_of_creation(steps: list[Step], order: Any) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(passed_over, "EXAMPLES", 1000)
        root = Path(folder) / "set"
        tree = grow(root, steps)
        build(tree)
        found = outcome(root)
        shutil.rmtree(root)
        shuffled = list(tree.items())
        order.shuffle(shuffled)
        build(dict(shuffled))
        assert outcome(root) == found
        if isinstance(found, str):
            assert any(
                passed_over.printable(path.name) in found.removeprefix(folder) for path in tree if path.parent != root
            )
            return
        _, train, test, account = found
        counted = [name for items in account.values() for name in items.examples]
        assert len(counted) == sum(items.count for items in account.values())
        for path, kind in tree.items():
            name = passed_over.printable(str(path.relative_to(root)))
            if kind != "folder" and not (path.is_symlink() and path.is_dir()):
                assert [*train, *test, *counted].count(name) == 1, (name, kind)
