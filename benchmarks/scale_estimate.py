"""Estimates of all studies on 1, 8 and 64 GPUs, and of a search of a million trials, from the figures of `scale.py`.

    python benchmarks/scale_estimate.py [--images-per-s N]

Prints the Markdown of `docs/scale.md`. No GPU was measured: its speed is a parameter, the training images per second of
the paper's baseline. The time of other networks is assumed to be proportional to their multiply-accumulates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from benchmarks._harness import RESULTS
from benchmarks.scale import ON_RAY, PROPOSED, STORED
from raysweep.cost import find_cost, gpu_hours
from raysweep.planning import PlannedTrial, to_run
from raysweep.recipe import Recipe
from raysweep.request import Request
from raysweep.units import rough_duration, short

GPUS = (1, 8, 64)
MILLION = 1_000_000
SEARCHING_GPUS = 64
EPOCHS_OF_A_POINT = 4
"""Assumed epochs of an average point of the search, most being stopped early; nothing of that size was run."""


class Measured:
    """The figures of `scale.py`, and the cost of one more trial that follows from them."""

    def __init__(self, folder: Path = RESULTS) -> None:
        self.rows: dict[str, float] = {}
        self.hardware: Mapping[str, object] = {}
        for step in ("stored", "ray", "proposals"):
            content = json.loads((folder / f"scale_{step}.json").read_text())
            self.rows |= {row["side"]: row["median"] for row in content["rows"]}
            self.hardware = content["hardware"]

    def at(self, name: str, trials: int) -> float:
        """Return a figure at one size."""
        return self.rows[f"{name}, {trials:,} trials"]

    def more(self, name: str, sizes: Sequence[int]) -> float:
        """Return the cost of one more trial, between the smallest and the largest size: fixed costs cancel."""
        first, *_, last = sizes
        return max(0.0, (self.at(name, last) - self.at(name, first)) / (last - first))


def hours_of_each(plan: Sequence[PlannedTrial], images_per_s: float) -> list[float]:
    """Return the hours of each trial on one GPU."""
    base = find_cost(Recipe()).macs
    return [
        one.recipe.length.iterations * one.recipe.training.batch_size * one.cost.macs / base / images_per_s / 3600
        for one in plan
    ]


def assumed_images_per_s() -> float:
    """Return the images per second of the baseline that `raysweep plan` assumes."""
    recipe = Recipe()
    images = recipe.length.iterations * recipe.training.batch_size
    return images / (gpu_hours(recipe, find_cost(recipe)) * 3600)


def inputs(measured: Measured, images_per_s: float) -> list[tuple[str, str]]:
    """Return the inputs of the estimates."""
    last = STORED[-1]
    return [
        ("images/s of the baseline on one GPU, in training", f"{images_per_s:,.0f} (assumed)"),
        ("sweep's own time for a trial on Ray", f"{1000 * measured.more('on Ray', ON_RAY):.0f} ms"),
        ("driver's memory for a trial", f"{measured.at('driver, KiB a trial', ON_RAY[-1]):.1f} KiB"),
        ("pool actor's memory for a trial", f"{measured.at('pool actor, KiB a trial', ON_RAY[-1]):.1f} KiB"),
        ("plan of a trial", f"{1000 * measured.more('plan', STORED):.2f} ms"),
        ("reading a trial, two small files", f"{1000 * measured.more('status, small files', STORED):.2f} ms"),
        ("`status` on 10,000 trials, compacted", f"{measured.at('status', last):.1f} s"),
        ("TPE, one proposal after 3,000 results", f"{1000 * measured.at('TPE, one proposal', PROPOSED[-1]):.0f} ms"),
    ]


def whole_table(measured: Measured, plan: Sequence[PlannedTrial], images_per_s: float) -> list[tuple[str, ...]]:
    """Return one row per number of GPUs; the longest trial is a lower bound, since a trial has one GPU."""
    hours = hours_of_each(plan, images_per_s)
    own_h = measured.more("on Ray", ON_RAY) * len(plan) / 3600
    wall_h = {gpus: max(sum(hours) / gpus, max(hours)) + own_h for gpus in GPUS}
    rest = f"{max(hours):,.0f} h", rough_duration(own_h * 3600)
    return [(f"{gpus}", f"{wall_h[gpus] / 24:,.1f} days", *rest) for gpus in GPUS]


def million(measured: Measured, images_per_s: float) -> list[tuple[str, str]]:
    """Estimate the parts of a search of a million points; all are linear, except the searcher."""
    own_s = MILLION * measured.more("on Ray", ON_RAY)
    images = Recipe().length.iterations * Recipe().training.batch_size * EPOCHS_OF_A_POINT / Recipe().training.epochs
    training_s = MILLION * images / images_per_s / SEARCHING_GPUS
    slowest = measured.more("TPE, one proposal", PROPOSED) * MILLION
    return [
        (f"training, {SEARCHING_GPUS} GPUs, {EPOCHS_OF_A_POINT} epochs a point", rough_duration(training_s)),
        ("TPE: the last proposal", rough_duration(slowest)),
        ("TPE: all proposals, one after another", rough_duration(slowest * MILLION / 2)),
        ("the sweep's own time, one driver", rough_duration(own_s)),
        ("driver's memory", gib(measured.at("driver, KiB a trial", ON_RAY[-1]))),
        ("pool actor's memory", gib(measured.at("pool actor, KiB a trial", ON_RAY[-1]))),
        ("reading it, small files", rough_duration(MILLION * measured.more("status, small files", STORED))),
        ("reading it, compacted", rough_duration(MILLION * measured.more("found again by run", STORED))),
        ("compacting it", rough_duration(MILLION * measured.more("compaction", STORED))),
    ]


def gib(kib_a_trial: float) -> str:
    """Format the memory of a million trials."""
    return f"{kib_a_trial * MILLION / 2**20:,.1f} GiB"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


@click.command()
@click.option("--images-per-s", type=float, default=None, help="Training speed of the paper's baseline on one GPU.")
def main(images_per_s: float | None) -> None:
    """Print all tables."""
    measured, speed = Measured(), images_per_s or assumed_images_per_s()
    plan = to_run(Request(("all",)).plan())
    total = sum(hours_of_each(plan, speed))
    print(f"Measured on {measured.hardware['processor']}, {measured.hardware['cores']} cores.\n")
    print(markdown(("input", "figure"), inputs(measured, speed)))
    print(f"The whole table: {len(plan)} trials, {total:,.0f} GPU-hours, {short(len(plan) * 64)} epochs.\n")
    print(markdown(("GPUs", "wall", "longest trial", "sweep's own time"), whole_table(measured, plan, speed)))
    print(markdown(("a million points", "estimate"), million(measured, speed)))


if __name__ == "__main__":
    main()
