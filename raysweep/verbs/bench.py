"""`raysweep bench networks`: measure speed and memory of networks on this machine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from raysweep.arguments import settings_from
from raysweep.cost import find_cost, native_recipe
from raysweep.errors import InapplicableError, RaysweepError
from raysweep.identity import recipe_json
from raysweep.networks import networks
from raysweep.patch import patch
from raysweep.process.children import child_environment, python_module
from raysweep.process.machine import processor
from raysweep.recipe import Recipe
from raysweep.terminal.notes import say
from raysweep.terminal.progress import counted
from raysweep.terminal.tables import table
from raysweep.units import short
from raysweep.verbs.options import LocalPath, json_option, print_json, write_output

COLUMNS = (
    *("network", "side", "batch_size", "params", "macs"),
    *(f"{what}_images_per_s{end}" for what in ("train", "test") for end in ("", "_least", "_most")),
    *("peak_memory_gib", "repeats", "device", "threads", "precision", "error"),
)
FORMATS = (".json", ".csv", ".parquet")


_count = partial(click.option, type=click.IntRange(1, 10**6), metavar="N", show_default=True)


@click.group()
def bench() -> None:
    """Measure this machine."""


@bench.command(name="networks", epilog="Ctrl-C keeps the finished measurements.")
@click.argument("names", nargs=-1, metavar="[NETWORK]...")
@click.option("--side", type=click.IntRange(1, 10**4), metavar="PX", help="Image side.  [default: each network's own]")
@_count("--batch-size", default=32, help="Images per update.")
@_count("--repeats", default=5, help="Measurements per network.")
@click.option("--device", default=None, metavar="DEVICE", help="cpu, cuda or cuda:N.  [default: cuda if available]")
@_count("--threads", default=1, help="CPU threads.")
@click.option(
    "--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="Change any recipe field. Can be repeated."
)
@click.option("--out", type=LocalPath(), metavar="FILE", help="Write a .json, .csv or .parquet file.")
@json_option
def bench_networks(
    names: tuple[str, ...],
    side: int | None,
    batch_size: int,
    repeats: int,
    device: str | None,
    threads: int,
    assignments: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure the speed and the memory of NETWORK... or of all networks.

    Reports images per second of training and testing, and the peak memory of training. Each network runs on random
    images in memory, in a process of its own; a network that does not fit is reported as such.

    \b
    raysweep bench networks caffenet resnet50 --batch-size 64 --threads 2
    raysweep bench networks --side 128 --device cuda --set training.precision=bfloat16 --out speed.parquet
    """
    if out and out.suffix not in FORMATS:
        raise RaysweepError(f"--out is {out}, but its name must end in {', '.join(FORMATS)}.")
    settings = settings_from(assignments) | {"training.batch_size": batch_size}
    if side:
        settings["data.side"] = side
    wanted = names or [entry.name for entry in networks()]
    recipes = [patch(native_recipe(name), settings) for name in wanted]
    rows: list[dict[str, Any]] = []
    try:
        with counted("networks") as show:
            show(0, len(recipes))
            for row in measured(recipes, device or default_device(), threads, repeats):
                rows.append(row)
                show(len(rows), len(recipes))
    finally:
        if out and rows:
            write(rows, out)
        if as_json:
            print_json(rows)
        elif rows:
            say(text(rows))


def default_device() -> str:
    """Return cuda if torch finds a GPU, else cpu."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def measured(recipes: Sequence[Recipe], device: str, threads: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Yield one row per recipe, each measured in a new process: peak memory is its own, and a crash becomes a row."""
    name = hardware(device)
    for recipe in recipes:
        found: dict[str, Any] = dict.fromkeys(COLUMNS) | {
            "network": recipe.network.name,
            "side": recipe.data.side,
            "batch_size": recipe.training.batch_size,
            "precision": recipe.training.precision,
            "repeats": repeats,
            "threads": threads,
            "device": name,
        }
        try:
            cost = find_cost(recipe)
            yield found | {"params": cost.params, "macs": cost.macs} | ask(recipe, device, threads, repeats)
        except InapplicableError as error:
            yield found | {"error": str(error)}


def hardware(device: str) -> str:
    """Return the name of the GPU or the processor.

    Raises:
        RaysweepError: the device does not exist.
    """
    import torch

    from raysweep.train.devices import check_device

    return torch.cuda.get_device_name(device) if check_device(device).type == "cuda" else processor()


def ask(recipe: Recipe, device: str, threads: int, repeats: int) -> dict[str, Any]:
    """Return the numbers, or `error`: the last line that the process printed, or the signal that ended it."""
    question = json.dumps([{"recipe": recipe_json(recipe), "device": device, "threads": threads}, repeats])
    command, environment = python_module("raysweep.train.bench"), child_environment()
    done = subprocess.run(command, input=question, capture_output=True, text=True, check=False, env=environment)
    if done.returncode == 0:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer
    if done.returncode < 0:
        return {"error": f"killed by signal {-done.returncode}, probably out of memory: try a smaller --batch-size."}
    errors = done.stderr.strip().splitlines()
    last = errors[-1].removeprefix("raysweep.errors.RaysweepError: ") if errors else f"exit status {done.returncode}"
    return {"error": last}


def write(rows: Iterable[Mapping[str, Any]], out: Path) -> None:
    """Write the rows to a file, in the format of its suffix.

    Raises:
        RaysweepError: the file cannot be written.
    """
    import pyarrow as pa

    from raysweep.store.query import render

    write_output(out, render(pa.Table.from_pylist([dict(row) for row in rows]), out.suffix.removeprefix(".")))


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format the rows for a terminal, with the conditions below."""
    header = ("network", "side", "params", "MACs", "train images/s", "(range)", "test images/s", "(range)", "peak GiB")
    first = rows[0]
    conditions = (
        f"{first['device']}, {first['threads']} threads, {first['precision']}, batch size {first['batch_size']}; "
        f"medians of {first['repeats']}. Peak memory is that of training; on a CPU, of the whole process."
    )
    return f"{table(header, map(_cells, rows))}\n\n{conditions}"


def _cells(row: Mapping[str, Any]) -> tuple[object, ...]:
    start = (row["network"], row["side"], short(row["params"]), short(row["macs"]))
    if row["error"]:
        return (*start, row["error"], *[""] * 4)
    speeds = (_speed(row, what) for what in ("train", "test"))
    return (*start, *(cell for speed in speeds for cell in speed), f"{row['peak_memory_gib']:.2f}")


def _speed(row: Mapping[str, Any], what: str) -> tuple[str, str]:
    name = f"{what}_images_per_s"
    return f"{row[name]:,.1f}", f"{row[f'{name}_least']:,.1f} to {row[f'{name}_most']:,.1f}"
