from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import torch

from raysweep.data.beton import read_beton
from raysweep.data.image_file import ImageFile
from raysweep.data.manifest import Manifest
from raysweep.data.randomness import held_out, subset
from raysweep.data.stream import Batch, TestStream, TrainStream
from raysweep.errors import RaysweepError
from raysweep.write.sources.generated import GeneratedSource

Stored = dict[str, tuple[Path, Manifest]]


@pytest.fixture(params=["raw", "jpg"])
def file(request: pytest.FixtureRequest, stored: Stored) -> ImageFile:
    return ImageFile.open(*stored[request.param], "train")


def stream(file: ImageFile, **changes: Any) -> TrainStream:
    return TrainStream(file, **({"side": 32, "batch_size": 16, "seed": 5} | changes))


def same(first: Batch, second: Batch) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("images", "labels", "indices"))


def flat(stream: TrainStream, positions: int) -> Batch:
    """The first positions of a stream as one batch."""
    batches = [stream.batch(k) for k in range(-(-positions // stream.batch_size))]
    parts = {name: np.concatenate([getattr(b, name) for b in batches])[:positions] for name in Batch.__annotations__}
    return Batch(**parts)


FFCV_LOADER = """
import sys, numpy as np
import numba.typed
typed, numba.typed.Dict = numba.typed.Dict, dict  # compiled at import, which takes seconds; a dict is enough
import ffcv
numba.typed.Dict = typed
from ffcv.fields.decoders import IntDecoder
from ffcv.fields.rgb_image import Compiler, IMAGE_MODES, ResizedCropRGBImageDecoder, imdecode, resize_crop
from ffcv.loader import Loader, OrderOption

class WindowDecoder(ResizedCropRGBImageDecoder):
    # FFCV's abstract decoder and its functions; the windows are looked up, where its subclasses draw them.
    get_crop_generator = None

    def __init__(self, tops, lefts, side):
        super().__init__((side, side))
        self.tops, self.lefts = tops, lefts

    def generate_code(self):
        read, jpg, tops, lefts, side = self.memory_read, IMAGE_MODES["jpg"], self.tops, self.lefts, self.output_size[0]
        decode_c, crop_c = Compiler.compile(imdecode), Compiler.compile(resize_crop)

        def decode(batch_indices, my_storage, metadata, storage_state):
            destination, temporary = my_storage
            for k in range(len(batch_indices)):
                i = batch_indices[k]
                field = metadata[i]
                data = read(field["data_ptr"], storage_state)
                height, width = np.uint32(field["height"]), np.uint32(field["width"])
                if field["mode"] == jpg:
                    picture = temporary[k]
                    decode_c(data, picture, height, width, height, width, 0, 0, 1, 1, False, False)
                    picture = picture.reshape(-1)[:3 * height * width].reshape(height, width, 3)
                else:
                    picture = data.reshape(height, width, 3)
                crop_c(picture, tops[i], tops[i] + side, lefts[i], lefts[i] + side, destination[k])
            return destination[:len(batch_indices)]

        return decode

for path, order, out in zip(*[iter(sys.argv[1:])] * 3):
    wanted = np.load(order)
    decoder = WindowDecoder(wanted["tops"], wanted["lefts"], int(wanted["side"]))
    loader = Loader(path, batch_size=20, num_workers=1, order=OrderOption.SEQUENTIAL, drop_last=False,
                    indices=wanted["indices"], pipelines={"image": [decoder], "label": [IntDecoder()]})
    batches = [(images.copy(), labels.copy()) for images, labels in loader]
    np.savez(out, images=np.concatenate([b[0] for b in batches]), labels=np.concatenate([b[1] for b in batches]))
"""


def read_by_both(folder: Path, manifest: Manifest, work: Path) -> tuple[list[str], TrainStream]:
    """Arguments that make FFCV read the second epoch of our stream of a file, and the stream."""
    ours = TrainStream(ImageFile.open(folder, manifest, "train"), side=28, batch_size=8, seed=5)
    crops = ours.crops(np.arange(ours.num_images, 2 * ours.num_images))
    tops, lefts = np.zeros((2, ours.num_images), np.int64)
    tops[crops.ids], lefts[crops.ids] = crops.where[:, 1], crops.where[:, 2]
    np.savez(work / f"{folder.name}.npz", indices=crops.ids, tops=tops, lefts=lefts, side=28)
    out = work / f"{folder.name}-ffcv.npz"
    return [str(path) for path in (folder / "train.beton", work / f"{folder.name}.npz", out)], ours


def test_pixels_and_labels_are_those_of_ffcvs_loader(mixed_sizes: Stored, tmp_path: Path) -> None:
    """FFCV's loader and decoder read the same file, indices and windows; only its randomness is replaced."""
    asked = [read_by_both(*mixed_sizes[encoding], tmp_path) for encoding in ("raw", "jpg")]
    command = [sys.executable, "-c", FFCV_LOADER, *(word for words, _ in asked for word in words)]
    subprocess.run(command, check=True, timeout=250)
    for words, ours in asked:
        found, mine = np.load(words[-1]), [ours.batch(k) for k in range(ours.num_images // 8, 2 * ours.num_images // 8)]
        mirrored = ours.crops(np.arange(ours.num_images, 2 * ours.num_images)).where[:, 3].astype(bool)
        assert 0 < mirrored.sum() < len(mirrored)
        expected = np.where(mirrored[:, None, None, None], found["images"][:, :, ::-1], found["images"])
        np.testing.assert_array_equal(np.concatenate([batch.images for batch in mine]), expected)
        np.testing.assert_array_equal(np.concatenate([batch.labels for batch in mine]), found["labels"].reshape(-1))


def test_raw_files_hold_the_pixels_of_the_source(stored: Stored) -> None:
    samples = GeneratedSource(120, 50, side=40, seed=3).splits["test"]
    file = ImageFile.open(*stored["raw"], "test")
    images = TestStream(file, side=40, batch_size=7).batch(0).images
    np.testing.assert_array_equal(images, np.stack([samples.picture(index) for index in range(7)]))
    np.testing.assert_array_equal(file.labels, samples.labels)


def test_jpg_files_are_close_to_the_source(stored: Stored) -> None:
    pixels = [TestStream(ImageFile.open(*stored[e], "test"), side=40, batch_size=50).batch(0).images for e in stored]
    assert np.abs(pixels[0].astype(int) - pixels[1].astype(int)).mean() < 15


def test_every_image_comes_once_per_epoch(file: ImageFile) -> None:
    indices = flat(stream(file), 360).indices.reshape(3, 120)
    for epoch in indices:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(120))
    assert not np.array_equal(indices[0], indices[1])


def test_batches_span_the_end_of_an_epoch(file: ImageFile) -> None:
    straddling = stream(file).batch(7)
    assert len(straddling.indices) == 16
    np.testing.assert_array_equal(straddling.indices[8:], stream(file, batch_size=8).batch(15).indices)


@pytest.mark.parametrize("changes", [{"batch_size": 7}, {"batch_size": 300}, {"threads": 3}])
def test_images_depend_neither_on_batch_size_nor_on_threads(file: ImageFile, changes: dict[str, Any]) -> None:
    assert same(flat(stream(file, pad=2), 250), flat(stream(file, pad=2, **changes), 250))


def test_rows_are_rows_of_the_whole_batch(file: ImageFile) -> None:
    whole, part = stream(file).batch(7), stream(file).batch(7, rows=slice(5, 11))
    assert same(part, Batch(whole.images[5:11], whole.labels[5:11], whole.indices[5:11]))


def test_any_batch_can_be_read_without_those_before_it(file: ImageFile) -> None:
    used = stream(file)
    for k in range(12):
        used.batch(k)
    assert same(used.batch(12), stream(file).batch(12))


OTHER_PROCESS = """
import sys, hashlib
from pathlib import Path
from raysweep.data.manifest import read_manifest
from raysweep.data.image_file import ImageFile
from raysweep.data.stream import TrainStream
folder = Path(sys.argv[1])
file = ImageFile.open(folder, read_manifest(folder), "train")
batch = TrainStream(file, side=32, batch_size=16, seed=5, pad=2, threads=2).batch(9)
print(hashlib.sha256(batch.images.tobytes() + batch.indices.tobytes()).hexdigest())
"""


def test_another_process_gets_the_same_batch(stored: Stored) -> None:
    folder, manifest = stored["jpg"]
    batch = stream(ImageFile.open(folder, manifest, "train"), pad=2).batch(9)
    here = hashlib.sha256(batch.images.tobytes() + batch.indices.tobytes()).hexdigest()
    there = subprocess.run([sys.executable, "-c", OTHER_PROCESS, folder], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_neighbouring_seeds_and_epochs_have_unrelated_orders(file: ImageFile) -> None:
    # FFCV's seed s epoch e is seed s + 1 epoch e - 1.
    orders = [flat(stream(file, seed=seed), 360).indices.reshape(3, 120) for seed in (0, 1, 2)]
    every = [order for orders_of_seed in orders for order in orders_of_seed]
    for first in range(9):
        for second in range(first):
            assert (every[first] == every[second]).mean() < 0.1


def test_crops_and_mirrors_are_of_the_stored_image(stored: Stored) -> None:
    """Each crop is found in its image, mirrored or not; all positions and both orientations occur."""
    file = ImageFile.open(*stored["raw"], "train")
    whole = TestStream(file, side=40, batch_size=120).batch(0).images
    batch = flat(stream(file, side=38), 480)
    places = [place_of(crop, whole[index]) for crop, index in zip(batch.images, batch.indices, strict=True)]
    counts = {place: places.count(place) for place in places}
    assert len(counts) == 3 * 3 * 2
    assert min(counts.values()) > 480 / 18 / 3


def place_of(crop: np.ndarray[Any, Any], image: np.ndarray[Any, Any]) -> tuple[int, int, bool]:
    side = len(crop)
    for mirrored in (False, True):
        seen = crop[:, ::-1] if mirrored else crop
        for top in range(len(image) - side + 1):
            for left in range(image.shape[1] - side + 1):
                if np.array_equal(image[top : top + side, left : left + side], seen):
                    return top, left, mirrored
    raise AssertionError("no crop of this image")


def test_the_border_is_black_and_mirrored_with_the_image(stored: Stored) -> None:
    file = ImageFile.open(*stored["raw"], "train")
    whole = TestStream(file, side=40, batch_size=120).batch(0).images
    padded = np.pad(whole, ((0, 0), (3, 3), (3, 3), (0, 0)))
    batch = flat(stream(file, side=40, pad=3), 120)
    for crop, index in zip(batch.images, batch.indices, strict=True):
        place_of(crop, padded[index])


def test_without_mirror_nothing_is_mirrored(stored: Stored) -> None:
    file = ImageFile.open(*stored["raw"], "train")
    whole = TestStream(file, side=40, batch_size=120).batch(0).images
    batch = stream(file, side=38, mirror=False).batch(0)
    assert not any(place_of(crop, whole[i])[2] for crop, i in zip(batch.images, batch.indices, strict=True))


def test_a_subset_streams_its_images_with_the_crops_they_have_in_the_whole_set(file: ImageFile) -> None:
    kept = subset(file.labels, 0.5, 0)
    half = stream(file, indices=kept)
    assert half.num_images == 60
    seen = flat(half, 60)
    np.testing.assert_array_equal(np.sort(seen.indices), kept)
    everything = flat(stream(file), 120)
    at = {index: position for position, index in enumerate(everything.indices)}
    for image, index in zip(seen.images, seen.indices, strict=True):
        np.testing.assert_array_equal(image, everything.images[at[index]])


def test_testing_sees_the_centre_of_every_image_once(stored: Stored) -> None:
    file = ImageFile.open(*stored["raw"], "test")
    whole = TestStream(file, side=40, batch_size=50).batch(0).images
    test = TestStream(file, side=32, batch_size=16)
    batches = [test.batch(k) for k in range(len(test))]
    assert [len(batch.labels) for batch in batches] == [16, 16, 16, 2]
    np.testing.assert_array_equal(np.concatenate([b.images for b in batches]), whole[:, 4:36, 4:36])
    np.testing.assert_array_equal(np.concatenate([b.indices for b in batches]), np.arange(50))
    with pytest.raises(IndexError):
        test.batch(4)


def test_testing_a_part_sees_its_images_as_in_the_whole(file: ImageFile) -> None:
    held = held_out(file.labels, 0.25)
    test, whole = TestStream(file, side=32, batch_size=16, indices=held), TestStream(file, side=32, batch_size=120)
    batches = [test.batch(k) for k in range(len(test))]
    assert [len(batch.labels) for batch in batches] == [16, 14]
    np.testing.assert_array_equal(np.concatenate([b.indices for b in batches]), held)
    np.testing.assert_array_equal(np.concatenate([b.images for b in batches]), whole.batch(0).images[held])
    np.testing.assert_array_equal(np.concatenate([b.labels for b in batches]), file.labels[held])
    assert test.pixels_key() != whole.pixels_key()


def test_thread_counts_of_torch_and_numba_are_unchanged(file: ImageFile) -> None:
    before = torch.get_num_threads(), numba.get_num_threads()
    stream(file, threads=2).batch(0)
    assert (torch.get_num_threads(), numba.get_num_threads()) == before


def test_images_smaller_than_the_crop_are_refused_with_their_count(file: ImageFile) -> None:
    with pytest.raises(RaysweepError, match="120 of 120"):
        stream(file, side=41)
    with pytest.raises(RaysweepError, match="2 px"):
        stream(file, side=45, pad=2)
    with pytest.raises(RaysweepError, match="120 of 120"):
        TestStream(file, side=41, batch_size=8)
    assert stream(file, side=41, pad=1).batch(0).images.shape == (16, 41, 41, 3)


@pytest.mark.parametrize("indices", [[-1], [120], [], [True, False], [1, 1]])
def test_invalid_indices_are_refused(file: ImageFile, indices: list[int]) -> None:
    # FFCV would read beyond the end of the file, or wait forever.
    with pytest.raises(RaysweepError):
        stream(file, indices=np.array(indices))


@pytest.mark.parametrize("changes", [{"batch_size": 0}, {"threads": 0}])
def test_invalid_settings_are_refused(file: ImageFile, changes: dict[str, int]) -> None:
    with pytest.raises(RaysweepError, match="0"):
        stream(file, **changes)


def test_an_image_that_cannot_be_decoded_is_an_error(stored: Stored, tmp_path: Path) -> None:
    # FFCV would return a black image or the previous one.
    folder, manifest = stored["jpg"]
    split = manifest.splits["train"]
    path = tmp_path / split.file
    data = bytearray((folder / split.file).read_bytes())
    beton = read_beton(folder / split.file)
    data[int(beton.starts[17]) : int(beton.starts[17]) + 40] = bytes(40)
    path.write_bytes(data)
    damaged = stream(ImageFile.open(tmp_path, manifest, "train"), threads=2)
    with pytest.raises(RaysweepError, match=r"train\.beton.*\bimage 17\b"):
        flat(damaged, 120)
    good = stream(ImageFile.open(folder, manifest, "train"))
    number = next(k for k in range(8) if 17 not in good.batch(k).indices)
    assert same(damaged.batch(number), good.batch(number))


def test_a_file_with_other_labels_than_its_manifest_is_refused(stored: Stored) -> None:
    folder, manifest = stored["raw"]
    fewer = json.loads(manifest.to_json())
    fewer["classes"] = fewer["classes"][:9]
    for split in fewer["splits"].values():
        split["class_counts"] = [*split["class_counts"][:8], sum(split["class_counts"][8:])]
    with pytest.raises(RaysweepError, match="labels"):
        ImageFile.open(folder, Manifest.from_json(json.dumps(fewer)), "train")
