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
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from benchmarks._data_sides import MANY_CORES, SIDES
from benchmarks._harness import generated_images, measure, ratios, report

IMAGES, REPEATS = 2048, 7
STARTED = ("raysweep, JPEG", "raysweep, pixels", "FFCV, JPEG")
"""Sides whose time to the first batch is measured, each time in a new process."""
STARTS = 5
PAIRS = (
    ("raysweep, JPEG", "PIL + DataLoader"),
    ("raysweep, JPEG", "FFCV, JPEG"),
    ("raysweep, JPEG", "limit: decoding alone"),
    ("raysweep, pixels", "FFCV, pixels"),
    ("raysweep, JPEG decoded once", "FFCV, pixels"),
    ("raysweep, pixels", "raysweep, cut by torch"),
    ("raysweep, pixels", "limit: copying alone"),
    ("network inputs by raysweep", "network inputs by torch"),
)
"""Sides whose ratios are reported."""


class Side:
    """The process of one side."""

    def __init__(self, name: str, folder: Path) -> None:
        core = {min(os.sched_getaffinity(0))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._data_sides", name, str(folder), str(IMAGES)],
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

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def start_of(name: str, folder: Path) -> dict[str, float]:
    """Seconds and core-seconds to the first batch of a new process, excluding the import of torch."""
    with closing(Side(name, folder)) as side:
        return side.start


def main() -> None:
    """Measure all sides in turn."""
    with generated_images(IMAGES, encodings=("jpg", "raw")) as folder, ExitStack() as stack:
        started = {name: [start_of(name, folder) for _ in range(STARTS)] for name in STARTED}
        sides = {name: stack.enter_context(closing(Side(name, folder))) for name in SIDES}
        able = {name: side for name, side in sides.items() if "missing" not in side.start}
        rows = measure({name: side.rate for name, side in able.items()}, REPEATS)
        columns = {name: {"images/s": statistics.median(side.wall)} | side.ask("memory") for name, side in able.items()}
    for name in sides.keys() - able.keys():
        print(f"{name}: not measured, {sides[name].start['missing']}")
    starts = {
        f"first batch, {unit.replace('_', '-')}: {name}": statistics.median(s[f"first_batch_{unit}"] for s in found)
        for name, found in started.items()
        for unit in ("s", "core_s")
    }
    report("data_path", "images/core-s", rows, ratios(rows, *PAIRS) | starts, columns)


if __name__ == "__main__":
    main()
