"""`raysweep plan`: every trial with its action, reason and cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from raysweep.arguments import take_request, take_space
from raysweep.cost import assumption
from raysweep.errors import RaysweepError
from raysweep.pace import Pace, recalled
from raysweep.planning import PlannedTrial, changes, to_run
from raysweep.proposals import SpaceOptions
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.request import Request
from raysweep.terminal.notes import note, say
from raysweep.terminal.plans import WIDTH, action_text, paragraph, plan_text, settings_text
from raysweep.terminal.tables import table
from raysweep.units import rough_duration
from raysweep.verbs.options import FloatRange, json_option, print_json, recipe_options, space_options

if TYPE_CHECKING:
    from raysweep.sweeps.space_sweep import PlannedPoint


@click.command()
@recipe_options
@space_options
@json_option
@click.option("--price", type=FloatRange(0, 1e6), metavar="AMOUNT", help="Price of a GPU-hour, for the estimate.")
@click.option("--measure", is_flag=True, help="Measure how fast this machine trains; takes seconds, and is remembered.")
def plan(studies: tuple[str, ...], as_json: bool, price: float | None, measure: bool, **options: Any) -> None:
    """Print every trial with its action and cost; train nothing.

    Times are those of this machine once --measure or `raysweep decide` has measured how fast it trains this baseline.

    Each study has a heading with what all its trials share, and one row for each trial with what it changes from the
    study's own baseline.

    \b
    raysweep plan activation --protocol imagenet128
    raysweep plan activation --protocol cifar10 --seeds 3 --epochs 10 --json
    raysweep plan joint --protocol cifar10 --trials 200
    """
    from raysweep.sweeps.changed_code import changed_code
    from raysweep.sweeps.unwritten import with_images

    space = take_space(options, studies)
    request = with_images(take_request(options, studies))
    if space is None:
        planned, pace = request.plan(), _pace(request, measure)
        if changed := changed_code(planned, request.store):
            note(changed)
        if as_json:
            print_json([{**entry.to_json(), "estimated_here_s": pace and pace.left_s(entry)} for entry in planned])
        else:
            print_plan(planned, request.protocol, price, pace)
        return
    if measure:
        raise RaysweepError("--measure is for studies: the time of a search space depends on the points it tries.")
    if price is not None:
        raise RaysweepError(
            f"--price {price:g}: the cost of a search space is not known before its networks are built."
        )
    from raysweep.sweeps.space_sweep import plan_space

    points = plan_space(request, space)
    print_json([point.to_json() for point in points]) if as_json else print_points(points, request.baseline(), space)


def _pace(request: Request, measure: bool) -> Pace | None:
    """The measured pace of this machine, if there is one."""
    if not measure:
        return recalled(request.baseline())
    from raysweep.sweeps.measured_pace import pace_here

    return pace_here(request, note, again=True)


def print_plan(
    plan: Sequence[PlannedTrial], protocol: str, price: float | None = None, pace: Pace | None = None
) -> None:
    """Print the trials, then totals: counts by action, the time with its assumption, and the price."""
    say(plan_text(plan, find_protocol(protocol), pace))
    hours = sum(planned.estimated_gpu_h for planned in plan)
    waiting = to_run(plan)
    say(f"\n{len(plan)} trials: {_counts(plan)}.")
    if waiting and pace:
        say(f"They take {pace.sentence(plan)}.")
    if waiting and (price is not None or pace is None):
        cost = "" if price is None else f", {hours * price:.2f} at {price:g} each"
        say(f"About {rough_duration(3600 * hours)} of GPU time{cost}. {assumption(waiting[0].recipe)}.")
    if waiting and pace is None:
        say("--measure measures how long it takes here.")


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
