"""What every benchmark shares: generated images, timings taken in turn, the machine they hold for, and the report."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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

    @classmethod
    def of(cls, side: str, figures: Sequence[float]) -> Row:
        """The row of a side that was measured this many times."""
        return cls(side, statistics.median(figures), min(figures), max(figures), len(figures))


def measure(sides: Mapping[str, Callable[[], float]], repeats: int) -> list[Row]:
    """Call every side `repeats` times in turn: a machine that drifts drifts for all. Each returns its figure."""
    rounds = [[run() for run in sides.values()] for _ in range(repeats)]
    return [Row.of(side, figures) for side, figures in zip(sides, zip(*rounds, strict=True), strict=True)]


def ratios(rows: Iterable[Row], *pairs: tuple[str, str]) -> dict[str, float]:
    """The median of the first side of each pair over that of the second, if both were measured."""
    found = {row.side: row.median for row in rows}
    return {f"{a} over {b}": found[a] / found[b] for a, b in pairs if {a, b} <= found.keys()}


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def command_seconds(*words: str) -> float:
    """Wall time of one call of the `raysweep` command, as a process."""
    command = [sys.executable, "-m", "raysweep", *words]
    return seconds(lambda: subprocess.run(command, check=True, capture_output=True))


@contextmanager
def generated_images(train: int, test: int = 10, encodings: Sequence[str] = ("jpg",)) -> Iterator[Path]:
    """A temporary folder with a set of generated images of 144 px in each encoding, in a folder of its name."""
    import raysweep.data.loops  # noqa: F401 - compiled before anything is measured
    from raysweep.write.sources.generated import GeneratedSource
    from raysweep.write.write_sets import write_images

    with tempfile.TemporaryDirectory() as folder:
        for encoding in encodings:
            write_images(GeneratedSource(train, test, side=144), Path(folder) / encoding, encoding=encoding)
        yield Path(folder)


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
    rows: Sequence[Row],
    claims: Mapping[str, float],
    columns: Mapping[str, Mapping[str, float]] | None = None,
) -> None:
    """Print the table and write `benchmarks/results/NAME.json`; `columns` are further figures of each side, by name."""
    further = [(columns or {}).get(row.side, {}) for row in rows]
    content = {
        "benchmark": name,
        "unit": unit,
        "hardware": hardware(),
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES},
        "rows": [{**asdict(row), **figures} for row, figures in zip(rows, further, strict=True)],
        "ratios": dict(claims),
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    names = list(dict.fromkeys(name for figures in further for name in figures))
    cells = (
        (
            *(row.side, f"{row.median:.4g}", f"{row.minimum:.4g}", f"{row.maximum:.4g}", row.n),
            *(f"{figures[name]:,.0f}" if name in figures else "-" for name in names),
        )
        for row, figures in zip(rows, further, strict=True)
    )
    print(table((unit, "median", "min", "max", "n", *names), cells))
    for claim, ratio in claims.items():
        print(f"{claim}: {ratio:.2f}")
