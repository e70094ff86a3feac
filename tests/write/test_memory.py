"""Images in memory, and torchvision's sets of other kinds than CIFAR."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import raysweep
from raysweep.data.manifest import read_manifest
from raysweep.errors import RaysweepError
from raysweep.write.decode import upright
from raysweep.write.sources import open_source
from raysweep.write.sources.base import check_labels
from raysweep.write.sources.memory import MemorySource, as_picture
from raysweep.write.sources.torchvision_sets import LAYOUTS, import_torchvision
from tests.images import noise, picture

PIXELS = np.stack([noise(8, 9, seed) for seed in range(6)])
LABELS = [0, 1, 0, 1, 0, 1]


def forms() -> dict[str, Any]:
    tensor = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)
    return {
        "array": PIXELS,
        "array of channels first": PIXELS.transpose(0, 3, 1, 2),
        "tensor": tensor,
        "fractions": tensor.float() / 255,
        "list": [*PIXELS],
        "whole numbers": PIXELS.astype(np.int64),
        "images": [Image.fromarray(pixels) for pixels in PIXELS],
    }


@pytest.mark.parametrize("form", forms())
def test_every_form_of_images_is_the_same_set(form: str) -> None:
    source = MemorySource("mine", {"train": (forms()[form], LABELS)})
    train = source.splits["train"]
    part = pickle.loads(pickle.dumps(train.fetch([5, 2])))
    np.testing.assert_array_equal(upright(part(5)), PIXELS[5])
    np.testing.assert_array_equal([upright(train.picture(k)) for k in range(6)], PIXELS)


def test_a_torch_data_set_and_grey_images() -> None:
    grey = torch.from_numpy(PIXELS[..., 0])
    data = torch.utils.data.TensorDataset(grey[:, None], torch.tensor(LABELS))
    source = MemorySource("mine", {"train": (data, None), "test": (grey[:2], torch.tensor([1, 0]))}, ["cat", "dog"])
    check_labels(source)
    assert source.classes == ("cat", "dog")
    assert source.splits["train"].labels.tolist() == LABELS
    assert source.splits["test"].labels.tolist() == [1, 0]
    shown = upright(source.splits["train"].picture(3))
    np.testing.assert_array_equal(shown, np.repeat(PIXELS[3, ..., :1], 3, axis=2))


def test_names_are_numbered_together() -> None:
    source = MemorySource("mine", {"train": (PIXELS, ["b", "a"] * 3), "test": (PIXELS[:2], ["a", "b"])})
    assert source.classes == ("a", "b")
    assert source.splits["test"].labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("images", "labels", "named"),
    [
        (PIXELS, LABELS[:5], "6 images and 5 labels"),
        (PIXELS, np.eye(6), r"\(6, 6\).*argmax"),
        (PIXELS, [0.5] * 6, "0.5|whole numbers"),
        (PIXELS, [-1] * 6, "-1"),
        (PIXELS - 300.0, LABELS, "-300"),
        (PIXELS[..., :2], LABELS, r"\(8, 9, 2\)"),
        (PIXELS.reshape(6, -1), LABELS, r"\(216,\)"),
        (PIXELS[:0], [], "no images"),
    ],
)
def test_what_is_no_set_is_refused(images: Any, labels: Any, named: str) -> None:
    with pytest.raises(RaysweepError, match=named):
        MemorySource("mine", {"train": (images, labels)})


def test_pixels_that_are_no_colours_are_refused() -> None:
    with pytest.raises(RaysweepError, match="float32"):
        as_picture(torch.full((3, 4, 4), float("nan")))


def test_a_set_is_written_once_and_another_is_never_taken_for_it(tmp_path: Path) -> None:
    folder = raysweep.write_images(PIXELS, LABELS, tmp_path / "mine", test=(PIXELS[:2], LABELS[:2]), side=36)
    manifest = read_manifest(folder)
    assert {name: split.images for name, split in manifest.splits.items()} == {"train": 6, "test": 2}
    assert raysweep.write_images(PIXELS, LABELS, folder, test=(PIXELS[:2], LABELS[:2]), side=36) == folder
    assert read_manifest(folder) == manifest
    with pytest.raises(RaysweepError, match="mine"):
        raysweep.write_images(PIXELS[::-1], LABELS, folder, test=(PIXELS[:2], LABELS[:2]), side=36)
    planned = raysweep.plan("activation", protocol="demo", data=folder, variants="elu")
    assert {trial.recipe.data.digest for trial in planned} == {manifest.digest}


def idx(values: np.ndarray[Any, Any]) -> bytes:
    return b"\0\0\x08" + bytes([values.ndim]) + b"".join(size.to_bytes(4) for size in values.shape) + values.tobytes()


def fabricate(name: str, root: Path) -> None:
    """A small set of the form that torchvision reads."""
    files: dict[str, bytes | str | Image.Image] = {}
    if name == "MNIST":
        for part, count in (("train", 5), ("t10k", 3)):
            files[f"MNIST/raw/{part}-images-idx3-ubyte"] = idx(noise(count, 28 * 28, 1)[..., 0].reshape(count, 28, 28))
            files[f"MNIST/raw/{part}-labels-idx1-ubyte"] = idx(np.arange(count, dtype=np.uint8))
    elif name == "EuroSAT":
        files = {f"eurosat/2750/{kind}/{k}.jpg": picture(9, 9, k) for kind in ("Forest", "River") for k in range(5)}
    else:
        files = {f"oxford-iiit-pet/images/Cat_{k}.jpg": picture(9, 9, k) for k in range(4)}
        for split, rows in (("trainval", range(3)), ("test", range(3, 4))):
            files[f"oxford-iiit-pet/annotations/{split}.txt"] = "".join(f"Cat_{k} {k % 2 + 1} 1 1\n" for k in rows)
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Image.Image):
            content.save(root / path)
        else:
            (root / path).write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("name", ["MNIST", "EuroSAT", "OxfordIIITPet"])
def test_images_and_labels_are_torchvisions_own(tmp_path: Path, name: str) -> None:
    fabricate(name, tmp_path)
    source = open_source(f"torchvision:{name}", root=tmp_path)
    for split, how in LAYOUTS[name].splits.items():
        theirs = getattr(import_torchvision().datasets, name)(root=str(tmp_path), **how)
        ours = source.splits[split]
        if name == "EuroSAT":
            assert [len(part) for part in source.splits.values()] == [8, 2]
            continue
        assert ours.labels.tolist() == [theirs[k][1] for k in range(len(theirs))]
        for k in range(len(theirs)):
            np.testing.assert_array_equal(upright(ours.picture(k)), np.asarray(theirs[k][0].convert("RGB")))
    assert source.classes[0].lower().startswith({"MNIST": "0", "EuroSAT": "forest", "OxfordIIITPet": "cat"}[name])


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_every_set_is_one_of_torchvisions_and_is_asked_for_in_a_local_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(RaysweepError, match=name):
        open_source(f"torchvision:{name}", root=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_image_that_is_no_image_is_opened_by_us_only(tmp_path: Path) -> None:
    fabricate("OxfordIIITPet", tmp_path)
    (tmp_path / "oxford-iiit-pet/images/Cat_0.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    train = open_source("torchvision:OxfordIIITPet", root=tmp_path).splits["train"]
    assert isinstance(train.picture(0), bytes)
    with Image.open(io.BytesIO(train.picture(1))) as image:  # type: ignore[arg-type]
        assert image.size == (9, 9)
