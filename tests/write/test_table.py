"""Tables of paths and labels with folders of images."""

from __future__ import annotations

import csv
import io
import json
import pickle
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from raysweep.data import passed_over
from raysweep.errors import RaysweepError
from raysweep.write.sources import open_source
from raysweep.write.sources.base import Source, check_labels
from raysweep.write.sources.kind import Options
from raysweep.write.sources.table import TableSource
from tests.images import Folder, encoded, noise, picture

PNG = [encoded(Image.fromarray(noise(8, 8, seed))) for seed in range(10)]
KAGGLE = "id,label\n" + "".join(f"{k:04},{'dog' if k % 2 else 'cat'}\n" for k in range(8))
IMAGES: dict[str, bytes | Image.Image] = {f"train/{k:04}.png": PNG[k] for k in range(8)}


def labelled(source: Source) -> dict[str, str]:
    """Name -> class, for the images of all splits."""
    return {
        samples.name(k): source.classes[label]
        for samples in source.splits.values()
        for k, label in enumerate(samples.labels.tolist())
    }


def counts(source: Source) -> dict[str, int]:
    return {reason: items.count for reason, items in source.passed_over.items()}


def test_kaggles_layout(class_folder: Folder) -> None:
    test: dict[str, bytes | Image.Image] = {"test/0001.png": PNG[9], "sample_submission.csv": b"id,label\n0001,cat\n"}
    root = class_folder(IMAGES | test | {"train.csv": KAGGLE.encode(), "test.csv": b"id\n0001\n"})
    source = open_source(str(root))
    check_labels(source)
    assert labelled(source) == {f"train/{k:04}.png": "dog" if k % 2 else "cat" for k in range(8)}
    assert [len(part) for part in source.splits.values()] == [6, 2]
    assert counts(source) == {
        "tables that are not used": 1,
        "files with the suffix .csv": 1,
        "images that no row names": 1,
    }
    train = source.splits["train"]
    part = pickle.loads(pickle.dumps(train.fetch(range(6))))
    assert [part(k) for k in range(6)] == [(root / train.name(k)).read_bytes() for k in range(6)]
    assert labelled(open_source(str(root / "train.csv"))) == labelled(source)


@pytest.mark.parametrize(
    "text",
    [
        KAGGLE,
        "\ufeff" + KAGGLE.replace("\n", "\r\n") + "\r\n",
        KAGGLE.replace(",", ";"),
        KAGGLE.replace("id,label", "image,breed").replace("000", "train/000"),
        KAGGLE.replace("id,label", "index,target").replace("\n0", "\ntrain\\0"),
        KAGGLE.replace(",cat", ".png,cat").replace(",dog", ".png,dog").partition("\n")[2],
        "n,id,label,split\n" + "".join(f"{k},{line},train\n" for k, line in enumerate(KAGGLE.split()[1:])),
    ],
)
def test_tables_in_many_forms_are_one_set(class_folder: Folder, text: str) -> None:
    source = open_source(str(class_folder(IMAGES | {"all.csv": text.encode()})))
    check_labels(source)
    assert labelled(source) == {f"train/{k:04}.png": "dog" if k % 2 else "cat" for k in range(8)}


def test_json_lines_for_each_split(class_folder: Folder) -> None:
    def lines(names: range) -> bytes:
        return "".join(
            json.dumps({"file_name": f"{k:04}.png", "label": 10 * (k % 2) + 1, "w": None}) + "\n" for k in names
        ).encode()

    files = {f"{'train' if k < 6 else 'test'}/{k:04}.png": PNG[k] for k in range(8)}
    files |= {"train/metadata.jsonl": lines(range(6)), "test/metadata.jsonl": lines(range(6, 8))}
    source = open_source(str(class_folder(files)))
    assert source.classes == ("1", "11")
    assert {name: len(part) for name, part in source.splits.items()} == {"train": 6, "test": 2}
    assert source.passed_over == {}
    assert [source.splits["test"].picture(k) for k in range(2)] == PNG[6:8]


def test_numbers_are_in_their_order_and_names_keep_their_zeros(class_folder: Folder) -> None:
    for labels, classes in ((["10", "9", "2"], ("2", "9", "10")), (["010", "009", "2"], ("009", "010", "2"))):
        rows = "".join(f"{k:04},{label}\n" for k, label in enumerate(labels))
        root = class_folder(IMAGES | {"all.csv": f"id,label\n{rows}".encode()})
        assert open_source(str(root)).classes == classes


def test_a_table_of_fastai_has_its_splits(class_folder: Folder) -> None:
    rows = "".join(f"images/{k:04}.png,{k % 2},{k > 5}\n" for k in range(8))
    files: dict[str, Any] = {f"images/{k:04}.png": PNG[k] for k in range(8)}
    source = open_source(str(class_folder(files | {"set.csv": f"path,noisy,is_valid\n{rows}".encode()})))
    assert {name: len(part) for name, part in source.splits.items()} == {"train": 6, "test": 2}


def test_rows_without_a_file_are_bad_and_never_lead_elsewhere(class_folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(PNG[9])
    rows = "../secret,cat\n/etc/passwd,dog\nnone,dog\n0001.png,cat\n"
    root = class_folder(
        IMAGES | {"other/0001.png": PNG[8], "all.csv": (KAGGLE.replace("0001,", "0007,") + rows).encode()}
    )
    train = TableSource(root, Options()).splits["train"]
    problems = {}
    for index in range(len(train)):
        try:
            train.picture(index)
        except OSError as error:
            problems[train.name(index)] = str(error)
    assert [name.partition(", ")[2] for name in problems] == ["../secret", "/etc/passwd", "none", "0001.png"]
    assert all(name.startswith("all.csv row ") for name in problems)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("id,label\n0001,cat\n0001,dog\n", r"row 3.*0001\.png.*dog.*cat"),
        ("id,label\n0001\n", "row 2"),
        ("id,label\n", "no rows"),
        ("id,a,b\n0001,x,y\n", r"id, a, b.*--label-column"),
        ("id,label\nnone,cat\n", r"--image-column"),
        ("id,label\n0001,\n0002,cat\n", "1 of 2 rows"),
        ("id,label,split\n0001,a,val\n", "val.*train"),
        ("id,label,split\n0001,a,train\n0002,a,other\n", "other.*--holdout"),
        (b"id,label\n\xff\xfe,cat\n", "UTF-8"),
    ],
)
def test_tables_that_are_no_set_say_why(class_folder: Folder, text: str | bytes, named: str) -> None:
    root = class_folder(IMAGES | {"all.csv": text.encode() if isinstance(text, str) else text})
    with pytest.raises(RaysweepError, match=named):
        check_labels(open_source(str(root / "all.csv")))


def test_columns_can_be_chosen_and_several_tables_are_refused(class_folder: Folder) -> None:
    two = "id,other,a,b\n" + "".join(f"000{k},000{k + 1},{k % 2},{k % 3}\n" for k in range(6))
    root = class_folder(IMAGES | {"all.csv": two.encode()})
    source = open_source(str(root / "all.csv"), image_column="other", label_column="b")
    assert labelled(source) == {f"train/{k + 1:04}.png": str(k % 3) for k in range(6)}
    with pytest.raises(RaysweepError, match="Did you mean other"):
        open_source(str(root / "all.csv"), image_column="othr")
    (root / "more.csv").write_text(KAGGLE)
    (root / "all.csv").write_text(KAGGLE)
    with pytest.raises(RaysweepError, match=r"all\.csv, more\.csv"):
        open_source(str(root))


def test_a_table_beside_class_folders_is_not_used(class_folder: Folder) -> None:
    files = {
        f"{split}/{name}/{k}.png": picture(seed=k)
        for split in ("train", "val")
        for name in ("cat", "dog")
        for k in range(2)
    }
    source = open_source(str(class_folder(files | {"all.csv": b"path,label\ntrain/cat/0.png,dog\n"})))
    assert set(labelled(source).values()) == {"cat", "dog"}
    assert len(labelled(source)) == 8


VALUES = ["a", "a.png", "b", "sub/b", "c.png", "sub\\c", "x", "../a.png", "", "d.jpeg"]
FILES = ["a.png", "b.png", "sub/b.png", "sub/c.png", "d.jpeg", "more/d.txt"]


@settings(max_examples=30)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(VALUES), st.sampled_from("pq"), st.sampled_from(["train", "val", "other"])),
        min_size=1,
        max_size=12,
    ),
    splits=st.booleans(),
)
def test_every_row_and_file_is_an_image_counted_or_refused(rows: list[tuple[str, str, str]], splits: bool) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(passed_over, "EXAMPLES", 1000)
        root = Path(folder)
        for number, name in enumerate(FILES):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(PNG[number] if "txt" not in name else b"?")
        out = io.StringIO()
        csv.writer(out).writerows([("id", "label", "split")[: 2 + splits], *(row[: 2 + splits] for row in rows)])
        (root / "set.csv").write_text(out.getvalue())
        try:
            source = TableSource(root / "set.csv", Options(image_column="id"))
        except RaysweepError:
            return
        names = Counter(part.name(k) for part in source.splits.values() for k in range(len(part)))
        assert max(names.values()) == 1
        counted = [name for items in source.passed_over.values() for name in items.examples]
        assert len(names) + sum("row" in name for name in counted) == len(rows)
        for name in FILES:
            mentioned = names[name] or sum(name == other for other in counted)
            assert mentioned == 1 or any(name == named for named in _rows(source, rows, splits)), name


def _rows(source: Source, rows: list[tuple[str, str, str]], splits: bool) -> set[str]:
    """The files of rows in splits that are not used: the rows are counted in their place."""
    return set(FILES) if splits and any(row[2] != "train" for row in rows) else set()
