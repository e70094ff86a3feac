"""`raysweep nas`: architecture search, compared side by side with baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from raysweep.arguments import take_request
from raysweep.errors import RaysweepError
from raysweep.safe import command
from raysweep.sweeps.resources import take_resources
from raysweep.terminal.notes import note, say
from raysweep.terminal.tables import table
from raysweep.units import percent, rough_duration
from raysweep.verbs.options import EXIT_FAILED, KEPT, FloatRange, begin_work, setting_options
from raysweep.verbs.resources import resource_options

if TYPE_CHECKING:
    from raysweep.nas_trials.nas_request import NasRequest
    from raysweep.nas_trials.one_search import Found
    from raysweep.sweeps.resources import Resources
    from raysweep.sweeps.supernet_sweep import PreparedSupernets


@click.command(
    name="nas",
    epilog="Run the same command again to continue, also with a larger budget. Searches share trials: a trial that "
    "another search with the same settings has trained is charged to the budget but not trained again.",
)
@click.argument("methods", nargs=-1, required=True, metavar="METHOD...")
@click.option(
    "--space",
    default="nasnet",
    show_default=True,
    metavar="NAME",
    help="Space to search; see `raysweep list nas_spaces`.",
)
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    metavar="AMOUNT",
    help="Budget per search: 60 (evaluations), 200epochs, 5e15macs (of training) or 12h (summed over all workers). "
    "Repeat to set several limits; the first one reached ends the search. Methods with a supernet need no budget; "
    "epochs are then those of the supernet, and evaluations are ignored.",
)
@click.option(
    "--option",
    "method_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set an option for every method that has it, e.g. population=20. Can be repeated. Options of supernets: "
    "preset (enas_code or small), cells, width, bn (batch, running or recalibrated).",
)
@click.option(
    "--holdout",
    type=FloatRange(0, 1),
    default=0.1,
    show_default=True,
    metavar="FRACTION",
    help="Fraction of the training images of each class that searches select on. They are not used for training, and "
    "searches never use the test split.",
)
@click.option(
    "--max-params", type=FloatRange(1, 1e15), metavar="N", help="Largest number of parameters of a network, e.g. 3.3e6."
)
@click.option(
    "--max-macs",
    type=FloatRange(1, 1e18),
    metavar="N",
    help="Largest number of multiply-accumulates (forward, one image) of a network, e.g. 600e6.",
)
@click.option(
    "--retrain",
    type=click.IntRange(0, 1000),
    default=0,
    show_default=True,
    metavar="SEEDS",
    help="Retrain the best architecture of each search from scratch with this many seeds on the full training set, and "
    "evaluate it on the test set.",
)
@click.option(
    "--beside",
    default="",
    metavar="NETWORKS",
    help="With --retrain: also train these hand-designed networks (comma-separated), scaled to the number of MACs of "
    "the best architecture found.",
)
@click.option(
    "--rank",
    type=click.IntRange(0, 10**4),
    default=0,
    show_default=True,
    metavar="CELLS",
    help="Also train this many cells of each search with a supernet individually, and report how well the two rankings "
    "agree. Use at least 20.",
)
@click.option(
    "--dry-run", is_flag=True, help="Print the state of each search and the estimated cost of the rest; train nothing."
)
@setting_options
@resource_options
def nas(dry_run: bool, retrain: int, beside: str, rank: int, keep_checkpoints: bool, **options: Any) -> None:
    """Search for architectures with METHOD..., side by side.

    Methods are listed by `raysweep list methods`. With --seeds 3 each method searches three times. All searches share
    workers and trials.

    \b
    raysweep nas evolution --space nasnet --budget 60 --protocol cifar10 --data data/cifar10 --workers 2
    raysweep nas random evolution reinforce --space joint --budget 60 --seeds 3 --option population=20
    raysweep nas random evolution --space nasbench201 --budget 12h --retrain 3 --beside resnet20_cifar
    raysweep nas successive_halving --budget 200epochs --option eta=3 --option inner=evolution --dry-run
    raysweep nas enas random_weight_sharing --space enas --protocol cifar10 --option preset=small --rank 20 --retrain 3
    """
    from raysweep.networks import networks

    hand_designed = [name.strip() for name in beside.split(",") if name.strip()]
    if hand_designed and not retrain:
        raise RaysweepError(f"--beside {beside} needs --retrain with a number of seeds, e.g. 3, but that is {retrain}.")
    for name in hand_designed:
        _ = networks()[name]  # raises if unknown, before a search spends its budget
    resources = take_resources(options)
    asked = take_nas(options)
    check_rank(asked, rank)
    if dry_run:
        print_preview(asked)
        return
    begin_work(KEPT)
    searches, failed = run_nas(asked, resources, keep_checkpoints, rank)
    if retrain and (not failed or any(search.has_finished for search in searches)):
        failed |= retrain_best(asked, searches, resources, retrain, hand_designed)
    if failed:
        raise click.exceptions.Exit(EXIT_FAILED)


def check_rank(asked: NasRequest, rank: int) -> None:
    """Check the number of cells to rank before anything is trained.

    Raises:
        RaysweepError: too few cells, or no method with a supernet.
    """
    if rank and asked.only(supernet=True) is None:
        raise RaysweepError(
            f"--rank {rank} needs a method with a supernet, and {' and '.join(asked.methods)} have none: add enas or "
            "random_weight_sharing, or leave out --rank."
        )
    if rank and rank < 2:
        raise RaysweepError(f"--rank is {rank}: it must be 2 or more cells, since one cannot be ranked.")


def take_nas(options: dict[str, Any]) -> NasRequest:
    """The request given by the command-line options, which are removed from `options`.

    Raises:
        RaysweepError: an invalid option.
    """
    from raysweep.nas.limits import Limits
    from raysweep.nas_trials.nas_request import NasRequest, parse_budget
    from raysweep.sweeps.unwritten import with_images

    methods, seeds = options.pop("methods"), options["seeds"]
    budgets, chosen = options.pop("budgets"), pairs(options.pop("method_options"))
    budget = parse_budget(budgets) if budgets else None
    space, holdout = options.pop("space"), options.pop("holdout")
    limits = {name: options.pop(name) for name in ("max_params", "max_macs")}
    request = with_images(take_request(options, ()))
    within = Limits(**{name: None if limit is None else int(limit) for name, limit in limits.items()})
    return NasRequest(space, methods, budget, request, seeds, chosen, holdout, within)


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """Names and values of `--option NAME=VALUE ...`.

    Raises:
        RaysweepError: text without an equals sign.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise RaysweepError(f"--option {text}: write it as --option NAME=VALUE, e.g. --option population=20.")
        found[name.strip().replace("-", "_")] = value.strip()
    return found


def run_nas(asked: NasRequest, resources: Resources, keep_checkpoints: bool, rank: int) -> tuple[list[Found], bool]:
    """Run all searches, first those without a supernet, and print the results.

    Returns also whether a search failed: one with a supernet that did not complete, or another one without a single
    finished trial, since single failed trials are results. A failed training of a ranked cell is a failure too.

    Raises:
        RaysweepError: the request cannot be carried out.
        KeyboardInterrupt: stopped by the user; the same command continues.
    """
    from raysweep.sweeps.nas_sweep import run_by_trials
    from raysweep.sweeps.supernet_sweep import check_supernets, run_supernets

    by_trials, supernets = asked.only(supernet=False), asked.only(supernet=True)
    if supernets:
        check_supernets(supernets, resources)  # before the trials of the other searches are trained
    searches: list[Found] = []
    failed = False
    if by_trials:
        found, outcome = run_by_trials(by_trials, resources, keep_checkpoints)
        say(summary(found))
        searches, failed = [*found], bool(outcome.failed) and not any(search.has_finished for search in found)
    if supernets:
        prepared, outcome = run_supernets(supernets, resources)
        found = prepared.found()
        say(summary(found))
        searches, failed = [*searches, *found], failed or bool(outcome.failed)
        for name in outcome.failed:
            note(f"{name} failed: see {prepared.store.uri}/searches/{name}.error. Run the same command to retry.")
        if rank and (not failed or any(search.has_finished for search in found)):
            failed |= print_ranking(prepared, found, resources, rank)
    return searches, failed


def print_ranking(prepared: PreparedSupernets, searches: Sequence[Found], resources: Resources, count: int) -> bool:
    """Rank this many cells of each search and print how well the two orders agree; returns whether a training failed.

    Raises:
        RaysweepError: no evaluation has finished, or the request cannot be carried out.
        KeyboardInterrupt: stopped by the user; the same command continues.
    """
    from raysweep.sweeps.supernet_ranking import rank_cells

    rows, failed = rank_cells(prepared, searches, resources, count)
    say(table(("method", "seed", "cells", "Kendall's tau", "Spearman's rho"), rows))
    return failed


def summary(searches: Sequence[Found]) -> str:
    """A table of the results of each search, followed by a line for each search that exhausted its space."""
    header = ("method", "seed", "evaluated", "failed", "best top-1, %", "proposal", "hours", "trial")
    notes = [
        f"\n{search.method} seed {search.seed} ended before its budget: it has exhausted the space."
        for search in searches
        if search.has_room
    ]
    return "".join([table(header, map(_row, searches)), *notes])


def _row(search: Found) -> tuple[object, ...]:
    history = search.history
    failed = sum(one.status != "finished" for one in history.evaluations)
    counts = (search.method, search.seed, len(history.evaluations), failed)
    if not search.has_finished:
        return (*counts, *"----")
    best = history.best
    return (*counts, percent(best.value), best.number, f"{history.spent.hours:.3g}", search.trial or "-")


def retrain_best(
    asked: NasRequest, searches: Sequence[Found], resources: Resources, seeds: int, beside: Sequence[str]
) -> bool:
    """Retrain the best architecture of each search, as a study; returns whether a training failed.

    Raises:
        RaysweepError: no evaluation has finished, or the request cannot be carried out.
        KeyboardInterrupt: stopped by the user; the same command continues.
    """
    from raysweep.nas_trials.retraining import retraining
    from raysweep.sweeps.study_sweep import run_studies

    request = retraining(asked, asked.trial_space(), searches, seeds, beside)
    outcome = run_studies(request, resources)
    (study,) = request.find_studies()
    report = command("raysweep", "report", study.name, "--store", request.store)
    note(f"{len(outcome.finished)} trials finished, {len(outcome.failed)} failed. Report: `{report}`")
    return bool(outcome.failed)


def print_preview(asked: NasRequest) -> None:
    """Print the state of each search and the estimated cost of the rest.

    Raises:
        RaysweepError: the request cannot be carried out.
    """
    from raysweep.nas_trials.preview import preview

    previews, typical = preview(asked)
    header = ("method", "seed", "evaluated", "best top-1, %", "spent, h", "to come", "GPU time")
    rows = (
        (
            one.method,
            one.seed,
            one.evaluations,
            percent(one.best),
            f"{one.spent_h:.3g}",
            "-" if one.left is None else one.left,
            rough_duration(3600 * one.estimated_gpu_h) if one.estimated_gpu_h else "-",
        )
        for one in previews
    )
    say(table(header, rows))
    hours = sum(one.estimated_gpu_h or 0.0 for one in previews)
    say(f"\n{len(previews)} searches, about {rough_duration(3600 * hours)} of GPU time if they share no trials.")
    say(f"{typical.sentence}. This is an estimate: architectures differ in cost.")
