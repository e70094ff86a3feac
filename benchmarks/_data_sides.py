"""The sides of `data_path`, each in a separate process that is controlled by lines on its standard input.

`python -m benchmarks._data_sides SIDE FOLDER IMAGES` prints the time to the first batch, excluding the import of torch.
It then answers `epoch` with the images, seconds and CPU seconds of an epoch, and `memory` with MiB.
"""

from __future__ import annotations

import ctypes
import importlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

CROP, BATCH, WORKERS = 128, 256, 2
MEAN, SCALE = (124.0, 117.0, 104.0), 0.04
FFCV_SETS = 8
"""Passes over the set in an epoch of FFCV: it allocates memory in each epoch, little compared with a large set."""
Pixels = NDArray[np.uint8]
Epoch = Callable[[], Iterator[Any]]
"""The batches of an epoch, a new epoch each time."""


def opened(folder: Path, encoding: str) -> Any:
    """The training images stored in one encoding."""
    from raysweep.data.image_file import ImageFile
    from raysweep.data.manifest import read_manifest

    return ImageFile.open(folder / encoding, read_manifest(folder / encoding), "train")


def ours(file: Any) -> Epoch:
    """raysweep's training stream."""
    from raysweep.data.stream import TrainStream

    stream = TrainStream(file, side=CROP, batch_size=BATCH, seed=0)
    return numbered(stream.batch, file.num_images)


def numbered(batch: Callable[[int], Any], images: int) -> Epoch:
    """Epochs of batches that are addressed by number."""
    numbers = count()
    return lambda: map(batch, islice(numbers, images // BATCH))


def decoded_once(folder: Path) -> Epoch:
    """raysweep's training stream from the JPEG set decoded in memory, which the processes of a node share."""
    from raysweep.data.in_memory import open_images
    from raysweep.data.manifest import read_manifest

    file = open_images(folder / "jpg", read_manifest(folder / "jpg"), "train")
    assert not file.is_encoded
    return ours(file)


def cut_by_torch(folder: Path) -> Epoch:
    """Batches cut by torch as on an accelerator, but on the CPU with one thread."""
    from raysweep.data.on_device import DeviceImages, DeviceStream
    from raysweep.data.stream import TrainStream

    torch.set_num_threads(1)
    file = opened(folder, "raw")
    stream = TrainStream(file, side=CROP, batch_size=BATCH, seed=0)
    return numbered(DeviceStream(stream, DeviceImages(file, torch.device("cpu"))).batch, file.num_images)


class Pictures(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """JPEGs in memory as a data set of torch: decoded, cropped and mirrored one by one."""

    def __init__(self, file: Any, decode: Callable[[bytes], torch.Tensor]) -> None:
        self.pictures = [file.beton.stored(index).tobytes() for index in range(file.num_images)]
        self.labels = file.labels.tolist()
        self.decode = decode

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        pixels = self.decode(self.pictures[index])
        top, left = (int(torch.randint(0, size - CROP + 1, ())) for size in pixels.shape[-2:])
        crop = pixels[:, top : top + CROP, left : left + CROP]
        return (crop.flip(2) if torch.rand(()) < 0.5 else crop), self.labels[index]


def by_pil(picture: bytes) -> torch.Tensor:
    """The pixels (3, H, W) of a picture, decoded by PIL."""
    from PIL import Image

    return torch.from_numpy(np.array(Image.open(io.BytesIO(picture), formats=["JPEG"]).convert("RGB"))).permute(2, 0, 1)


def by_torchvision(picture: bytes) -> torch.Tensor:
    """The pixels (3, H, W) of a picture, decoded by torchvision's C++ operator."""
    decode = importlib.import_module("torchvision.io").decode_jpeg
    return torch.as_tensor(decode(torch.frombuffer(bytearray(picture), dtype=torch.uint8)))


def data_loader(folder: Path, decode: Callable[[bytes], torch.Tensor]) -> Epoch:
    """torch's loader with two persistent worker processes."""
    pictures = Pictures(opened(folder, "jpg"), decode)
    decode(pictures.pictures[0])  # fails here if it is not installed
    loader = torch.utils.data.DataLoader(
        pictures, BATCH, shuffle=True, drop_last=True, num_workers=WORKERS, persistent_workers=True
    )
    return lambda: iter(loader)


def ffcv_loader(folder: Path, encoding: str) -> Epoch:
    """FFCV's own loader as installed, with its abstract decoder and a crop at the stored size."""
    decoders, transforms, loader = map(
        importlib.import_module, ("ffcv.fields.rgb_image", "ffcv.transforms", "ffcv.loader")
    )

    class RandomCrop(decoders.ResizedCropRGBImageDecoder):  # type: ignore[misc, name-defined]
        scale = ratio = 1.0

        @property
        def get_crop_generator(self) -> Callable[..., tuple[int, int, int, int]]:
            def crop(height: int, width: int, scale: float, ratio: float) -> tuple[int, int, int, int]:
                return np.random.randint(0, height - 128 + 1), np.random.randint(0, width - 128 + 1), 128, 128

            return crop

    images = [RandomCrop((CROP, CROP)), transforms.RandomHorizontalFlip()]
    made = loader.Loader(
        str(folder / encoding / "train.beton"),
        batch_size=BATCH,
        num_workers=1,
        order=loader.OrderOption.RANDOM,
        indices=np.tile(np.arange(opened(folder, encoding).num_images), FFCV_SETS),
        drop_last=True,
        pipelines={"image": images, "label": None},
    )
    return lambda: iter(made)


def decoding_alone(folder: Path) -> Epoch:
    """Decoding by FFCV's libjpeg-turbo into one buffer."""
    from raysweep.data.loops import FFCV, scratch

    file = opened(folder, "jpg")
    beton, room = file.beton, scratch(file.scratch_pixels)
    store, target = beton.store.ctypes.data, room.ctypes.data
    tables = zip(*(part.tolist() for part in (beton.starts, beton.sizes, beton.heights, beton.widths)), strict=True)
    decode = FFCV.imdecode
    wide, narrow = ctypes.c_uint64, ctypes.c_uint32
    decode.argtypes = [wide, wide, narrow, narrow, wide, *[narrow] * 6, ctypes.c_bool, ctypes.c_bool]
    calls = [(store + at, size, h, w, target, h, w, 0, 0, 1, 1, False, False) for at, size, h, w in tables]

    def epoch() -> Iterator[Any]:
        yield from (decode(*call) for call in calls)
        assert room.any()  # keeps the buffer and
        assert len(beton)  # the file alive

    return epoch


def network_inputs(folder: Path, normalise: Callable[[Pixels], Any]) -> Epoch:
    """Batches in memory converted to float32, centred and scaled, channels last, on one thread."""
    torch.set_num_threads(1)
    images = [batch.images for batch in ours(opened(folder, "raw"))()]
    return lambda: map(normalise, images)


def by_torchs_operators(images: Pixels) -> torch.Tensor:
    """Normalise with torch's operators, in place."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    return pixels.float().sub_(torch.tensor(MEAN).view(1, 3, 1, 1)).mul_(SCALE)


def by_our_loop(images: Pixels) -> NDArray[np.float32]:
    """Normalise with our compiled loop, in one pass."""
    from raysweep.data.loops import normalise

    return normalise(images, MEAN, SCALE)


def copying_alone(folder: Path) -> Epoch:
    """A copy of as many bytes as a crop has, from each image in random order."""
    file = opened(folder, "raw")
    order = np.random.default_rng(0).permutation(file.num_images)
    starts, size = file.beton.starts[order].astype(np.int64).tolist(), CROP * CROP * 3
    batch = np.empty((BATCH, size), np.uint8)

    def epoch() -> Iterator[Any]:
        for k, start in enumerate(starts):
            batch[k % BATCH] = file.beton.store[start : start + size]
            yield

    return epoch


SIDES: dict[str, Callable[[Path], Epoch]] = {
    "PIL + DataLoader": lambda folder: data_loader(folder, by_pil),
    "torchvision + DataLoader": lambda folder: data_loader(folder, by_torchvision),
    "FFCV, JPEG": lambda folder: ffcv_loader(folder, "jpg"),
    "raysweep, JPEG": lambda folder: ours(opened(folder, "jpg")),
    "limit: decoding alone": decoding_alone,
    "FFCV, pixels": lambda folder: ffcv_loader(folder, "raw"),
    "raysweep, pixels": lambda folder: ours(opened(folder, "raw")),
    "raysweep, JPEG decoded once": decoded_once,
    "raysweep, cut by torch": cut_by_torch,
    "limit: copying alone": copying_alone,
    "network inputs by torch": lambda folder: network_inputs(folder, by_torchs_operators),
    "network inputs by raysweep": lambda folder: network_inputs(folder, by_our_loop),
}
MANY_CORES = ("PIL + DataLoader", "torchvision + DataLoader")
"""Sides with several processes; all others stay on one core."""


def processes() -> list[str]:
    """The ids of this process and its workers."""
    children = (path.read_text().split() for path in Path("/proc/self/task").glob("*/children"))
    return [str(os.getpid()), *(child for found in children for child in found)]


def cpu_s() -> float:
    """The CPU seconds of this process and (to 0.01 s) its workers so far."""
    stats = (Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split() for process in processes()[1:])
    return time.process_time() + sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")


def memory_mib() -> dict[str, float]:
    """The peak resident memory and the current anonymous memory of this process and its workers."""
    text = [Path(f"/proc/{process}/status").read_text().splitlines() for process in processes()]
    lines = [line.split() for status in text for line in status if line.startswith(("VmHWM", "RssAnon"))]
    return {
        name: sum(int(line[1]) for line in lines if line[0] == f"{entry}:") / 1024
        for name, entry in (("peak_rss_mib", "VmHWM"), ("anonymous_mib", "RssAnon"))
    }


def timed(epoch: Epoch, images: int) -> dict[str, float]:
    """Measure epochs until they have taken half a second of CPU time, at least one."""
    start, cpu, epochs = time.perf_counter(), cpu_s(), 0
    while epochs == 0 or cpu_s() - cpu < 0.5:
        for _ in epoch():
            pass
        epochs += 1
    return {"images": epochs * images, "wall_s": time.perf_counter() - start, "cpu_s": cpu_s() - cpu}


def main() -> None:
    """Serve one side."""
    side, folder, images = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    images *= FFCV_SETS if side.startswith("FFCV") else 1
    start, cpu = time.perf_counter(), time.process_time()
    try:
        epoch = SIDES[side](folder)
        batches = epoch()
        next(batches)
    except (ImportError, RuntimeError, AttributeError) as error:
        print(json.dumps({"missing": f"{type(error).__name__}: {error}".splitlines()[0]}), flush=True)
        return
    found = {"first_batch_s": time.perf_counter() - start, "first_batch_core_s": time.process_time() - cpu}
    print(json.dumps(found), flush=True)
    for _ in batches:
        pass
    for line in sys.stdin:
        print(json.dumps(memory_mib() if line.strip() == "memory" else timed(epoch, images)), flush=True)


if __name__ == "__main__":
    main()
