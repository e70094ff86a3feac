"""Parquet as it is found: layouts, names of splits, types of columns, labels, foreign and damaged files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import event, given
from hypothesis import strategies as st

from raysweep.data.manifest import read_manifest
from raysweep.errors import RaysweepError
from raysweep.verbs.entry import raysweep
from raysweep.write import write_sets
from raysweep.write.sources import open_source, parquet_cells
from raysweep.write.sources.base import MAX_ENCODED, Source, check_labels
from raysweep.write.sources.parquet import ParquetSamples
from tests.images import encoded, picture

PNG = [encoded(picture(8, 8, seed)) for seed in range(6)]
LABELS = [0, 1, 0, 1, 0, 1]
SPLITS = ["train", "train", "train", "train", "test", "test"]
HUB = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}


def table(features: Mapping[str, Any] | None = None, **columns: Any) -> pa.Table:
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if features else {}
    return pa.table(columns).replace_schema_metadata(metadata)


def hub(numbers: range, labels: list[int] | None = None) -> pa.Table:
    """A table as on the Hub."""
    images = [{"bytes": PNG[number], "path": f"{number}.png"} for number in numbers]
    return table(HUB, image=images, label=labels or [LABELS[number] for number in numbers])


TRAIN, TEST = hub(range(4)), hub(range(4, 6))


def write(root: Path, tables: Mapping[str, pa.Table | bytes]) -> Path:
    for name, content in tables.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            pq.write_table(content, path, row_group_size=2)
    return root


def open_table(root: Path, **columns: Any) -> Source:
    """A source of one file, with a column of splits."""
    write(root, {"x.parquet": table(**({"image": PNG, "label": LABELS, "split": SPLITS} | columns))})
    return open_source(str(root / "x.parquet"))


def images(source: Source) -> dict[str, list[Any]]:
    return {
        split: [samples.fetch([index])(index) for index in range(len(samples))]
        for split, samples in source.splits.items()
    }


def passed_over(source: Source) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {reason: (items.count, items.examples) for reason, items in source.passed_over.items()}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet"),
        ("data/train-00000-of-00001-0123456789abcdef.parquet", "data/validation-00000-of-00001-1a.parquet"),
        ("default/train/0000.parquet", "default/test/0000.parquet"),
        ("train/0000.parquet", "test/0000.parquet"),
        ("split=train/part-0.parquet", "split=val/part-0.parquet"),
        ("train/a/0.parquet", "test/a/0.parquet"),
        ("pets_train.parquet", "pets_test.parquet"),
        ("Training.PARQUET", "Testing.parquet"),
        ("train0.parq", "VALID_1.pq"),
        ("train.parquet", "dev.parquet"),
        ("train.parquet", "eval.parquet"),
    ],
)
def test_splits_are_found_in_the_names_of_files_and_folders(tmp_path: Path, train: str, test: str) -> None:
    source = open_source(str(write(tmp_path, {train: TRAIN, test: TEST})))
    check_labels(source)
    assert images(source) == {"train": PNG[:4], "test": PNG[4:]}
    assert source.classes == ("cat", "dog")
    assert source.splits["train"].name(3) == f"{train} row group 1 row 1"
    assert not source.passed_over


@pytest.mark.parametrize("names", [["Train"] * 4 + [" TEST "] * 2, pa.array(SPLITS).dictionary_encode()])
def test_the_column_of_splits_may_have_capitals_or_categories(tmp_path: Path, names: Any) -> None:
    assert images(open_table(tmp_path, split=names)) == {"train": PNG[:4], "test": PNG[4:]}


def test_rows_of_other_splits_and_without_a_split_are_counted(tmp_path: Path) -> None:
    source = open_table(tmp_path, split=["train", "train", "val", "test", "extra", None])
    assert images(source) == {"train": PNG[:2], "test": PNG[2:3]}
    assert list(passed_over(source).values()) == [(3, ("no split", "extra", "test"))]


def test_foreign_files_are_passed_over_and_named(tmp_path: Path) -> None:
    files = {
        "train-00001-of-00003.parquet": TRAIN,
        "test-0.parquet": TEST,
        "metadata.parquet": table(file=["a"], width=[1]),
        "embeddings.parquet": table(embedding=[b"1"]),
        "._test-0.parquet": b"\0\5\26\7",
        ".cache/train-0.parquet": TRAIN,
        "train-00002-of-00003.parquet.incomplete": b"PAR1",
        "README.md": b"",
    }
    source = open_source(str(write(tmp_path, files)))
    assert images(source) == {"train": PNG[:4], "test": PNG[4:]}
    assert sorted(passed_over(source).values()) == [
        (1, ("._test-0.parquet",)),
        (1, (".cache/train-0.parquet",)),
        (2, ("README.md", "train-00002-of-00003.parquet.incomplete")),
        (2, ("embeddings.parquet", "metadata.parquet")),
        (2, ("train-00000-of-00003.parquet",)),
    ]


def test_an_empty_shard_is_no_missing_one(tmp_path: Path) -> None:
    empty = pa.table({"image": pa.nulls(0), "label": pa.nulls(0)})
    files = {"train-00000-of-00002.parquet": empty, "train-00001-of-00002.parquet": TRAIN, "test.parquet": TEST}
    assert not open_source(str(write(tmp_path, files))).passed_over


def test_parquet_beside_class_folders_is_passed_over(tmp_path: Path) -> None:
    folders = {f"{split}/{name}/1.png": PNG[0] for split in ("train", "val") for name in ("cat", "dog")}
    source = open_source(str(write(tmp_path, {**folders, "metadata.parquet": TRAIN})))
    assert [len(samples) for samples in source.splits.values()] == [2, 2]
    assert "metadata.parquet" in str(passed_over(source))


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"fine/train/0.parquet": TRAIN, "fine/test/0.parquet": TEST, "coarse/train/0.parquet": TRAIN}, "coarse, fine"),
        ({"train-00000-of-00002.parquet": TRAIN, "train-00000-of-00001.parquet": TRAIN}, "train-00000-of-0000"),
        ({"train-00000-of-00001-a.parquet": TRAIN, "train-00000-of-00001-b.parquet": TRAIN}, "-a.parquet.*-b.parquet"),
        ({"train.parquet": TRAIN, "dev-test.parquet": TEST}, "splits train"),
        ({"train.parquet": TRAIN, "test.parquet": b""}, r"test\.parquet"),
        ({"train.parquet": b"PAR1 cut", "test.parquet": TEST}, r"train\.parquet"),
        ({"train.parquet": TRAIN, "test.parquet": table(image=PNG[:1])}, r"test\.parquet.*label"),
        ({"train.parquet": TRAIN, "test.parquet": table(image=PNG[:1], label=["cat"])}, r"test\.parquet.*string"),
        ({"a.parquet": table(file=["x"])}, r"a\.parquet.*file"),
        ({"a.parquet": hub(range(0))}, "no rows"),
        ({"train/data-0.arrow": b"", "dataset_dict.json": b"{}"}, r"^(?!.*CLASS\.).*load_from_disk"),
        ({"train-0.tar": b"", "val-0.tar": b""}, r"val-0\.tar|train-0\.tar"),
    ],
)
def test_files_that_are_no_set_are_refused(tmp_path: Path, files: dict[str, pa.Table | bytes], named: str) -> None:
    with pytest.raises(RaysweepError, match=named):
        open_source(str(write(tmp_path, files)))


def test_files_that_number_the_classes_differently_are_refused(tmp_path: Path) -> None:
    names = HUB | {"label": {"_type": "ClassLabel", "names": ["dog", "cat"]}}
    files = {"train.parquet": TRAIN, "test.parquet": table(names, image=PNG[4:], label=[0, 1])}
    with pytest.raises(RaysweepError, match=r"train\.parquet|test\.parquet"):
        open_source(str(write(tmp_path, files)))


def test_a_file_that_is_not_parquet_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, {"train.zip": b"PK", "cat.png": PNG[0]})
    for name in ("train.zip", "cat.png"):
        with pytest.raises(RaysweepError, match=name):
            open_source(str(tmp_path / name))


STRUCTS = [{"bytes": data, "path": None} for data in PNG]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(PNG),
        pa.array(PNG, pa.large_binary()),
        pa.array(PNG).dictionary_encode(),
        pa.array(STRUCTS),
        pa.array([{"data": data} for data in PNG]),
        pa.array([{"bytes": data, "thumbnail": b""} for data in PNG]),
        pa.chunked_array([PNG[:3], PNG[3:]]),
    ],
    ids=lambda column: str(column.type),
)
def test_columns_of_bytes_are_read(tmp_path: Path, column: Any) -> None:
    assert images(open_table(tmp_path, image=column)) == {"train": PNG[:4], "test": PNG[4:]}


@pytest.mark.parametrize(
    "column",
    [
        ["images/1.png"] * 6,
        [list(data) for data in PNG],
        [[[[1, 2, 3]]]] * 6,
        [{"path": "1.png"}] * 6,
        [{"a": b"1", "b": b"2"}] * 6,
        [{"bytes": None, "path": "1.png"}] * 6,
        pa.nulls(6),
        [1] * 6,
    ],
    ids=lambda column: str(pa.array(column).type) if isinstance(column, list) else "null",
)
def test_columns_without_bytes_are_refused_by_their_type(tmp_path: Path, column: Any) -> None:
    kind = str(pa.array(column).type)
    with pytest.raises(RaysweepError, match=r"`image`") as raised:
        open_table(tmp_path, image=column)
    assert kind.split("<")[0] in str(raised.value) or "no bytes" in str(raised.value)


def test_a_row_without_an_image_is_named_by_the_command(tmp_path: Path) -> None:
    column = [PNG[0], None, PNG[2], PNG[3], PNG[4], None]
    write(tmp_path, {"x.parquet": table(image=column, label=LABELS, split=["train"] * 4 + ["test"] * 2)})
    command = ["data", "write", "x.parquet", "out", "--workers", "1"]
    done = CliRunner().invoke(raysweep, command)
    assert isinstance(done.exception, RaysweepError)
    assert "x.parquet row group 0 row 1 (" in str(done.exception)
    assert "x.parquet row group 2 row 1 (" in str(done.exception)
    done = CliRunner().invoke(raysweep, [*command, "--skip-bad"])
    assert done.exit_code == 0, done.output
    manifest = read_manifest(tmp_path / "out")
    assert (manifest.splits["train"].class_counts, manifest.splits["test"].class_counts) == ((2, 1), (1, 0))
    assert len(manifest.skipped) == 2


def test_an_image_that_is_too_large_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raysweep.write.sources.parquet.MAX_ENCODED", len(PNG[1]) - 1)
    assert max(map(len, PNG)) < MAX_ENCODED
    source = open_table(tmp_path, image=[b"1", PNG[1], *PNG[2:]])
    assert source.splits["train"].picture(0) == b"1"
    with pytest.raises(OSError, match=f"{len(PNG[1]):,} bytes"):
        source.splits["train"].picture(1)


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        ([3, 7, 3, 7, 3, 7], ("3", "7"), [0, 1, 0, 1]),
        ([1, 2, 1, 2, 1, 2], ("1", "2"), [0, 1, 0, 1]),
        ([2**40, 5, 5, 5, 5, 5], ("5", str(2**40)), [1, 0, 0, 0]),
        ([0.0, 1.0] * 3, ("0", "1"), [0, 1, 0, 1]),
        (["dog", "cat"] * 3, ("cat", "dog"), [1, 0, 1, 0]),
        (pa.array(["dog", "cat"] * 3).dictionary_encode(), ("cat", "dog"), [1, 0, 1, 0]),
        ([True, False] * 3, ("false", "true"), [1, 0, 1, 0]),
        (pa.array([0, 1] * 3, pa.uint64()), ("0", "1"), [0, 1, 0, 1]),
    ],
)
def test_labels_of_many_types_give_the_classes_in_use(
    tmp_path: Path, labels: Any, classes: tuple[str, ...], numbers: list[int]
) -> None:
    source = open_table(tmp_path, label=labels)
    check_labels(source)
    assert source.classes == classes
    assert source.splits["train"].labels.tolist() == numbers


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        ([[1, 0], [0, 1]] * 3, "`label`.*list"),
        ([0.5, 1] * 3, r"`label`.*0\.5"),
        ([float("nan"), 1] * 3, "3 of 6"),
        ([None, 1] * 3, "3 of 6"),
        ([-1, 1] * 3, "3 of 6.*-1"),
        ([-2, 1] * 3, r"-2 \(3"),
        (pa.array([2**64 - 1, 1] * 3, pa.uint64()), "`label`.*18446744073709551615"),
        (pa.array([b"1", b"2"] * 3), "`label`.*binary"),
        (pa.nulls(6), "`label`.*null"),
        ([0, 0, 0, 0, 1, 1], "no training images: 1"),
    ],
)
def test_labels_that_are_no_classes_are_refused(tmp_path: Path, labels: Any, named: str) -> None:
    with pytest.raises(RaysweepError, match=named):
        check_labels(open_table(tmp_path, label=labels))


def test_unlabelled_rows_of_unused_splits_do_not_matter(tmp_path: Path) -> None:
    source = open_table(tmp_path, label=[0, 1, 0, -1, None, 1], split=["train"] * 2 + ["val", "test", "test", "val"])
    assert source.splits["test"].labels.tolist() == [0, 1]


def names(*of_classes: str) -> dict[str, Any]:
    return {"label": {"_type": "ClassLabel", "names": list(of_classes)}}


def test_a_part_of_the_classes_keeps_their_names(tmp_path: Path) -> None:
    file = table(names("ant", "bee", "cat", "dog"), image=PNG, label=[1, 3] * 3, split=SPLITS)
    source = open_source(str(write(tmp_path, {"x.parquet": file})))
    assert source.classes == ("bee", "dog")
    assert source.splits["train"].labels.tolist() == [0, 1, 0, 1]
    assert list(passed_over(source).values()) == [(2, ("ant", "cat"))]


@pytest.mark.parametrize(("labels", "named"), [([1, 2] * 3, "1 to 2.*subtract 1"), ([0, 9] * 3, r"9 \(3")])
def test_labels_beyond_the_class_names_are_refused(tmp_path: Path, labels: list[int], named: str) -> None:
    file = table(names("cat", "dog"), image=PNG, label=labels, split=SPLITS)
    with pytest.raises(RaysweepError, match=named):
        open_source(str(write(tmp_path, {"x.parquet": file})))


@pytest.mark.parametrize(
    ("image", "label", "features"),
    [
        ("img", "label", None),
        ("Image", "Label", None),
        ("jpg", "class", None),
        ("content", "labels", None),
        ("pixels", "species", {"pixels": {"_type": "Image"}, "species": {"_type": "ClassLabel", "names": ["a", "b"]}}),
    ],
)
def test_columns_with_other_names_are_found_and_recorded(tmp_path: Path, image: str, label: str, features: Any) -> None:
    others = {"id": list(range(6)), "split": SPLITS}
    file = table(features, **{image: STRUCTS, label: LABELS}, **others)
    source = open_source(str(write(tmp_path, {"x.parquet": file}) / "x.parquet"))
    assert images(source) == {"train": PNG[:4], "test": PNG[4:]}
    assert f"'{image}'" in source.spec
    assert (f"'{label}'" in source.spec) == (label != "label")


def test_of_several_columns_the_user_chooses(tmp_path: Path) -> None:
    columns: dict[str, Any] = {"left": PNG, "right": PNG[::-1], "fine_label": [2, 3] * 3, "coarse_label": LABELS}
    path = write(tmp_path, {"x.parquet": table(**columns, split=SPLITS)}) / "x.parquet"
    for options, named in (
        ({}, "`left`.*`right`.*--image-column"),
        ({"image_column": "right"}, "`fine_label`.*`coarse_label`.*--label-column"),
        ({"image_column": "up"}, "'up'"),
        ({"image_column": "fine_label", "label_column": "fine_label"}, "`fine_label` has type int64"),
    ):
        with pytest.raises(RaysweepError, match=named):
            open_source(str(path), **options)
    chosen = ["--image-column", "right", "--label-column", "fine_label"]
    done = CliRunner().invoke(raysweep, ["data", "write", str(path), "out", *chosen, "--workers", "1", "--side", "8"])
    assert done.exit_code == 0, done.output
    assert read_manifest(tmp_path / "out").classes == ("2", "3")
    assert images(open_source(str(path), image_column="right", label_column="fine_label"))["test"] == PNG[1::-1]


@pytest.mark.parametrize("kept", [0, 1 << 30])
def test_a_large_row_group_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    monkeypatch.setattr(parquet_cells, "PART_BYTES", 5_000)
    monkeypatch.setattr(parquet_cells, "KEEP_WHOLE", kept)
    cells = [b"%d" % number * (100 if number % 7 else 9_000) for number in range(200)]
    file = table(image=cells, label=[0] * 200, split=["train"] * 199 + ["test"])
    pq.write_table(file, tmp_path / "x.parquet", row_group_size=150)
    train = open_source("x.parquet").splits["train"]
    order = [*range(199), *np.random.default_rng(0).permutation(199)[:40].tolist(), 0, 198]
    assert [train.picture(number) for number in order] == [cells[number] for number in order]


def test_memory_for_a_large_row_group_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_cells, "PART_BYTES", 2 << 20)
    monkeypatch.setattr(parquet_cells, "KEEP_WHOLE", 0)
    file = table(image=[os.urandom(1 << 18) for _ in range(128)], label=[0] * 128, split=["train"] * 127 + ["test"])
    pq.write_table(file, tmp_path / "x.parquet", compression="none", use_dictionary=False, write_batch_size=8)
    whole = file.nbytes
    del file
    before = pa.total_allocated_bytes()
    train = open_source("x.parquet").splits["train"]
    for number in range(len(train)):
        train.picture(number)
        assert pa.total_allocated_bytes() - before < whole / 2


def test_more_rows_than_bytes_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    rows = 300_000
    file = table(image=pa.nulls(rows, pa.binary()), label=np.zeros(rows, np.int8))
    pq.write_table(file, tmp_path / "train.parquet")
    with pytest.raises(RaysweepError, match="300,000 rows"):
        open_source("train.parquet")


def test_links_are_followed_once_and_unreadable_folders_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "elsewhere", {"0.parquet": TRAIN})
    root = write(tmp_path / "set", {"test/0.parquet": TEST})
    (root / "train").symlink_to(tmp_path / "elsewhere")
    (root / "test" / "loop").symlink_to(root / "test")
    assert images(open_source(str(root))) == {"train": PNG[:4], "test": PNG[4:]}

    def refuse(path: Any) -> Any:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(RaysweepError, match="set.*Permission denied"):
        open_source(str(root))


CELLS = st.sampled_from([PNG[0], PNG[1], b"", b"no image", None])
CLASSES: list[tuple[Any, Any]] = [(0, 1), (7, 2**40), (0.0, 1.0), (False, True), ("a", "b")]
NO_CLASSES: list[tuple[Any, Any]] = [(-1, 0), (0.5, 1.0), (float("nan"), 1.0), (None, 1), (b"a", b"b"), ([0], [1])]
NAMES = st.sampled_from(["train", "Train", "val", "test", "validation", "extra", "", None])


@st.composite
def columns_of_any_kind(draw: st.DrawFn) -> dict[str, Any]:
    rows = draw(st.integers(0, 6))

    def more(cells: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(cells, min_size=rows, max_size=rows))

    classes = draw(st.sampled_from(CLASSES * 3 + NO_CLASSES))
    cells = [*PNG[:3], *more(CELLS)]
    if draw(st.booleans()):
        cells = [{"bytes": cell, "path": "x"} for cell in cells]
    return {
        draw(st.sampled_from(["image", "Image", "img", "other"])): cells,
        draw(st.sampled_from(["label", "Label", "labels", "label", "y"])): [
            *classes,
            classes[0],
            *more(st.sampled_from(classes)),
        ],
        "split": ["train", "train", "val", *more(NAMES)],
    }


DAMAGE = (
    st.none()
    | st.none()
    | st.floats(0, 1)
    | st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), min_size=1, max_size=4)
)


def damaged(content: bytes, damage: float | list[tuple[float, int]] | None) -> bytes:
    """A file cut at a share of its length, or with some bits flipped."""
    if isinstance(damage, float):
        return content[: int(damage * len(content))]
    changed = bytearray(content)
    for place, bit in damage or ():
        changed[int(place * (len(content) - 1))] ^= 1 << bit
    return bytes(changed)


@given(columns_of_any_kind(), DAMAGE, st.booleans())
def test_every_row_is_an_image_counted_or_refused(
    tmp_path_factory: pytest.TempPathFactory, columns: dict[str, Any], damage: Any, checksums: bool
) -> None:
    path = tmp_path_factory.mktemp("any") / "x.parquet"
    try:
        pq.write_table(pa.table(columns), path, row_group_size=2, write_page_checksum=checksums)
    except (pa.ArrowException, OverflowError):  # such as numbers beyond 64 bits
        return
    path.write_bytes(damaged(path.read_bytes(), damage))
    try:
        source = open_source(str(path))
        check_labels(source)
        found = dict(_read_all(source))
    except RaysweepError:
        event("refused")
        return
    event("read")
    if damage is None:
        cells, labels, splits = columns.values()
        rows = [2 * int(group) + int(row) for group, row in (name.split()[3::2] for name in found)]
        for row, (cell, label) in zip(rows, found.values(), strict=True):
            assert cell == (cells[row]["bytes"] if isinstance(cells[row], dict) else cells[row])
            assert label == str(labels[row]).lower().removesuffix(".0")
        counted = sum(items.count for items in source.passed_over.values())
        assert len(set(rows)) + counted == len(splits)


def _read_all(source: Source) -> Iterator[tuple[str, tuple[bytes | None, str]]]:
    """The picture and class of each image by name; None for a row that has no picture."""
    for samples in source.splits.values():
        for index, label in enumerate(samples.labels.tolist()):
            try:
                picture = samples.fetch([index])(index)
            except OSError:
                picture = None
            assert picture is None or isinstance(picture, bytes)
            yield samples.name(index), (picture, source.classes[label])


def test_large_originals_are_sent_to_workers_in_small_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_sets, "FETCHED_BYTES", 2_000)
    columns = {"image": PNG * 20, "label": LABELS * 20, "split": SPLITS * 20}
    pq.write_table(table(**columns), tmp_path / "x.parquet", use_dictionary=False)
    source = open_source("x.parquet")
    sent: list[int] = []
    fetch = ParquetSamples.fetch
    monkeypatch.setattr(ParquetSamples, "fetch", lambda self, few: sent.append(len(few)) or fetch(self, few))
    write_sets.write_images(source, tmp_path / "out", side=8, workers=1)
    assert source.fetched_bytes > 200
    assert max(sent[-10:]) <= 10


def test_a_fifo_is_not_opened(tmp_path: Path) -> None:
    root = write(tmp_path / "set", {"train.parquet": TRAIN, "test.parquet": TEST})
    os.mkfifo(root / "more.parquet")
    assert [items.examples for items in open_source(str(root)).passed_over.values()] == [("more.parquet",)]


def test_a_shard_that_is_a_lost_link_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "set", {"train-0.parquet": TRAIN, "test.parquet": TEST})
    (root / "train-1.parquet").symlink_to("nowhere")
    with pytest.raises(RaysweepError, match=r"train-1\.parquet"):
        open_source(str(root))
