"""What every benchmark shares: repeated timings taken in turn, the machine they are true of, one table and one file."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from raysweep.terminal.tables import table

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "ray", "numba", "pyarrow")


@dataclass(frozen=True)
class Row:
    """One side: median, minimum and maximum over n repeats, in the benchmark's unit."""

    side: str
    median: float
    minimum: float
    maximum: float
    n: int


def measure(sides: Mapping[str, Callable[[], float]], repeats: int) -> list[Row]:
    """Call every side `repeats` times in turn: a machine that drifts drifts for all. Each returns its figure."""
    found: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side, run in sides.items():
            found[side].append(run())
    return [Row(side, statistics.median(f), min(f), max(f), len(f)) for side, f in found.items()]


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def hardware() -> dict[str, object]:
    """The processor, its cores, and the vector instructions that decide the arithmetic."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    flags = next((line.split() for line in info.splitlines() if line.startswith("flags")), [])
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "vector_instructions": [flag for flag in wanted if flag in flags],
    }


def report(
    name: str,
    unit: str,
    rows: list[Row],
    ratios: Mapping[str, float],
    columns: Mapping[str, Mapping[str, float]] | None = None,
) -> None:
    """Print the table and write `benchmarks/results/NAME.json`; `columns` are further figures of each side, by name."""
    more = columns or {}
    names = list(dict.fromkeys(name for figures in more.values() for name in figures))
    RESULTS.mkdir(exist_ok=True)
    content = {
        "benchmark": name,
        "unit": unit,
        "hardware": hardware(),
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES},
        "rows": [asdict(row) | dict(more.get(row.side, {})) for row in rows],
        "ratios": dict(ratios),
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    of_side = {row.side: more.get(row.side, {}) for row in rows}
    further = {side: [f"{f[name]:,.0f}" if name in f else "-" for name in names] for side, f in of_side.items()}
    cells = (
        (row.side, *(f"{figure:.4g}" for figure in (row.median, row.minimum, row.maximum)), row.n, *further[row.side])
        for row in rows
    )
    print(table((unit, "median", "min", "max", "n", *names), cells))
    for claim, ratio in ratios.items():
        print(f"{claim}: {ratio:.2f}")
