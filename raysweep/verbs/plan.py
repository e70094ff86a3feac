"""`raysweep plan`: every trial with its action, reason and cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from raysweep.arguments import take_request, take_space
from raysweep.cost import assumption
from raysweep.errors import RaysweepError
from raysweep.planning import PlannedTrial, changes, to_run
from raysweep.proposals import SpaceOptions
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.terminal.notes import say
from raysweep.terminal.plans import WIDTH, action_text, paragraph, plan_text, settings_text
from raysweep.terminal.tables import table
from raysweep.verbs.options import FloatRange, json_option, print_json, recipe_options, space_options

if TYPE_CHECKING:
    from raysweep.sweeps.space_sweep import PlannedPoint


@click.command()
@recipe_options
@space_options
@json_option
@click.option("--price", type=FloatRange(0, 1e6), metavar="AMOUNT", help="Price of a GPU-hour, for the estimate.")
def plan(studies: tuple[str, ...], as_json: bool, price: float | None, **options: Any) -> None:
    """Print every trial with its action and cost; train nothing.

    Each study has a heading with what all its trials share, and one row for each trial with what it changes from the
    study's own baseline.

    \b
    raysweep plan activation --protocol imagenet128
    raysweep plan activation --protocol cifar10 --seeds 3 --epochs 10 --json
    raysweep plan joint --protocol cifar10 --trials 200
    """
    space = take_space(options, studies)
    request = take_request(options, studies)
    if space is None:
        planned = request.plan()
        print_json([entry.to_json() for entry in planned]) if as_json else print_plan(planned, request.protocol, price)
        return
    if price is not None:
        raise RaysweepError(
            f"--price {price:g}: the cost of a search space is not known before its networks are built."
        )
    from raysweep.sweeps.space_sweep import plan_space

    points = plan_space(request, space)
    print_json([point.to_json() for point in points]) if as_json else print_points(points, request.baseline(), space)


def print_plan(plan: Sequence[PlannedTrial], protocol: str, price: float | None) -> None:
    """Print the trials, then totals: counts by action, GPU-hours with their assumption, and the price."""
    say(plan_text(plan, find_protocol(protocol)))
    hours = sum(planned.estimated_gpu_h for planned in plan)
    cost = "" if price is None else f", {hours * price:.2f} at {price:g} each"
    say(f"\n{len(plan)} trials: {_counts(plan)}. About {hours:.3g} GPU-hours{cost}.")
    if waiting := to_run(plan):
        say(f"{assumption(waiting[0].recipe)}.")


def print_points(points: Sequence[PlannedPoint], baseline: Recipe, space: SpaceOptions) -> None:
    """Print the points of a search space that are known before it runs, and why others are not."""
    if points:
        for line in paragraph(f"{points[0].space}: what each point changes from the baseline"):
            say(line)
        rows = (
            (
                point.proposal.trial,
                point.proposal.variant,
                action_text(point),
                settings_text(changes(point.proposal.recipe, baseline), nothing="-"),
            )
            for point in points
        )
        say(table(("trial", "variant", "action", "changes"), rows, WIDTH))
    say(f"\n{space.trials} trials in total, {len(points)} known: {_counts(points) or 'none yet'}.")
    if len(points) < space.trials:
        say(
            "The others are not known yet: optuna proposes them from the results."
            if space.searcher == "optuna"
            else "The space has no more points."
        )
    say("There is no estimate of the cost: networks are built when they are trained.")


def _counts(plan: Sequence[PlannedTrial] | Sequence[PlannedPoint]) -> str:
    counts = Counter(planned.action for planned in plan)
    return ", ".join(f"{count} {action}" for action, count in sorted(counts.items()))
