"""Seconds from the command to the plan: one study, and every study of the table, as whole processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._harness import measure, report, seconds

REPEATS = 9


def side(*words: str) -> Callable[[], float]:
    """Wall time of one call of the command."""
    command = [sys.executable, "-m", "raysweep", *words]
    return lambda: seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def main() -> None:
    """Measure all sides in turn."""
    sides = {
        "--help": side("--help"),
        "plan activation": side("plan", "activation", "--json"),
        "plan all": side("plan", "all", "--protocol", "imagenet128", "--json"),
    }
    rows = measure(sides, REPEATS)
    medians = {row.side: row.median for row in rows}
    report("plan_time", "s", rows, {"all studies over one": medians["plan all"] / medians["plan activation"]})


if __name__ == "__main__":
    main()
