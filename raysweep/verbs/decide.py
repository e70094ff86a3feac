"""`raysweep decide`: verdicts on the variants of studies within the hours that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from raysweep.arguments import DECIDE, REQUEST, SHORTHANDS, STUDIES
from raysweep.safe import command
from raysweep.terminal.decisions import answers_table, best_text, first_runs_table, unreliable_text
from raysweep.terminal.notes import note, say, warn
from raysweep.verbs.options import EXIT_FAILED, KEPT, begin_work, json_option, print_json, set_option, with_options
from raysweep.verbs.resources import resource_options

if TYPE_CHECKING:
    from raysweep.sweeps.decide_sweep import Prepared
    from raysweep.sweeps.study_races import StudyRaces

OPTIONS = {name: argument for name, argument in (REQUEST | STUDIES).items() if name not in ("seeds", "trunks")}


@click.command(
    epilog="Run the same command again to continue, also with a larger budget: hours that the question has used before "
    "count. It does not yet calibrate the learning rate, test whether a verdict depends on it or on the length of "
    "training, or combine what is better."
)
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@lambda command: with_options(command, DECIDE)
@lambda command: with_options(command, OPTIONS)
@lambda command: with_options(command, SHORTHANDS)
@set_option
@click.option("--dry-run", is_flag=True, help="Print the length of training and the first runs; train nothing.")
@json_option
@resource_options
def decide(studies: tuple[str, ...], dry_run: bool, as_json: bool, keep_checkpoints: bool, **options: Any) -> None:
    """Judge the variants of STUDY... within the time of --budget.

    A variant is better, worse or equal, did not train, or stays undecided. Chooses epochs and the share of the images
    such that two runs of every variant fit, then runs what most likely decides something for its time. The probability
    of any wrong verdict in a study is at most 5 %, wherever it stops. Runs are trials of the store; those of `raysweep
    run` with the same recipe count. Judges on a tenth of the training images, which is held out (data.holdout); with
    --set data.holdout=0 on the test split.

    \b
    raysweep decide activation --protocol cifar10 --data data/cifar10 --budget 2h
    raysweep decide activation pooling --budget 6h --margin 0.5 --store s3://bucket/results
    raysweep decide activation --goal best --budget 1h --variants elu,prelu,tanh --inline
    """
    from raysweep.sweeps.decide_request import take_decide
    from raysweep.sweeps.decide_sweep import prepare, run_decide
    from raysweep.sweeps.resources import take_resources

    asked, resources = take_decide(options, studies), take_resources(options)
    prepared = prepare(asked, resources)
    for reason in prepared.why:
        note(reason)
    warn(prepared.short)
    if dry_run:
        rows = prepared.first_runs()
        print_json([row.to_json() for row in rows]) if as_json else say(first_runs_table(rows, prepared.races.budget))
        return
    begin_work(KEPT)
    races = run_decide(prepared, resources, keep_checkpoints)
    print_answers(prepared, races, as_json)
    if races.failed:
        raise click.exceptions.Exit(EXIT_FAILED)


def print_answers(prepared: Prepared, races: StudyRaces, as_json: bool) -> None:
    """Print the verdicts, what they were judged on, and the next command."""
    answers = races.answers()
    if as_json:
        print_json([answer.to_json() for answer in answers])
    else:
        say(answers_table(answers))
        if prepared.asked.goal == "best":
            say(best_text(races.races.races))
        say(f"\n{prepared.judged_on}")
    for warning in (prepared.short, unreliable_text(answers)):
        warn(warning)
    store = prepared.asked.request.store
    if races.failed:
        show = command("raysweep", "show", next(iter(races.failed)), "--store", store)
        note(f"{len(races.failed)} trials failed, see why: `{show}`. The same command tries them again.")
    elif any(answer.needed_s for answer in answers):
        note("undecided variants go on with the same command and a larger --budget.")
    report = command("raysweep", "report", *prepared.questions, "--store", store)
    note(f"figures and tables: `{report}`")
