"""Useful training over wall time times workers, for the activation study with trials of ten seconds and of a minute.

Runs `raysweep run activation` as a user does, on generated images of 144 px stored as JPEG, with CaffeNet at an eighth
of its width and two workers of one thread each. Useful time is what the trials spent in updates and tests, without
waiting for images. The wall time is that of the whole command, including the start of Ray and of the workers, and,
separately, from the first trial's start to the last one's end. The number of epochs sets how long a trial lasts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks._harness import Row, command_seconds, generated_images, report
from raysweep.store.store import Store

TRAIN, TEST, WORKERS = 1024, 256, 2
VARIANTS = "elu,tanh,prelu"
SWEEPS = {"10 s": (1, 4), "60 s": (6, 2)}
"""Approximate duration of a trial -> its epochs relative to those of ten seconds, and the number of seeds."""


def sweep(folder: Path, store: Path, epochs: int, seeds: int) -> float:
    """Run the study; returns its duration in seconds."""
    words = ["run", "activation", "--protocol", "imagenette128", "--data", f"{folder}/jpg", "--store", str(store)]
    words += ["--width", "0.125", "--batch-size", "64", "--epochs", str(epochs), "--variants", VARIANTS]
    return command_seconds(*words, "--seeds", str(seeds), "--workers", str(WORKERS))


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


def epochs_of(folder: Path, seconds: float) -> int:
    """Return the number of epochs that take about this long, measured by a sweep of two epochs."""
    sweep(folder, folder / "probe", 2, 1)
    rows: list[dict[str, Any]] = Store.open(str(folder / "probe")).epochs().to_pylist()
    last = [float(row["wall_s"]) for row in rows if row["epoch"] == 2]
    return max(1, round(seconds * len(last) / sum(last)))


def main() -> None:
    """Measure sweeps of short and of longer trials."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    rows: list[Row] = []
    columns: dict[str, dict[str, float]] = {}
    with generated_images(TRAIN, TEST) as folder:
        ten = epochs_of(folder, 10)
        for lasting, (times, seeds) in SWEEPS.items():
            wall_s = sweep(folder, folder / lasting, times * ten, seeds)
            found = figures(folder / lasting, wall_s)
            for span in ("whole command", "sweep alone"):
                rows.append(Row.of(f"trials of {lasting}, {span}", [found[span]]))
                columns[rows[-1].side] = {name: found[name] for name in ("s of a trial", "trials")}
    report("sweep_efficiency", "useful share", rows, {}, columns)


if __name__ == "__main__":
    main()
