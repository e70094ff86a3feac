"""`raysweep decide`: verdicts on the variants of studies within the hours that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from raysweep.arguments import DECIDE, REQUEST, SHORTHANDS, STUDIES
from raysweep.safe import command
from raysweep.terminal.decisions import Decision, answers_table, best_text, first_runs_table, unreliable_text
from raysweep.terminal.notes import note, say, warn
from raysweep.verbs.options import EXIT_FAILED, KEPT, begin_work, json_option, print_json, set_option, with_options
from raysweep.verbs.resources import resource_options

if TYPE_CHECKING:
    from raysweep.sweeps.decide.prepare import Prepared

OPTIONS = {name: argument for name, argument in (REQUEST | STUDIES).items() if name not in ("seeds", "trunks")}


@click.command(
    epilog="Run the same command again to continue, also with a larger budget: hours that the question has used before "
    "count. Its log is in the store under decisions/, its other trials in the studies calibration, controls, "
    "STUDY_rate, STUDY_longer, combination and final."
)
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@lambda command: with_options(command, DECIDE)
@lambda command: with_options(command, OPTIONS)
@lambda command: with_options(command, SHORTHANDS)
@set_option
@click.option(
    "--race-only", is_flag=True, help="No calibration and controls before the race, no checks and comparison after it."
)
@click.option(
    "--tune-rates",
    is_flag=True,
    help="Give each variant that changes optimisation the best of half, once and twice its learning rate first.",
)
@click.option("--dry-run", is_flag=True, help="Print the length of training and the first runs; train nothing.")
@json_option
@resource_options
def decide(studies: tuple[str, ...], dry_run: bool, as_json: bool, keep_checkpoints: bool, **options: Any) -> None:
    """Judge the variants of STUDY... within the time of --budget.

    A variant is better, worse or equal, did not train, or stays undecided. The probability of any wrong verdict in a
    study is at most 5 %, wherever it stops. Runs are trials of the store; those of `raysweep run` with the same recipe
    count. Judges on a tenth of the training images, which is held out (data.holdout).

    \b
    1. fit: epochs and the share of the images, such that two runs of every variant take at most 60 % of the time
    2. calibrate: the learning rate of the baseline, and dropout where its head is narrow
    3. control: fewer images, wrong labels, half the width and no non-linearity must be worse; if not, train longer
    4. race: every variant against the baseline, the next run where it most likely decides something for its time
    5. rate: do verdicts turn at half or twice the learning rate?
    6. lasting: do gains hold at twice the length?
    7. combine what is better; final: compare the result with the baseline on the test split, five runs each

    \b
    raysweep decide activation --protocol cifar10 --data data/cifar10 --budget 2h
    raysweep decide activation pooling --budget 6h --margin 0.5 --store s3://bucket/results
    raysweep decide activation --goal best --budget 1h --variants elu,prelu,tanh --inline
    """
    from raysweep.sweeps.decide.prepare import prepare
    from raysweep.sweeps.decide.request import take_decide
    from raysweep.sweeps.decide.sweep import run_decide
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
    decision = run_decide(prepared, resources, keep_checkpoints)
    print_decision(prepared, decision, as_json)
    if decision.failed:
        raise click.exceptions.Exit(EXIT_FAILED)


def print_decision(prepared: Prepared, decision: Decision, as_json: bool) -> None:
    """Print the answer, the verdicts, what they were judged on, and the next command."""
    answers, final = decision.answers, decision.final
    if as_json:
        print_json(decision.to_json())
    else:
        say(f"{final['text']}\n" if final else "")
        say(answers_table(answers))
        if prepared.asked.goal == "best":
            say(best_text(answers))
        say(f"\n{prepared.judged_on}")
    for warning in (prepared.short, *decision.warnings, unreliable_text(answers)):
        warn(warning)
    store = prepared.asked.request.store
    if decision.failed:
        show = command("raysweep", "show", decision.failed[0], "--store", store)
        note(f"{len(decision.failed)} trials failed, see why: `{show}`. The same command tries them again.")
    elif any(answer.needed_s for answer in answers):
        note("undecided variants go on with the same command and a larger --budget.")
    if final and "trial" in final:
        take = command("raysweep", "export", final["trial"], "--out", "best", "--store", store)
        note(f"the recipe that results: `raysweep show {final['trial']}`; its trained network: `{take}`")
    report = command("raysweep", "report", *prepared.questions, "--store", store)
    note(f"figures and tables: `{report}`")
