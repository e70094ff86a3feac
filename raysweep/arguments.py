"""The arguments of a request by name: one table for the command line and the notebook. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.errors import RaysweepError
from raysweep.patch import parse
from raysweep.proposals import SCHEDULERS, SEARCHERS, SpaceOptions
from raysweep.request import Request
from raysweep.space import POINTS
from raysweep.study import Study, space_names, study_names


@dataclass(frozen=True)
class Argument:
    """An argument of a request: an option of the command line, a keyword in a notebook."""

    kind: type
    metavar: str
    help: str
    default: Any = None
    range: tuple[float, float] | None = None
    """The smallest and the largest value that a number may have."""
    path: str = ""
    """The recipe field that a shorthand sets."""


SHORTHANDS = {
    "network": Argument(str, "NAME", "Network and its own factors; see `raysweep list networks`.", path="network.name"),
    "epochs": Argument(float, "N", "Passes over the training images.", range=(0, 1e6), path="training.epochs"),
    "width": Argument(
        float, "FACTOR", "Width multiplier of every layer but the classifier.", range=(0, 1000), path="network.width"
    ),
    "batch_size": Argument(int, "N", "Images per update.", range=(1, 10**6), path="training.batch_size"),
    "lr": Argument(float, "RATE", "Base learning rate.", range=(0, 1e6), path="solver.lr"),
    "classes": Argument(
        int, "N", "Network outputs; the number of classes in the data.", range=(1, 10**6), path="network.outputs"
    ),
    "precision": Argument(str, "TYPE", "float32, or bfloat16 (autocast).", path="training.precision"),
    "train_fraction": Argument(
        float,
        "SHARE",
        "Share of the training images to use, balanced over classes.",
        range=(0, 1),
        path="data.train_fraction",
    ),
}
"""Short names of `--set FIELD=VALUE` for the fields that are changed most."""

REQUEST = {
    "protocol": Argument(str, "NAME", "Baseline recipe; see `raysweep list protocols`.", "imagenet128"),
    "seeds": Argument(int, "N", "Train each trial with seeds 0 to N-1.", 1, range=(1, 1000)),
    "data": Argument(
        Path,
        "PATH",
        "Image set written by `raysweep data write`, or original images; see --write.  [default: data/PROTOCOL if it "
        "exists]",
    ),
    "write": Argument(
        bool, "", "Write the original images that --data names first, to data/NAME-SIDE, once.", default=False
    ),
    "store": Argument(str, "URI", "Where results are stored: a folder, or an s3:// or gs:// URI.", "results"),
}
"""Arguments of every request."""

STUDIES = {
    "variants": Argument(str, "NAMES", "Only these variants and the baseline, comma-separated.", ""),
    "trunks": Argument(
        str, "URI", "Store of the trained networks that `transfer` starts from, run with --keep-checkpoints."
    ),
}
"""Arguments of requests for studies."""

DECIDE = {
    "budget": Argument(
        str,
        "TIME",
        "Time by the clock for all studies together, e.g. 2h, 90m or 1h30m. The same question may get more.",
        "",
    ),
    "margin": Argument(
        float, "POINTS", "Smallest gain that matters, in points of top-1: a variant within it is equal.", 1.0, (0, 100)
    ),
    "goal": Argument(str, "NAME", "all: a verdict on every variant; best: find the best one.", "all"),
}
"""Arguments of `decide` in addition to those of requests."""

SPACES = {
    "searcher": Argument(str, "NAME", f"How points are proposed: {', '.join(SEARCHERS)} (TPE).  [default: random]"),
    "scheduler": Argument(str, "NAME", f"How trials are stopped early: {', '.join(SCHEDULERS)}.  [default: none]"),
    "over": Argument(
        str, "NAMES", "Parameters of a grid, comma-separated; others keep the baseline's value.  [default: all]"
    ),
    "grid_points": Argument(int, "N", f"Number of points of a range in a grid.  [default: {POINTS}]", range=(2, 10**4)),
    "trials": Argument(
        int, "N", "Total number of points, including the baseline and stored ones.  [default: 200]", range=(1, 10**6)
    ),
    "search_seed": Argument(int, "N", "Seed of the searcher.  [default: 0]", range=(0, 2**32 - 1)),
    "grace_epochs": Argument(
        int, "N", "Epochs before a trial may be stopped.  [default: a sixteenth of all]", range=(1, 10**6)
    ),
    "reduction_factor": Argument(
        float, "N", "One of N trials continues at each rung of asha.  [default: 3]", range=(1, 1000)
    ),
}
"""Arguments that only search spaces take."""

RESOURCES = {
    "workers": Argument(
        int, "N", "Number of trials at once.  [default: as many as fit into the cluster]", range=(1, 10**5)
    ),
    "gpus": Argument(
        float,
        "N",
        "GPUs per worker; fractions allowed.  [default: measured automatically if there are GPUs]",
        range=(0, 1024),
    ),
    "workers_per_trial": Argument(int, "N", "Data-parallel workers of each trial.", 1, range=(1, 10**4)),
    "threads": Argument(int, "N", "CPU threads per worker.", 1, range=(1, 1024)),
    "attempts": Argument(int, "N", "Attempts before a trial counts as failed.", 2, range=(1, 1000)),
    "address": Argument(
        str, "ADDRESS", "Ray cluster to join: HOST:PORT or auto.  [default: RAY_ADDRESS, else a local Ray]"
    ),
}
"""Arguments that say where trials run."""


def settings_from(assignments: Iterable[str]) -> dict[str, Any]:
    """The settings of `--set FIELD=VALUE ...`: dotted path -> value.

    Raises:
        RaysweepError: unknown field or a value of the wrong type.
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise RaysweepError(f"--set {assignment}: write it as --set FIELD=VALUE, e.g. --set solver.lr=0.02.")
        settings[path.strip()] = parse(path.strip(), text.strip())
    return settings


def take_request(arguments: dict[str, Any], studies: Sequence[str | Study]) -> Request:
    """The request for these studies; takes its arguments out of `arguments`.

    Raises:
        RaysweepError: unknown field or a value of the wrong type.
    """
    settings: dict[str, Any] = {}
    for name, shorthand in SHORTHANDS.items():
        if (value := arguments.pop(name, None)) is not None:
            settings[shorthand.path] = converted(name, shorthand, value)
    settings |= settings_from(arguments.pop("assignments", ()))
    settings |= arguments.pop("settings", None) or {}
    given = {
        name: converted(name, argument, value)
        for name, argument in (REQUEST | {"trunks": STUDIES["trunks"]}).items()
        if (value := arguments.pop(name, None)) is not None
    }
    return Request(tuple(studies), settings=settings, variants=names_in(arguments.pop("variants", ())), **given)


def take_space(arguments: dict[str, Any], studies: Sequence[str | Study]) -> SpaceOptions | None:
    """How to search, if the requested study is a search space; takes its arguments out of `arguments`.

    Raises:
        RaysweepError: arguments for a space without one, a space among studies, or a value that cannot be used.
    """
    given = {
        name: value if name == "over" else converted(name, argument, value)
        for name, argument in SPACES.items()
        if (value := arguments.pop(name, None)) is not None
    }
    spaces = [name for name in studies if isinstance(name, str) and name in space_names()]
    if spaces and len(studies) > 1:
        raise RaysweepError(f"{spaces[0]} is a search space: run it separately from the studies.")
    if given and not spaces:
        asked = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise RaysweepError(
            f"{asked} is for search spaces ({', '.join(space_names())}). A study trains its variants: see "
            f"`raysweep list variants {studies[0] if studies[0] in study_names() else 'STUDY'}`."
        )
    if "over" in given:
        given["over"] = names_in(given["over"])
    if "search_seed" in given:
        given["seed"] = given.pop("search_seed")
    return SpaceOptions(**given) if spaces else None


def names_in(value: str | Iterable[str]) -> tuple[str, ...]:
    """Names given as a comma-separated text or one by one."""
    names = value.split(",") if isinstance(value, str) else value
    return tuple(name.strip() for name in names if name.strip())


def converted(name: str, argument: Argument, value: Any) -> Any:
    """The value of an argument in its type.

    Raises:
        RaysweepError: it has another type, or is out of range.
    """
    try:
        number = argument.kind(value)
    except (TypeError, ValueError, OverflowError):
        raise RaysweepError(f"{name} is {value!r}: it takes a value of type {argument.kind.__name__}.") from None
    if argument.range and not argument.range[0] <= number <= argument.range[1]:
        raise RaysweepError(f"{name} is {value!r}: use {argument.range[0]:g} to {argument.range[1]:g}.")
    return number
