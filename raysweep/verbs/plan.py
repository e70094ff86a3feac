"""`raysweep plan`: every trial with its action, reason and cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import click

from raysweep.cost import accelerator, money
from raysweep.errors import RaysweepError
from raysweep.planning import PlannedTrial, to_run
from raysweep.terminal.tables import table
from raysweep.units import brief, short
from raysweep.verbs.options import (
    json_option,
    print_json,
    recipe_options,
    search_options,
    take_request,
    take_search,
)


@click.command()
@recipe_options
@search_options
@json_option
@click.option("--price", type=float, default=None, help="Price of a GPU-hour, for the estimate.")
def plan(as_json: bool, price: float | None, **options: Any) -> None:
    """Print every trial with its action, reason and cost; trains nothing.

    \b
    raysweep plan activation --protocol imagenet128
    raysweep plan activation --protocol cifar10 --seeds 3 --epochs 10 --json
    raysweep plan joint --protocol cifar10 --trials 200
    """
    search = take_search(options, options["studies"])
    request = take_request(options)
    if search:
        from raysweep.verbs.searching import plan_search

        if price is not None:
            raise RaysweepError(f"--price {price:g}: what a search costs is not known before its networks are built.")
        plan_search(request, search, as_json)
        return
    planned = request.plan()
    if as_json:
        print_json([entry.to_json() for entry in planned])
    else:
        print_plan(planned, price)


def print_plan(plan: Sequence[PlannedTrial], price: float | None) -> None:
    """The trials, then totals: counts by action, GPU-hours and their assumption, money at a price."""
    header = ("trial", "study/variant", "seed", "action", "params", "MACs", "epochs", "GPU-h", "differs in")
    click.echo(table(header, (_row(planned) for planned in plan)))
    counts = Counter(planned.action for planned in plan)
    hours = sum(planned.estimated_gpu_h for planned in plan)
    cost = "" if price is None else f", {money(hours, price):.2f} at {price:g} each"
    actions = ", ".join(f"{count} {action}" for action, count in sorted(counts.items()))
    click.echo(f"\n{len(plan)} trials: {actions}. About {hours:.3g} GPU-hours{cost}.")
    if waiting := to_run(plan):
        click.echo(f"{accelerator(waiting[0].recipe).sentence}.")


def _row(planned: PlannedTrial) -> tuple[object, ...]:
    first = planned.members[0]
    return (
        planned.trial,
        f"{first.study}/{first.variant}",
        planned.recipe.seed,
        f"{planned.action}: {planned.reason}",
        short(planned.cost.params),
        short(planned.cost.macs),
        f"{planned.epochs:.4g}",
        f"{planned.estimated_gpu_h:.2g}",
        changes(planned.diff),
    )


def changes(diff: Mapping[str, Any]) -> str:
    """A diff in one line; the seed has its own column."""
    shown = {path: value for path, value in diff.items() if path != "seed"}
    return " ".join(f"{path}={brief(value)}" for path, value in shown.items()) or "the protocol as it is"
