"""Sources without a test split: a share of the training images is held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from raysweep.errors import RaysweepError
from raysweep.write.sources import open_source
from raysweep.write.sources.base import Source, check_labels
from raysweep.write.sources.hold_out import held_out
from raysweep.write.write_sets import write_images
from tests.images import Folder, encoded, noise, picture

PNG = [encoded(Image.fromarray(noise(8, 8, seed))) for seed in range(10)]


def names(source: Source, split: str) -> set[str]:
    samples = source.splits[split]
    return {samples.name(index) for index in range(len(samples))}


@settings(max_examples=20)
@given(counts=st.lists(st.integers(0, 30), min_size=1, max_size=4), share=st.floats(0.01, 0.99))
def test_each_class_gives_its_share_and_keeps_an_image_to_train_on(counts: list[int], share: float) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    held = held_out(labels, share)
    assert np.unique(held).tolist() == held.tolist()
    for label, count in enumerate(counts):
        taken = np.count_nonzero(labels[held] == label)
        assert (1 <= taken < count and abs(taken - share * count) <= 1) if count > 1 else taken == 0


@pytest.mark.parametrize("top", ["train/", "Training/", ""])
def test_class_folders_without_a_test_split(class_folder: Folder, top: str) -> None:
    paths = [f"{top}{name}/{number}.png" for name in ("cat", "dog") for number in range(5)]
    root = class_folder({path: picture(seed=number) for number, path in enumerate(paths)})
    source = open_source(str(root))
    check_labels(source)
    train, test = names(source, "train"), names(source, "test")
    assert train | test == set(paths)
    assert (len(train), len(test), not train & test) == (8, 2, True)
    assert {path.rsplit("/", 2)[-2] for path in test} == {"cat", "dog"}
    assert any("2 in all" in note for note in source.notes)
    assert names(open_source(str(root)), "test") == test


def test_folders_without_images_beside_those_of_classes_are_counted(class_folder: Folder) -> None:
    files = {f"{name}/{k}.png": PNG[k] for name in ("cat", "dog") for k in range(5)}
    source = open_source(str(class_folder(files | {"docs/a.txt": b"?", "data/set/train.beton": b"?", "b.png": PNG[9]})))
    assert source.classes == ("cat", "dog")
    assert {reason: items.count for reason, items in source.passed_over.items()} == {
        "files beside the class folders": 1,
        "files in folders without images": 2,
    }


def test_the_images_that_are_written_are_those_of_the_splits(class_folder: Folder, tmp_path: Path) -> None:
    root = class_folder({f"{name}/{k}.png": picture(seed=k) for name in ("cat", "dog") for k in range(5)})
    manifest = write_images(open_source(str(root), holdout=0.4), tmp_path / "out", workers=1)
    assert [split.class_counts for split in manifest.splits.values()] == [(3, 3), (2, 2)]
    assert "0.4" in manifest.source


def test_a_test_split_can_be_replaced_and_is_counted(class_folder: Folder) -> None:
    files = {f"train/{name}/{k}.png": PNG[k] for name in ("cat", "dog") for k in range(4)}
    root = class_folder(files | {"test/7.png": PNG[7], "test/8.png": PNG[8]})
    with pytest.raises(RaysweepError, match="--holdout"):
        open_source(str(root))
    source = open_source(str(root), holdout=0.25)
    assert [len(source.splits[split]) for split in ("train", "test")] == [6, 2]
    assert sum(items.count for items in source.passed_over.values()) == 2


def test_a_parquet_file_without_splits(tmp_path: Path) -> None:
    for name, columns in (("a", {}), ("b", {"split": ["train"] * 10})):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"image": PNG, "label": [0, 1] * 5, **columns}), path)
        source = open_source(str(path))
        check_labels(source)
        pictures = {s: {v.picture(k) for k in range(len(v))} for s, v in source.splits.items()}
        assert (len(pictures["train"]), len(pictures["test"])) == (8, 2)
        assert pictures["train"] | pictures["test"] == set(PNG)


def test_parquet_with_a_test_split_can_hold_out_instead(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"image": PNG, "label": [0, 1] * 5, "split": ["train"] * 8 + ["test"] * 2}), path)
    source = open_source(str(path), holdout=0.25)
    assert [len(source.splits[split]) for split in ("train", "test")] == [6, 2]
    assert [items.count for items in source.passed_over.values()] == [2]


@pytest.mark.parametrize("share", [0.0, 1.0, float("nan")])
def test_a_share_of_all_or_nothing_is_refused(class_folder: Folder, share: float) -> None:
    root = class_folder({f"train/{name}/0.png": PNG[0] for name in ("cat", "dog")})
    with pytest.raises(RaysweepError, match="--holdout"):
        open_source(str(root), holdout=share)
