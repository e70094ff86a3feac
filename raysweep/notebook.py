"""The functions of `import raysweep`. They take the arguments of the command line; imports wait until a call."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.arguments import DECIDE, REQUEST, SHORTHANDS, SPACES, STUDIES, take_request, take_space
from raysweep.errors import unknown
from raysweep.planning import PlannedTrial
from raysweep.study import Study

if TYPE_CHECKING:
    import pandas as pd

    from raysweep.analysis.two_stores import StoreComparison
    from raysweep.deciding.racing import RaceResult
    from raysweep.orchestrate.events import Outcome
    from raysweep.store.store import Store
    from raysweep.sweeps.space_sweep import PlannedPoint
    from raysweep.terminal.decisions import Decision

ARGUMENTS = (*REQUEST, *STUDIES, *SHORTHANDS, *SPACES, "settings")


def plan(*studies: str | Study, **arguments: Any) -> list[PlannedTrial] | list[PlannedPoint]:
    """Every trial of the studies, or point of a search space, with what `run` will do with it and why.

        for trial in raysweep.plan("activation", protocol="cifar10", data="data/mine", epochs=10, seeds=3):
            print(trial.trial, trial.action, trial.reason, trial.estimated_gpu_h)

    Args:
        studies: names as in `raysweep list studies`, `Study` objects, or the search space `joint`.
        arguments: the options of `raysweep plan --help`, with underscores: `protocol`, `data`, `store`, `seeds`,
            `variants` (a list of names), `network`, `epochs`, `width`, `batch_size`, `lr`, `classes`, ...; and
            `settings`, a mapping of dotted recipe fields to values. Search spaces take `searcher`, `trials`, ...

    Raises:
        RaysweepError: the request cannot be carried out.
    """
    from raysweep.sweeps.unwritten import with_images

    space = take_space(arguments, studies)
    request = take_request(arguments, studies)
    _refuse_rest(arguments, ARGUMENTS)
    request = with_images(request)
    if space is None:
        return request.plan()
    from raysweep.sweeps.space_sweep import plan_space

    return plan_space(request, space)


def write_images(
    images: Any,
    labels: Any,
    folder: str | Path,
    *,
    test: tuple[Any, Any] | None = None,
    classes: Sequence[str] | None = None,
    holdout: float | None = None,
    **options: Any,
) -> Path:
    """Write images that are in memory as an image set, and return its folder, for `data` of `run` and `plan`.

        mine = raysweep.write_images(x, y, "data/mine", test=(x_test, y_test), side=36)
        raysweep.run("activation", protocol="cifar10", data=mine, inline=True)

    A set of the same images and labels that is in the folder already is kept.

    Args:
        images: an array (N, H, W) or (N, H, W, C), a tensor (N, C, H, W), or a sequence of such arrays, PIL images or
            encoded files, of any sizes; of 8 or 16 bits, or fractions from 0 to 1. Or, with `labels=None`, a torch data
            set of (image, label).
        labels: N class numbers or names.
        folder: where to write them.
        test: images and labels of the test split; None holds out a share of the training images.
        classes: the names of the classes 0, 1, ...
        holdout: that share; 0.2 by default.
        options: those of `raysweep data write`, with underscores: `side`, `also`, `encoding`, `workers`, ...

    Raises:
        RaysweepError: images or labels that cannot be used, or a folder with other images.
    """
    from raysweep.write.from_memory import write_from_memory

    splits = {"train": (images, labels)} | ({} if test is None else {"test": test})
    return write_from_memory(splits, Path(folder), classes, holdout, **options)


def race(
    variants: Sequence[str],
    measure: Callable[[str, int], float | None],
    baseline: str,
    *,
    margin: float = 1.0,
    budget: float = math.inf,
    cost: Mapping[str, float] | Callable[[str], float] | None = None,
    goal: str = "all",
    level: float = 0.05,
    workers: int | None = None,
    gpus: float = 0.0,
    log: str | Path | None = None,
) -> RaceResult:
    """Compare anything that can be measured with a baseline, with as few runs as it takes; no study is needed.

        result = raysweep.race(["baseline", "a", "b"], train_and_test, baseline="baseline", margin=0.5, budget=120)
        print(result)                  # a  better  +1.63 [+0.25, +3.00]  6 runs ...
        result.verdicts["a"], result.gains["a"], result.best

    Every variant is run twice and the baseline more often; each further run goes to what it most likely decides. The
    probability of any wrong claim about any variant is at most `level`, wherever the race stops or is continued.

    Args:
        variants: names, those of the baseline included.
        measure: takes a name and a seed (0, 1, 2, ...) and returns a number, where more is better; None or nan means
            that this run did not train.
        baseline: the variant that the others are compared with.
        margin: the smallest gain that matters, in the unit of the numbers.
        budget: number of runs, or seconds if `cost` gives the seconds of a run. A race ends earlier if all is decided.
        cost: the cost of one run of each variant, as a mapping or a function of the name.
        goal: `all` judges every variant, `best` finds the best one.
        level: largest probability of a wrong claim.
        workers: run this many at once on Ray; by default one after the other in this process.
        gpus: GPUs of a run on Ray.
        log: a file that keeps the results. The same call continues from it, with a larger budget too.

    Raises:
        RaysweepError: arguments that make no race, a budget below two runs of each variant, or a log of another race.
    """
    from raysweep.deciding.race import Question
    from raysweep.deciding.racing import one_by_one, run_race

    question = Question(tuple(variants), baseline, margin, level, goal)
    carry = one_by_one
    if workers is not None:
        from raysweep.orchestrate.race_on_ray import OnRay

        carry = OnRay(workers, gpus=gpus)
    return run_race(question, measure, budget, cost, None if log is None else Path(log), carry)


def run(*studies: str | Study, keep_checkpoints: bool = False, **arguments: Any) -> Outcome:
    """Train every trial that is not finished, on Ray or (`inline=True`) in this process, and show progress.

        outcome = raysweep.run("activation", protocol="cifar10", data="data/mine", seeds=3, workers=4, gpus=0.5)
        print(len(outcome.finished), "finished,", len(outcome.failed), "failed")
        raysweep.run("joint", protocol="cifar10", searcher="optuna", scheduler="asha", trials=200)

    Args:
        studies: as for `plan`.
        keep_checkpoints: keep the last checkpoint of finished trials.
        arguments: those of `plan`, and `workers`, `gpus`, `workers_per_trial`, `threads`, `attempts`, `address`,
            `inline`, `deterministic`, `share_images`, `log_to`, as in `raysweep run --help`. The store is the folder
            `results` unless `store` names another.

    Raises:
        RaysweepError: the request cannot be carried out. Nothing has been trained.
        KeyboardInterrupt: stopped; the same call continues.
    """
    from raysweep.sweeps import resources as places
    from raysweep.sweeps.space_sweep import run_space
    from raysweep.sweeps.study_sweep import run_studies
    from raysweep.sweeps.unwritten import with_images

    arguments.setdefault("store", "results")
    space = take_space(arguments, studies)
    request = take_request(arguments, studies)
    resources = places.take_resources(arguments)
    _refuse_rest(arguments, ("keep_checkpoints", *places.ARGUMENTS, *ARGUMENTS))
    request = with_images(request)
    if space is None:
        return run_studies(request, resources, keep_checkpoints)
    return run_space(request, resources, space, keep_checkpoints)


def decide(*studies: str | Study, keep_checkpoints: bool = False, **arguments: Any) -> Decision:
    """Decide which variants of studies are better, worse or equal, within the hours of a budget.

        decision = raysweep.decide("activation", budget="2h", protocol="cifar10", data="data/mine")
        for answer in decision.answers:
            print(answer.variant, answer.verdict.outcome, answer.verdict.gain, answer.verdict.low, answer.verdict.high)
        print(decision.final and decision.final["text"])

    Args:
        studies: names as in `raysweep list studies`, or `Study` objects.
        keep_checkpoints: keep the last checkpoint of finished trials.
        arguments: `budget` (such as "2h"), `margin` (points), `goal` ("all" or "best"), `race_only` and
            `tune_rates` (True or False), and those of `run` but for
            `seeds`, `trunks` and those of search spaces.

    Raises:
        RaysweepError: the request cannot be carried out, or the budget is too small. Nothing has been trained.
        KeyboardInterrupt: stopped; the same call continues.
    """
    from raysweep.sweeps import resources as places
    from raysweep.sweeps.decide.prepare import prepare
    from raysweep.sweeps.decide.request import take_decide
    from raysweep.sweeps.decide.sweep import run_decide
    from raysweep.terminal.notes import note, warn

    for name in ("seeds", "trunks"):
        if name in arguments:
            raise unknown("argument of decide", name, ())
    arguments.setdefault("store", "results")
    asked = take_decide(arguments, studies)
    resources = places.take_resources(arguments)
    _refuse_rest(arguments, ("keep_checkpoints", *places.ARGUMENTS, *DECIDE, *ARGUMENTS))
    prepared = prepare(asked, resources)
    for reason in prepared.why:
        note(reason)
    warn(prepared.short)
    return run_decide(prepared, resources, keep_checkpoints)


def _refuse_rest(arguments: dict[str, Any], known: tuple[str, ...]) -> None:
    for name in arguments:
        raise unknown("argument", name, known)


def results(study: str, store: str | Path = "results") -> pd.DataFrame:
    """One row for each trial of a study: status, accuracy (0 to 1), log loss (nats), cost, speed.

        raysweep.results("activation").groupby("variant")["top1"].mean()

    Raises:
        RaysweepError: no such store.
    """
    from raysweep.store.query import results_table

    with _opened(store) as opened:
        frame: pd.DataFrame = results_table(opened, study).to_pandas()
    return frame


@contextmanager
def _opened(store: str | Path) -> Iterator[Store]:
    """A store; afterwards a warning says what could not be read or was left out."""
    from raysweep.store.store import Store

    opened = Store.open(str(store))
    yield opened
    _warn(opened.problems)


def _warn(problems: Iterable[str]) -> None:
    for problem in problems:
        warnings.warn(problem, stacklevel=2)


def report(
    *studies: str,
    store: str | Path = "results",
    out: str | Path = "report",
    live: bool = False,
    every: float | None = None,
    margin: float = 1.0,
) -> Path:
    """Write the figures and tables of the studies as one HTML page, and return its path.

        page = raysweep.report("activation", "pooling", store="results", out="report")

    Args:
        studies: names of studies in the store; `all` for every one.
        store: a folder, or an s3:// or gs:// URI.
        out: the folder to write.
        live: rewrite the page while a sweep runs; returns when the sweep is over.
        every: seconds between refreshes with `live`; None: 30.
        margin: the smallest gain that matters, in points of top-1.

    Raises:
        RaysweepError: no such store or study, a folder that cannot be written, `every` without `live`, or a margin that
            is not above 0.
    """
    from raysweep.analysis.page.report import EVERY_S, write_report
    from raysweep.terminal.watch_store import refreshes, seconds_between

    every_s = seconds_between(every, EVERY_S, live, "live=True")
    followed = refreshes if live else None
    return write_report(str(store), studies, Path(out), refreshes=followed, every_s=every_s, margin=margin)


def gains(*studies: str, store: str | Path = "results", margin: float = 1.0) -> pd.DataFrame:
    """One row for each variant of the studies, or of all in the store: the numbers of the report's tables.

    Columns: `study`, `protocol`, `line` (settings), `variant`, `n` (runs that trained), `top1` and `gain` over the
    baseline in points with the half-widths `top1_half` and `gain_half` of their intervals, `p` (adjusted for all
    requested studies), `verdict` (better, worse, equal within the margin, undecided, did not train), `best` and `top3`
    (probabilities), `more_seeds` for the margin, `seeds_published`, `published_top1`, `published_gain`, `our_network`
    (same network, or same idea, other layers, or no network file), costs, and how trials ended. `margin` is the
    smallest gain that matters, in points.

    Raises:
        RaysweepError: no such store, no such study in it, or a margin that is not above 0.
    """
    from raysweep.analysis.page.gain_tables import all_gains

    with _opened(store) as opened:
        return all_gains(opened, studies, margin)


def take_home(store: str | Path = "results", margin: float = 1.0) -> pd.DataFrame:
    """The evidence in the store for each take-home message of the paper: gain, interval, published difference, verdict.

    Raises:
        RaysweepError: no such store, an empty one, or a margin that is not above 0.
    """
    from raysweep.analysis.load import ALL, load_lines
    from raysweep.analysis.messages import take_home as messages
    from raysweep.analysis.statistics.comparisons import on_one_page

    with _opened(store) as opened:
        return messages(on_one_page(load_lines(opened, [ALL]), margin))


def compare(store_a: str | Path, store_b: str | Path, margin: float = 1.0) -> StoreComparison:
    """A comparison of the results of two stores: frames of trials, variants and orders.

    `margin` is the smallest difference of gains that matters, in points.

    Raises:
        RaysweepError: a store that cannot be read, or is empty, or a margin that is not above 0.
    """
    from raysweep.analysis.two_stores import compare_stores

    found = compare_stores(str(store_a), str(store_b), margin)
    _warn(found.problems)
    return found


def init_stats(store: str | Path = "results") -> pd.DataFrame:
    """The measurements of `raysweep init-stats`: one row for each trial, update and layer.

    Raises:
        RaysweepError: no such store.
    """
    with _opened(store) as opened:
        frame: pd.DataFrame = opened.init_stats().to_pandas()
    return frame
