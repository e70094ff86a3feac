"""raysweep: which design choices help, for your network and your data.

In a notebook: `raysweep.plan`, `raysweep.run` and `raysweep.results` take the same words as the command line, and
`raysweep.gains`, `raysweep.take_home` and `raysweep.compare` return the frames behind the report. Importing the package
loads neither torch nor ray.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# Before the functions of the same names below: a module that is imported later would take their place.
import raysweep.run  # noqa: F401
from raysweep.errors import RaysweepError
from raysweep.patch import Times
from raysweep.planning import PlannedTrial
from raysweep.recipe import Recipe
from raysweep.request import Request
from raysweep.study import Study, Variant, find_study

if TYPE_CHECKING:
    import pandas as pd

    from analysis.two_stores import StoreComparison
    from raysweep.orchestrate.events import Outcome

__all__ = [
    "PlannedTrial",
    "RaysweepError",
    "Recipe",
    "Request",
    "Study",
    "Times",
    "Variant",
    "compare",
    "find_study",
    "gains",
    "init_stats",
    "plan",
    "results",
    "run",
    "take_home",
]


def plan(*studies: str | Study, **request: Any) -> list[PlannedTrial]:
    """Every trial of the studies with its action and reason; keywords are the fields of `Request`.

    Raises:
        RaysweepError: whatever of the request cannot be done.
    """
    return Request(studies, **request).plan()


def run(*studies: str | Study, inline: bool = False, **request: Any) -> Outcome:
    """Train what is not finished; keywords are the fields of `Request`.

    Raises:
        RaysweepError: data, settings or store that do not serve.
    """
    from raysweep.sweeps.study_sweep import Resources, execute, prepare

    resources = Resources(inline=inline)
    return execute(prepare(Request(studies, **request), resources), resources)


def results(study: str, store: str = "results") -> pd.DataFrame:
    """One row a trial of the study.

    Raises:
        RaysweepError: no such store.
    """
    from raysweep.store.query import results_table
    from raysweep.store.store import Store

    frame: pd.DataFrame = results_table(Store.open(store), study).to_pandas()
    return frame


def gains(*studies: str, store: str = "results") -> pd.DataFrame:
    """One row a variant of these studies, or of all in the store: the numbers of the report's tables.

    Columns: `study`, `protocol`, `line` (settings), `variant`, `n` (seeds), `top1` and `gain` over the baseline in
    points with `top1_half` and `gain_half` of their 95 % intervals, `p` (Dunnett, for the study at once), `q` (in the
    light of all studies asked for), `verdict`, `seeds_needed`, `published_top1`, `published_gain`, costs,
    and how trials ended.

    Raises:
        RaysweepError: no such store, or no such study in it.
    """
    from analysis.page.gain_tables import all_gains
    from raysweep.store.store import Store

    return all_gains(Store.open(store), studies)


def take_home(store: str = "results") -> pd.DataFrame:
    """What the store says of each take-home message of the paper: gain, interval, adjusted p, verdict.

    Raises:
        RaysweepError: no such store, or an empty one.
    """
    from analysis.load import ALL, load_lines
    from analysis.messages import take_home as messages
    from raysweep.store.store import Store

    return messages(load_lines(Store.open(store), [ALL]))


def compare(store_a: str, store_b: str) -> StoreComparison:
    """The results of two stores beside each other: frames of trials, variants and orders.

    Raises:
        RaysweepError: one of them cannot be read, or is empty.
    """
    from analysis.two_stores import compare_stores

    return compare_stores(store_a, store_b)


def init_stats(store: str = "results") -> pd.DataFrame:
    """What `raysweep init-stats` has measured: one row a trial, update and layer.

    Raises:
        RaysweepError: no such store.
    """
    from raysweep.store.store import Store

    frame: pd.DataFrame = Store.open(store).init_stats().to_pandas()
    return frame
