"""Command-line options that verbs share, and how they become a request. Loads neither torch nor ray."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from raysweep.errors import RaysweepError
from raysweep.patch import parse
from raysweep.proposals import SCHEDULERS, SEARCHERS, SearchOptions
from raysweep.request import Request
from raysweep.space import POINTS
from raysweep.study import Study, space_names

Command = TypeVar("Command", bound=Callable[..., Any])

SHORTHANDS: dict[str, tuple[str, Any, str]] = {
    "network": ("network.name", str, "Network and its own factors, see `raysweep list networks`."),
    "epochs": ("training.epochs", float, "Passes over the training images."),
    "width": ("network.width", float, "Multiplier on the width of every layer but the classifier."),
    "batch_size": ("training.batch_size", int, "Images per update."),
    "lr": ("solver.lr", float, "Base learning rate."),
    "classes": ("network.outputs", int, "Network outputs: as many as the data has classes."),
    "precision": ("training.precision", str, "float32 or bfloat16 (autocast)."),
    "train_fraction": ("data.train_fraction", float, "Share of the training images used, class-balanced."),
}
"""Options that stand for `--set PATH=VALUE` of the fields changed most."""


DETERMINISTIC = "Only algorithms that give the same bits each time: slower on a GPU, no difference on a CPU."


def setting_options(command: Command) -> Command:
    """Protocol, settings, data and store."""
    for name, (path, kind, words) in reversed(SHORTHANDS.items()):
        option = f"--{name.replace('_', '-')}"
        command = click.option(option, name, type=kind, default=None, help=f"{words} Sets {path}.")(command)
    decorators = (
        click.option(
            "--protocol",
            default="imagenet128",
            show_default=True,
            help="Baseline recipe, see `raysweep list protocols`.",
        ),
        click.option("--seeds", type=int, default=1, show_default=True, help="Repeats: seeds 0 to N-1."),
        click.option(
            "--data",
            type=click.Path(path_type=Path),
            default=None,
            help="Folder written by `raysweep data write`.  [default: data/PROTOCOL if it is there]",
        ),
        click.option("--store", default="results", show_default=True, help="Results: a folder or s3://, gs:// URI."),
        click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="FIELD=VALUE",
            help="Change any recipe field, see `raysweep list fields`. May be given often.",
        ),
    )
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def recipe_options(command: Command) -> Command:
    """Studies and their variants, besides the settings."""
    command = click.option("--variants", default="", help="Only these variants and the baseline, comma-separated.")(
        setting_options(command)
    )
    command = click.option(
        "--trunks", default=None, help="Store of trained networks that `transfer` starts from (--keep-checkpoints)."
    )(command)
    return click.argument("studies", nargs=-1, required=True, metavar="STUDY...")(command)


def settings_from(assignments: Iterable[str]) -> dict[str, Any]:
    """What `--set FIELD=VALUE ...` means: dotted path -> value.

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


def take_request(options: dict[str, Any], studies: tuple[Study, ...] = ()) -> Request:
    """The request that the shared options make, of the studies they name or these; takes them out of `options`.

    Raises:
        RaysweepError: unknown field or a value of the wrong type.
    """
    settings: dict[str, Any] = {}
    for name, (path, _, _) in SHORTHANDS.items():
        if (value := options.pop(name)) is not None:
            settings[path] = value
    settings |= settings_from(options.pop("assignments"))
    variants = tuple(name.strip() for name in options.pop("variants", "").split(",") if name.strip())
    named = studies or options.pop("studies")
    trunks = options.pop("trunks", None)
    return Request(
        named, settings=settings, variants=variants, trunks=trunks, **{key: options.pop(key) for key in _KEPT}
    )


_KEPT = ("protocol", "seeds", "data", "store")


SEARCH_OPTIONS: dict[str, tuple[type, str]] = {
    "searcher": (str, f"Who proposes points: {', '.join(SEARCHERS)} (TPE).  [default: random]"),
    "scheduler": (str, f"Who stops trials early: {', '.join(SCHEDULERS)}.  [default: none]"),
    "over": (str, "Parameters that a grid combines, comma-separated, others at the baseline.  [default: all]"),
    "grid_points": (int, f"Points of a range in a grid.  [default: {POINTS}]"),
    "trials": (int, "Points in all, the baseline and those in the store counted.  [default: 200]"),
    "search_seed": (int, "Seed of the searcher.  [default: 0]"),
    "grace_epochs": (int, "Epochs before a trial may be stopped.  [default: a sixteenth]"),
    "reduction_factor": (float, "One in so many goes on at each rung of asha.  [default: 3]"),
}


def search_options(command: Command) -> Command:
    """How a search space is searched; refused for studies."""
    for name, (kind, words) in reversed(SEARCH_OPTIONS.items()):
        help_text = f"Search spaces only. {words}"
        command = click.option(f"--{name.replace('_', '-')}", name, type=kind, default=None, help=help_text)(command)
    return command


def take_search(options: dict[str, Any], studies: tuple[str, ...]) -> SearchOptions | None:
    """The search that is asked for, if the one thing named is a space; takes the options out of `options`.

    Raises:
        RaysweepError: options of a search without a space, a space among studies, or a value that does not serve.
    """
    given = {name: value for name in SEARCH_OPTIONS if (value := options.pop(name)) is not None}
    spaces = [name for name in studies if name in space_names()]
    if spaces and len(studies) > 1:
        raise RaysweepError(f"{spaces[0]} is a search space: name it alone, and run the studies with another command.")
    if given and not spaces:
        asked = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise RaysweepError(
            f"{asked} is for search spaces ({', '.join(space_names())}); a study has its variants: see "
            f"`raysweep list variants {studies[0]}`."
        )
    if "over" in given:
        given["over"] = tuple(name.strip() for name in given["over"].split(",") if name.strip())
    if "search_seed" in given:
        given["seed"] = given.pop("search_seed")
    return SearchOptions(**given) if spaces else None


def json_option(command: Command) -> Command:
    """`--json`: machine-readable output."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON: an array of objects.")(command)


def print_json(rows: Any) -> None:
    """Print rows as JSON, times as ISO 8601."""
    click.echo(json.dumps(rows, indent=2, default=str))
