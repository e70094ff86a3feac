"""Images per core-second of the data path: raysweep against PIL, torchvision, FFCV and the limits of the machine.

Generated images of 144 px are cropped to 128 px at random, mirrored at random, and returned in batches of 256 as uint8.
The limit for JPEG is libjpeg-turbo's decoder without cropping, in FFCV's build; the limit for stored pixels is a copy
of as many bytes from random addresses. Network inputs are batches in memory converted to float32, centred and scaled.
FFCV's own loader crops with its abstract decoder, which copies pixels if nothing is resized. Every side is a separate
warmed-up process on one core; torch's loader has two workers on two cores, whose CPU time is included. A core-second is
CPU time, which depends less on other processes of the machine than wall-clock time does.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import raysweep.data.loops  # noqa: F401 - compiled before anything is measured
from benchmarks._data_sides import MANY_CORES, SIDES
from benchmarks._harness import Row, measure, report
from raysweep.write.sources.generated import GeneratedSource
from raysweep.write.write_sets import write_images

IMAGES, STORED, REPEATS = 2048, 144, 7
STARTED = ("raysweep, JPEG", "raysweep, pixels", "FFCV, JPEG")
"""Sides whose time to the first batch is measured, each time in a new process."""
STARTS = 5


class Side:
    """The process of one side."""

    def __init__(self, name: str, folder: Path) -> None:
        core = {min(os.sched_getaffinity(0))}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("_data_sides.py")), name, str(folder), str(IMAGES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=None if name in MANY_CORES else lambda: os.sched_setaffinity(0, core),
        )
        self.wall: list[float] = []
        self.start = self._answer()

    def ask(self, question: str) -> dict[str, Any]:
        """Send a line; returns the answer."""
        assert self.process.stdin
        self.process.stdin.write(f"{question}\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def rate(self) -> float:
        """The images per core-second of a few epochs."""
        found = self.ask("epoch")
        self.wall.append(found["images"] / found["wall_s"])
        return float(found["images"] / found["cpu_s"])

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()


@contextmanager
def generated() -> Iterator[Path]:
    """The images as JPEG and as pixels, in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        for encoding in ("jpg", "raw"):
            write_images(GeneratedSource(IMAGES, 10, side=STORED), Path(name) / encoding, encoding=encoding)
        yield Path(name)


def start_of(name: str, folder: Path) -> dict[str, float]:
    """Seconds and core-seconds to the first batch of a new process, excluding the import of torch."""
    with Side(name, folder) as side:
        return side.start


def main() -> None:
    """Measure all sides in turn."""
    with generated() as folder, ExitStack() as stack:
        started = {name: [start_of(name, folder) for _ in range(STARTS)] for name in STARTED}
        sides = {name: stack.enter_context(Side(name, folder)) for name in SIDES}
        able = {name: side for name, side in sides.items() if "missing" not in side.start}
        rows = measure({name: side.rate for name, side in able.items()}, REPEATS)
        columns = {name: columns_of(side) for name, side in able.items()}
    for name, side in sides.items():
        if name not in able:
            print(f"{name}: not measured, {side.start['missing']}")
    starts = {
        f"first batch, {unit.replace('_', '-')}: {name}": statistics.median(s[f"first_batch_{unit}"] for s in found)
        for name, found in started.items()
        for unit in ("s", "core_s")
    }
    report("data_path", "images/core-s", rows, ratios(rows) | starts, columns)


def columns_of(side: Side) -> dict[str, float]:
    """Further columns of a side, next to its rate."""
    return {"images/s": statistics.median(side.wall)} | side.ask("memory")


def ratios(rows: list[Row]) -> dict[str, float]:
    """The ratios between sides that the benchmark reports."""
    medians = {row.side: row.median for row in rows}
    pairs = [
        ("raysweep, JPEG", "PIL + DataLoader"),
        ("raysweep, JPEG", "FFCV, JPEG"),
        ("raysweep, JPEG", "limit: decoding alone"),
        ("raysweep, pixels", "FFCV, pixels"),
        ("raysweep, JPEG decoded once", "FFCV, pixels"),
        ("raysweep, pixels", "raysweep, cut by torch"),
        ("raysweep, pixels", "limit: copying alone"),
        ("network inputs by raysweep", "network inputs by torch"),
    ]
    return {f"{a} over {b}": medians[a] / medians[b] for a, b in pairs}


if __name__ == "__main__":
    main()
