"""`raysweep nas`: architecture search, side by side with honest baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from raysweep.arguments import take_request
from raysweep.errors import RaysweepError
from raysweep.sweeps.resources import take_resources
from raysweep.terminal.tables import table
from raysweep.units import percent
from raysweep.verbs.nas_steps import run_nas, run_winners
from raysweep.verbs.options import setting_options
from raysweep.verbs.resources import resource_options

if TYPE_CHECKING:
    from raysweep.nas_trials.nas_request import NasRequest

EXIT_FAILED = 1
"""A search has failed, see `run_nas`."""


@click.command(
    name="nas",
    epilog="The same command continues, with a larger budget too. Trials are shared: what any search of the same "
    "settings has trained is looked up and charged, not trained again.",
)
@click.argument("methods", nargs=-1, required=True, metavar="METHOD...")
@click.option("--space", default="nasnet", show_default=True, help="What is searched, see `raysweep list nas_spaces`.")
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    metavar="AMOUNT",
    help="Of each search: 60 (evaluations), 200epochs, 5e15macs (of training) or 12h (of all workers together). May be "
    "given often: whichever is reached first. Where weights are shared, epochs are those of the weights, evaluations "
    "do not count, and none is needed.",
)
@click.option(
    "--option",
    "method_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Option of the methods that have it, e.g. population=20. May be given often. Of shared weights: preset "
    "(enas_code or small), cells, width, bn (batch, running, recalibrated).",
)
@click.option(
    "--holdout",
    type=float,
    default=0.1,
    show_default=True,
    help="Share of the training images, of every class, that searches choose by. They are not trained on, and the test "
    "split is not looked at.",
)
@click.option("--max-params", type=float, help="Most parameters of a network, e.g. 3.3e6, as the settings build it.")
@click.option("--max-macs", type=float, help="Most multiply-accumulates of one image, forward, e.g. 600e6.")
@click.option(
    "--retrain",
    type=int,
    default=0,
    show_default=True,
    help="Train the best of each search anew with so many seeds, on all training images, and test on the test split.",
)
@click.option(
    "--beside",
    default="",
    help="Networks to train beside the best, comma-separated, as wide as gives them its multiply-accumulates. With "
    "--retrain.",
)
@click.option(
    "--rank",
    type=int,
    default=0,
    show_default=True,
    help="Train so many cells of each search with shared weights alone too, and say how far both orders agree. 20 or "
    "more tell something.",
)
@click.option("--dry-run", is_flag=True, help="Print what is known and what is likely to come; train nothing.")
@setting_options
@resource_options
def nas(dry_run: bool, retrain: int, beside: str, rank: int, keep_checkpoints: bool, **options: Any) -> None:
    """Search for architectures with every METHOD, side by side: one search for each of --seeds.

    See `raysweep list methods`. With --seeds 3 each method searches three times; all share workers and trials.

    \b
    raysweep nas evolution --space nasnet --budget 60 --protocol cifar10 --data data/cifar10 --workers 2
    raysweep nas random evolution reinforce --space joint --budget 60 --seeds 3 --option population=20
    raysweep nas random evolution --space nasbench201 --budget 12h --retrain 3 --beside resnet20_cifar
    raysweep nas successive_halving --budget 200epochs --option eta=3 --option inner=evolution --dry-run
    raysweep nas enas random_weight_sharing --space enas --protocol cifar10 --option preset=small --rank 20 --retrain 3
    """
    from raysweep.nas_trials.retraining import check_beside

    networks = [name.strip() for name in beside.split(",") if name.strip()]
    if (networks and not retrain) or retrain < 0:
        raise RaysweepError(f"--retrain is {retrain}: it is a number of seeds, e.g. 3, to train what is found with.")
    check_beside(networks)
    resources = take_resources(options)
    asked = take_nas(options)
    check_rank(asked, rank)
    if dry_run:
        print_preview(asked)
        return
    try:
        searches, failed = run_nas(asked, resources, keep_checkpoints, rank)
        if retrain:
            run_winners(asked, searches, resources, retrain, networks)
    except KeyboardInterrupt:
        click.echo("stopped; every finished epoch is in the store. The same command continues.", err=True)
        raise
    if failed:
        raise click.exceptions.Exit(EXIT_FAILED)


def check_rank(asked: NasRequest, rank: int) -> None:
    """Refuse a ranking that there cannot be, before anything is trained.

    Raises:
        RaysweepError: too few cells, or no method that shares weights.
    """
    if rank and (rank < 2 or asked.only(sharing=True) is None):
        raise RaysweepError(
            f"--rank {rank}: it is how many cells, 2 or more, are trained alone to compare scores by shared weights "
            "with, for the methods enas and random_weight_sharing."
        )


def take_nas(options: dict[str, Any]) -> NasRequest:
    """The request that the options make; takes them out of `options`.

    Raises:
        RaysweepError: whatever of them does not serve.
    """
    from raysweep.nas.limits import Limits
    from raysweep.nas_trials.nas_request import NasRequest, parse_budget

    methods, seeds = options.pop("methods"), options["seeds"]
    budgets, chosen = options.pop("budgets"), pairs(options.pop("method_options"))
    budget = parse_budget(budgets) if budgets else None
    space, holdout = options.pop("space"), options.pop("holdout")
    limits = {name: options.pop(name) for name in ("max_params", "max_macs")}
    request = take_request(options, ())
    within = Limits(**{name: None if limit is None else int(limit) for name, limit in limits.items()})
    return NasRequest(space, methods, budget, request, seeds, chosen, holdout, within)


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """What `--option NAME=VALUE ...` means.

    Raises:
        RaysweepError: a text without an equals sign.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise RaysweepError(f"--option {text}: write it as --option NAME=VALUE, e.g. --option population=20.")
        found[name.strip().replace("-", "_")] = value.strip()
    return found


def print_preview(asked: NasRequest) -> None:
    """Print what the store has of each search and what is likely to come.

    Raises:
        RaysweepError: whatever of the request cannot be done.
    """
    from raysweep.nas_trials.preview import preview

    previews, typical = preview(asked)
    header = ("method", "seed", "evaluated", "best top-1, %", "spent, h", "to come", "GPU-h")
    rows = (
        (
            one.method,
            one.seed,
            one.evaluations,
            percent(one.best),
            f"{one.spent_h:.3g}",
            "-" if one.left is None else one.left,
            "-" if one.estimated_gpu_h is None else f"{one.estimated_gpu_h:.2g}",
        )
        for one in previews
    )
    click.echo(table(header, rows))
    hours = sum(one.estimated_gpu_h or 0.0 for one in previews)
    click.echo(f"\n{len(previews)} searches, about {hours:.3g} GPU-hours where no result is shared.")
    click.echo(f"{typical.sentence}. What is to come is likely, not certain: architectures differ in cost.")
