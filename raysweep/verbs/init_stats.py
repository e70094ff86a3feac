"""`raysweep init-stats`: measure the effect of initialisations on activations and gradients of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raysweep.arguments import take_request
from raysweep.errors import RaysweepError, unknown
from raysweep.identity import recipe_json
from raysweep.patch import Patch
from raysweep.process.stopping import keeps
from raysweep.study import Study, Variant, factorial
from raysweep.terminal.notes import note, say
from raysweep.terminal.progress import counted
from raysweep.terminal.tables import table
from raysweep.verbs.options import Command, json_option, print_json, setting_options

if TYPE_CHECKING:
    from raysweep.planning import PlannedTrial
    from raysweep.store.store import Store
    from raysweep.sweeps.study_sweep import Checked

INITS = ("lsuv", "lsuv_released", "orthonormal", "glorot", "he", "gaussian")
ACTIVATIONS = ("relu", "tanh", "elu", "prelu", "maxout")
NORMS: Mapping[str, Patch] = {
    "none": {"network.norm": "none", "network.conv_bias": True},
    "before": {"network.norm": "batch_affine", "network.norm_position": "before"},
    "after": {"network.norm": "batch", "network.norm_position": "after"},
}
"""Position of batch normalisation -> its usual form there."""


def cells(inits: Iterable[str], activations: Iterable[str], norms: Iterable[str]) -> Study:
    """Make a study of every combination, with the first one as its baseline.

    Raises:
        RaysweepError: an unknown position of normalisation.
    """
    for name in norms:
        if name not in NORMS:
            raise unknown("position of batch normalisation", name, NORMS)
    variants = factorial(
        {
            "init": [Variant(name, {"init.method": name}, name) for name in inits],
            "activation": [Variant(name, {"network.activation": name}, name) for name in activations],
            "norm": [Variant(name, NORMS[name], f"batch normalisation: {name}") for name in norms],
        }
    )
    return Study("init_stats", "What does initialisation do?", "Mishkin & Matas 2016", "-", variants[0].name, variants)


def _names(context: click.Context, option: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    if not names:
        raise RaysweepError(f"--{option.name} is empty: give at least one name.")
    return names


def _list_option(name: str, default: Iterable[str], words: str) -> Callable[[Command], Command]:
    return click.option(
        f"--{name}", metavar="NAMES", default=",".join(default), show_default=True, callback=_names, help=words
    )


@click.command(name="init-stats", epilog="Combinations that are already in the store are not measured again.")
@setting_options
@_list_option("inits", INITS, "Initialisations; see `raysweep list inits`.")
@_list_option("activations", ACTIVATIONS, "Activation functions; see `raysweep list activations`.")
@_list_option("norms", NORMS, "Batch normalisation: none, or before or after the activation.")
@click.option(
    "--updates",
    type=click.IntRange(0, 10**6),
    default=100,
    show_default=True,
    metavar="N",
    help="Last update to measure.",
)
@click.option("--device", default="cpu", show_default=True, metavar="DEVICE", help="cpu, cuda or cuda:N.")
@click.option("--threads", type=click.IntRange(1, 1024), default=1, show_default=True, metavar="N", help="CPU threads.")
@json_option
def init_stats(
    inits: tuple[str, ...],
    activations: tuple[str, ...],
    norms: tuple[str, ...],
    updates: int,
    device: str,
    threads: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure activations and gradients in the first updates.

    For every combination and layer: the variance of the layer's output and of its activation, and the magnitude of the
    gradient relative to the weights, before training and after 1, 2, 5, 10, 20, 50, ... updates. All numbers are in the
    store, under init_stats/.

    \b
    raysweep init-stats --protocol demo --inits lsuv,he,gaussian --activations relu,tanh --updates 20
    raysweep init-stats --protocol cifar10 --data data/cifar10 --network vgg16 --norms none,after
    """
    from raysweep.store.store import Store
    from raysweep.sweeps.resources import Resources
    from raysweep.sweeps.study_sweep import check, left_out
    from raysweep.sweeps.unwritten import with_images
    from raysweep.train.devices import check_device

    check_device(device)
    keeps("the combinations that are measured are in the store")
    request = with_images(take_request(options, [cells(inits, activations, norms)]))
    checked = check(request, Resources(inline=True))
    for planned in checked.omitted:
        note(left_out(planned))
    store = Store.open(request.store or "results", create=True)
    measure(checked, store, request.protocol, updates, device, threads)
    shown = [cell_summary(planned, store, updates) for planned in checked.plan]
    print_json(shown) if as_json else say(summary_table(shown))


def measure(checked: Checked, store: Store, protocol: str, updates: int, device: str = "cpu", threads: int = 1) -> None:
    """Measure the trials that the store does not have up to this update; each is written when it is done.

    Raises:
        RaysweepError: unusable images, device or store.
    """
    import torch

    from raysweep.data.fit import check_data
    from raysweep.train.init_stats import measured_updates, record
    from raysweep.train.loop import prepare
    from raysweep.train.task import Placement

    torch.set_num_threads(threads)
    waiting = [planned for planned in checked.plan if not has(store, planned.trial, updates)]
    note(f"{len(checked.plan)} combinations, {len(checked.plan) - len(waiting)} of them already in {store.uri}")
    with counted("init-stats") as show:
        show(0, len(waiting) * (updates + 1))
        for number, planned in enumerate(waiting):
            folder = Path(checked.folders[planned.trial])
            manifest = check_data(planned.recipe, folder)
            trial = prepare(planned.recipe, folder, manifest, Placement(device=device, threads=threads))

            def done(update: int, before: int = number * (updates + 1)) -> None:
                show(before + update, len(waiting) * (updates + 1))

            rows = [row for measured in record(trial, measured_updates(updates), done) for row in measured]
            store.write_init_stats(planned.trial, [row | _labels(planned, protocol) for row in rows])


def has(store: Store, trial: str, updates: int) -> bool:
    """Return whether the trial was measured up to this update, or to the one in which it diverged."""
    rows = _rows(store, trial)
    return bool(rows) and (rows[-1]["update"] >= updates or rows[-1]["train_loss"] is None)


def _rows(store: Store, trial: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = store.init_stats([trial]).to_pylist()
    return rows


def _labels(planned: PlannedTrial, protocol: str) -> dict[str, Any]:
    recipe = planned.recipe
    normalised = recipe.network.norm != "none"
    return {
        "trial": planned.trial,
        "seed": recipe.seed,
        "protocol": protocol,
        "recipe": recipe_json(recipe),
        "network": recipe.network.name,
        "init": recipe.init.method,
        "activation": recipe.network.activation,
        "norm": recipe.network.norm,
        "norm_position": recipe.network.norm_position if normalised else None,
    }


def cell_summary(planned: PlannedTrial, store: Store, updates: int) -> dict[str, Any]:
    """One combination in a row: ranges over its layers before training and at the last update up to `updates`."""
    rows = [row for row in _rows(store, planned.trial) if row["update"] <= updates]
    first, last = rows[0]["update"], rows[-1]["update"]
    found: dict[str, Any] = {"trial": planned.trial, "combination": planned.members[0].variant}
    found |= {"seed": planned.recipe.seed, "updates": last}
    for when, update in (("first", first), ("last", last)):
        layers = [row for row in rows if row["update"] == update]
        for key in ("output_variance", "gradient_to_weight"):
            values = [row[key] for row in layers]
            found[f"{when}_{key}"] = None if None in values else (min(values), max(values))
        found[f"{when}_loss"] = layers[0]["train_loss"]
    return found


def summary_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Format the combinations for a terminal."""
    keys = ("first_output_variance", "last_output_variance", "first_gradient_to_weight", "last_gradient_to_weight")
    texts = ("trial", "combination", "seed", "updates")
    ranges = ("variance at 0", "at the end", "gradient / weight at 0", "at the end")
    return table(
        (*texts, *ranges, "loss at 0", "at the end"),
        (
            (
                *(row[key] for key in texts),
                *(_range(row[key]) for key in keys),
                *("diverged" if row[key] is None else f"{row[key]:.3f}" for key in ("first_loss", "last_loss")),
            )
            for row in rows
        ),
    )


def _range(values: tuple[float, float] | None) -> str:
    return "not finite" if values is None else f"{values[0]:.2g} to {values[1]:.2g}"
