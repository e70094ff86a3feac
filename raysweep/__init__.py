"""raysweep: which design choices help, for your network and your data.

In a notebook: `raysweep.plan`, `raysweep.run` and `raysweep.results` take the same words as the command line. Importing
the package loads neither torch nor ray.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# Before the functions of the same names below: a module that is imported later would take their place.
import raysweep.results
import raysweep.run  # noqa: F401
from raysweep.errors import RaysweepError
from raysweep.patch import Times
from raysweep.plan import PlannedTrial
from raysweep.recipe import Recipe
from raysweep.request import Request
from raysweep.study import Study, Variant, find_study

if TYPE_CHECKING:
    import pandas as pd

    from raysweep.orchestrate.events import Outcome

__all__ = [
    "PlannedTrial",
    "RaysweepError",
    "Recipe",
    "Request",
    "Study",
    "Times",
    "Variant",
    "find_study",
    "init_stats",
    "plan",
    "results",
    "run",
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
    from raysweep.sweep import Resources, execute, prepare

    resources = Resources(inline=inline)
    return execute(prepare(Request(studies, **request), resources), resources)


def results(study: str, store: str = "results") -> pd.DataFrame:
    """One row a trial of the study.

    Raises:
        RaysweepError: no such store.
    """
    from raysweep.results.query import results_table
    from raysweep.results.store import Store

    frame: pd.DataFrame = results_table(Store.open(store), study).to_pandas()
    return frame


def init_stats(store: str = "results") -> pd.DataFrame:
    """What `raysweep init-stats` has measured: one row a trial, update and layer.

    Raises:
        RaysweepError: no such store.
    """
    from raysweep.results.store import Store

    frame: pd.DataFrame = Store.open(store).init_stats().to_pandas()
    return frame
