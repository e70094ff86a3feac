"""Useful training over wall time times workers, for the activation study with trials of ten seconds and of a minute.

Runs `raysweep run activation` as a user does, on generated images of 144 px stored as JPEG, with CaffeNet at an eighth
of its width and two workers of one thread each. Useful time is what the trials spent in updates and tests, without
waiting for images. The wall time is that of the whole command, including the start of Ray and of the workers, and,
separately, from the first trial's start to the last one's end. The number of epochs sets how long a trial lasts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import raysweep.data.loops  # noqa: F401 - compiled before anything is measured
from benchmarks._harness import Row, report
from raysweep.store.store import Store
from raysweep.write.sources.generated import GeneratedSource
from raysweep.write.write_sets import write_images

TRAIN, TEST, SIDE, WORKERS = 1024, 256, 144, 2
VARIANTS = "elu,tanh,prelu"
SWEEPS = {"10 s": (1, 4), "60 s": (6, 2)}
"""Approximate duration of a trial -> its epochs relative to those of ten seconds, and the number of seeds."""


def sweep(images: Path, store: Path, epochs: int, seeds: int) -> float:
    """Run the study; returns its duration in seconds."""
    words = ["run", "activation", "--protocol", "imagenette128", "--data", str(images), "--store", str(store)]
    words += ["--width", "0.125", "--batch-size", "64", "--epochs", str(epochs), "--variants", VARIANTS]
    words += ["--seeds", str(seeds), "--workers", str(WORKERS)]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "raysweep", *words], check=True, capture_output=True)
    return time.perf_counter() - start


def figures(store: Path, wall_s: float) -> dict[str, float]:
    """Return the efficiency of the whole command and of its trials only, and the duration of the trials."""
    rows: list[dict[str, Any]] = Store.open(str(store)).trials().to_pylist()
    useful = sum(row["wall_s"] - row["data_wait_s"] for row in rows)
    trials_s = (max(row["updated_at"] for row in rows) - min(row["started_at"] for row in rows)).total_seconds()
    return {
        "whole command": useful / (WORKERS * wall_s),
        "sweep alone": useful / (WORKERS * trials_s),
        "s of a trial": sum(row["wall_s"] for row in rows) / len(rows),
        "trials": len(rows),
    }


def epochs_of(images: Path, folder: Path, seconds: float) -> int:
    """Return the number of epochs that take about this long, measured by a sweep of two epochs."""
    sweep(images, folder / "probe", 2, 1)
    rows: list[dict[str, Any]] = Store.open(str(folder / "probe")).epochs().to_pylist()
    last = [float(row["wall_s"]) for row in rows if row["epoch"] == 2]
    return max(1, round(seconds * len(last) / sum(last)))


def main() -> None:
    """Measure sweeps of short and of longer trials."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(GeneratedSource(TRAIN, TEST, side=SIDE), folder / "images", encoding="jpg")
        ten = epochs_of(folder / "images", folder, 10)
        for lasting, (times, seeds) in SWEEPS.items():
            wall_s = sweep(folder / "images", folder / lasting, times * ten, seeds)
            found[lasting] = figures(folder / lasting, wall_s)
    rows = [
        Row(f"trials of {lasting}, {what}", of[what], of[what], of[what], 1)
        for lasting, of in found.items()
        for what in ("whole command", "sweep alone")
    ]
    columns = {
        row.side: {key: of[key] for key in ("s of a trial", "trials")}
        for lasting, of in found.items()
        for row in rows
        if row.side.startswith(f"trials of {lasting}")
    }
    report("sweep_efficiency", "useful share", rows, {}, columns)


if __name__ == "__main__":
    main()
