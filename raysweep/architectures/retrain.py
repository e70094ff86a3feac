"""The best of each search, trained anew on the whole training split and tested on the test split: a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from raysweep.architectures.request import NasRequest
from raysweep.architectures.search import Search
from raysweep.architectures.spaces import TrialSpace
from raysweep.errors import RaysweepError, unknown
from raysweep.networks import networks
from raysweep.request import Request
from raysweep.study import Study, Variant


def check_beside(names: Sequence[str]) -> None:
    """Refuse networks that are not there, before a search has spent its budget.

    Raises:
        RaysweepError: the first of them, with the nearest names.
    """
    for name in names:
        if name not in networks():
            raise unknown("network", name, [entry.name for entry in networks()], "raysweep list networks")


def retraining(
    asked: NasRequest, space: TrialSpace, searches: Sequence[Search], seeds: int, beside: Sequence[str]
) -> Request:
    """The study that trains the winners, and networks designed by hand beside them, with so many seeds.

    The first search's winner is the baseline that the others are compared with.

    Raises:
        RaysweepError: no evaluation of any search has finished.
    """
    best = [winner(space, search) for search in searches if search.has_finished]
    if not best:
        raise RaysweepError("no evaluation has finished, so there is no winner to be trained anew.")
    others = [Variant(name, {"network.name": name}, f"{name}, designed by hand") for name in beside]
    study = Study(
        f"{space.study}-best",
        "How good are the architectures that were found, trained anew and tested on images nobody chose by?",
        "",
        "",
        best[0].name,
        (*best, *others),
    )
    return replace(asked.training_request(holdout=0.0), studies=(study,), seeds=seeds)


def winner(space: TrialSpace, search: Search) -> Variant:
    """The best of a search by the images held out, as a variant.

    Raises:
        RaysweepError: none of its evaluations has finished.
    """
    best = search.asking.history().best
    words = f"best of {len(search.asking.evaluations)} evaluations, {best.value:.4f} on images held out"
    return Variant(search.variant(best.number), space.patch(best.architecture), f"{words}: {best.architecture}")
