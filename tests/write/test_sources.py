from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from raysweep.errors import RaysweepError
from raysweep.safe import printable
from raysweep.write.sources import open_source, parquet_cells
from raysweep.write.sources.base import check_labels
from raysweep.write.sources.torchvision_sets import import_torchvision
from tests.images import Folder, encoded, noise

PNG = [encoded(Image.fromarray(noise(8, 8, seed))) for seed in range(6)]
CAT, DOG = {"train/cat/1.png": PNG[0], "val/cat/1.png": PNG[1]}, {"train/dog/1.png": PNG[2], "val/dog/1.png": PNG[3]}


def test_a_class_folder_gives_sorted_classes_and_its_images_only(class_folder: Folder) -> None:
    more = {
        "train/cat/.hidden.png": PNG[0],
        "train/cat/readme.txt": b"",
        "train/list.txt": b"",
        "train/cat/in/2.JPG": PNG[4],
    }
    source = open_source(str(class_folder(DOG | CAT | more)))
    assert source.classes == ("cat", "dog")
    train = source.splits["train"]
    assert [train.name(index) for index in range(len(train))] == [
        "train/cat/1.png",
        "train/cat/in/2.JPG",
        "train/dog/1.png",
    ]
    assert train.labels.tolist() == [0, 0, 1]
    assert train.picture(1) == PNG[4]
    assert source.name == "set"


def test_files_are_in_the_order_of_their_paths_whatever_their_names(class_folder: Folder) -> None:
    names = ["b/2.png", "b-1.png", "b/1.PNG", "b.png", "a b/z.png", "\u00e9.png", "B.png", "b/c/1.png"]
    root = class_folder(CAT | DOG | {f"train/cat/{name}": PNG[4] for name in names})
    strange = os.fsencode(root / "train/cat") + b"/\xff.png"
    Path(os.fsdecode(strange)).write_bytes(PNG[5])
    train = open_source(str(root)).splits["train"]
    paths = sorted(path for path in (root / "train").rglob("*") if path.is_file())
    shown = [printable(str(path.relative_to(root))) for path in paths]
    assert [train.name(index) for index in range(len(train))] == shown
    part = pickle.loads(pickle.dumps(train.fetch(range(3, len(train)))))
    assert [part(index) for index in range(3, len(train))] == [path.read_bytes() for path in paths[3:]]
    assert train.picture(1) == paths[1].read_bytes()


@pytest.mark.parametrize("name", ["val", "validation", "test"])
def test_the_test_split_has_three_names(class_folder: Folder, name: str) -> None:
    files = {path.replace("val", name): data for path, data in (CAT | DOG).items()}
    assert len(open_source(str(class_folder(files))).splits["test"]) == 2


def test_imagenets_test_folder_without_classes_is_not_used(class_folder: Folder) -> None:
    source = open_source(str(class_folder(CAT | {"test/1.png": PNG[5]})))
    assert source.splits["test"].name(0) == "val/cat/1.png"


def test_other_classes_in_the_test_split_are_an_error(class_folder: Folder) -> None:
    source = open_source(str(class_folder(CAT | {"val/emu/1.png": PNG[0]})))
    assert source.classes == ("cat", "emu")
    with pytest.raises(RaysweepError, match=r"val.*train.*: emu"):
        check_labels(source)


@pytest.mark.parametrize("files", [{"val/cat/1.png": PNG[0]}, {"cat/1.png": PNG[0]}])
def test_a_folder_without_training_images_is_an_error(class_folder: Folder, files: dict[str, bytes]) -> None:
    with pytest.raises(RaysweepError, match="train/CLASS"):
        open_source(str(class_folder(files)))


def test_a_class_without_training_images_is_an_error(class_folder: Folder) -> None:
    root = class_folder(CAT | DOG)
    (root / "train" / "dog" / "1.png").unlink()
    with pytest.raises(RaysweepError, match="1 of the 2 classes.*: dog"):
        check_labels(open_source(str(root)))


def test_a_missing_source_is_an_error() -> None:
    with pytest.raises(RaysweepError, match="nowhere"):
        open_source("nowhere")


def write_parquet(path: Path, metadata: dict[str, str] | None = None, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata or {}), path, row_group_size=2)
    return path


SPLITS = ["test", "train", "train", "test", "train", "train"]


def test_a_parquet_file_with_a_split_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"class_names": json.dumps(["a", "b"])}
    labels = pa.array([0, 1, 0, 1, 0, 1], pa.int32())
    path = write_parquet(tmp_path / "some.parquet", names, image=PNG, label=labels, split=SPLITS)
    source = open_source(str(path))
    assert (source.name, source.classes) == ("some", ("a", "b"))
    assert source.splits["train"].labels.tolist() == [1, 0, 0, 1]
    for limit in (1 << 30, 0):
        monkeypatch.setattr(parquet_cells, "KEEP_WHOLE", limit)
        train = open_source(str(path)).splits["train"]
        assert [train.picture(k) for k in (3, 0, 1, 2)] == [PNG[5], PNG[1], PNG[2], PNG[4]]
        part = pickle.loads(pickle.dumps(train.fetch([3, 1])))
        assert [part(k) for k in (1, 3)] == [PNG[2], PNG[5]]
    assert source.splits["test"].name(1) == "some.parquet row group 1 row 1"


@pytest.mark.parametrize("below", ["", "data/"])
def test_shards_of_the_hub(tmp_path: Path, below: str) -> None:
    feature = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    hub = {"huggingface": json.dumps({"info": {"features": {"image": {"_type": "Image"}, "label": feature}}})}
    images = [{"bytes": data, "path": f"{number}.png"} for number, data in enumerate(PNG)]
    write_parquet(tmp_path / f"{below}train-00000-of-00002.parquet", hub, image=images[:2], label=[0, 1])
    write_parquet(tmp_path / f"{below}train-00001-of-00002.parquet", hub, image=images[2:4], label=[1, 0])
    write_parquet(tmp_path / f"{below}validation-00000-of-00001.parquet", hub, image=images[4:5], label=[0])
    write_parquet(tmp_path / f"{below}test-00000-of-00001.parquet", hub, image=images[5:], label=[-1])
    source = open_source(str(tmp_path))
    assert source.classes == ("cat", "dog")
    assert [source.splits["train"].picture(k) for k in range(4)] == PNG[:4]
    assert source.splits["train"].labels.tolist() == [0, 1, 1, 0]
    assert source.splits["test"].picture(0) == PNG[4]
    check_labels(source)


def test_without_names_classes_are_numbers(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", image=PNG, label=[0, 2, 1, 0, 1, 2], split=SPLITS)
    assert open_source(str(path)).classes == ("0", "1", "2")


def test_labels_out_of_range_are_named_with_their_count(tmp_path: Path) -> None:
    names = {"class_names": json.dumps(["a", "b"])}
    path = write_parquet(tmp_path / "x.parquet", names, image=PNG, label=[0, 7, 7, 0, -2, 1], split=SPLITS)
    with pytest.raises(RaysweepError, match=r"0 to 1\b.* -2 \(1 images\), 7 \(2 images\)"):
        check_labels(open_source(str(path)))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": PNG, "label": [0, None] * 3, "split": SPLITS}, r"x\.parquet.* 3 of 6 rows"),
        ({"image": PNG, "label": [0] * 6, "split": ["val"] * 6}, r"x\.parquet.*`train`"),
        ({"image": PNG, "label": [0] * 6, "split": ["train"] * 5 + ["other"]}, "other.*`val`.*holdout"),
    ],
)
def test_parquet_that_cannot_be_interpreted_is_an_error(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(RaysweepError, match=message):
        open_source(str(write_parquet(tmp_path / "x.parquet", **columns)))


def test_a_file_that_is_not_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(RaysweepError, match=r"x\.parquet"):
        open_source(str(tmp_path / "x.parquet"))


def fabricate_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray[Any, Any]:
    """CIFAR-10's files with other contents, and torchvision's checksums changed to theirs."""
    cifar = import_torchvision().datasets.CIFAR10
    folder = root / cifar.base_folder
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (60, 3072), np.uint8)

    def save(name: str, content: dict[str, Any]) -> list[str]:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data).hexdigest()]

    names = [name for name, _ in cifar.train_list + cifar.test_list]
    files = [
        save(name, {"data": pixels[k * 10 : k * 10 + 10], "labels": list(range(10))}) for k, name in enumerate(names)
    ]
    classes = [f"class {k}" for k in range(10)]
    meta = save("batches.meta", {"label_names": classes})
    monkeypatch.setattr(cifar, "train_list", files[:5])
    monkeypatch.setattr(cifar, "test_list", files[5:])
    monkeypatch.setattr(cifar, "meta", {"filename": meta[0], "key": "label_names", "md5": meta[1]})
    return pixels.reshape(60, 3, 32, 32).transpose(0, 2, 3, 1)


def test_torchvisions_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = fabricate_cifar(tmp_path, monkeypatch)
    source = open_source("torchvision:CIFAR10", root=tmp_path)
    assert source.name == "cifar10"
    assert source.classes[3] == "class 3"
    np.testing.assert_array_equal(source.splits["train"].picture(11), pixels[11])
    np.testing.assert_array_equal(source.splits["test"].picture(4), pixels[54])
    assert source.splits["test"].name(4) == "test image 4"
    check_labels(source)


def test_a_changed_file_of_torchvisions_is_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fabricate_cifar(tmp_path, monkeypatch)

    class Attack:
        def __reduce__(self) -> Any:
            return Path(tmp_path / "attacked").touch, ()

    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(RaysweepError, match="--download"):
        open_source("torchvision:CIFAR10", root=tmp_path)
    assert not (tmp_path / "attacked").exists()


def test_unknown_sets_of_torchvision_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RaysweepError, match="Did you mean CIFAR10"):
        open_source("torchvision:CIFAR11", root=tmp_path)
    with pytest.raises(RaysweepError, match="CIFAR"):
        open_source("torchvision:CIFAR100", root=tmp_path)


def test_torchvision_is_imported_in_a_fresh_process() -> None:
    code = "from raysweep.write.sources.torchvision_sets import import_torchvision as t; print(t().datasets.CIFAR10)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=100)


def test_cifar10_as_distributed(real_images: Path) -> None:
    source = open_source(str(real_images / "cifar10.parquet"))
    assert (source.name, source.classes[9]) == ("cifar10", "truck")
    assert [len(source.splits[split]) for split in ("train", "test")] == [50_000, 9_000]
    check_labels(source)
