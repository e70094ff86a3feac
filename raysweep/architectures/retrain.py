"""The best of each search, trained anew on the whole training split and tested on the test split: a study.

Networks designed by hand stand beside them, as wide as gives them the multiply-accumulates of the best one: a network
that is larger would be better for that alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from raysweep.architectures.request import NasRequest
from raysweep.architectures.search import Search
from raysweep.architectures.spaces import TrialSpace
from raysweep.cost import find_cost
from raysweep.errors import RaysweepError, unknown
from raysweep.nas.evaluation import Evaluated
from raysweep.networks import networks
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.request import Request
from raysweep.study import Study, Variant
from raysweep.tables import short

WIDTH = "network.width"
WIDTHS = range(16, 16_001)
"""Thousandths among which the width of a network designed by hand is looked for."""


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
        RaysweepError: no evaluation of any search has finished, or a network that cannot be built.
    """
    best = {search.name: search.asking.history().best for search in searches if search.has_finished}
    if not best:
        raise RaysweepError("no evaluation has finished, so there is no winner to be trained anew.")
    request = asked.training_request(holdout=0.0)
    baseline = request.baseline()
    found = [winner(space, search, best[search.name]) for search in searches if search.name in best]
    top = max(best.values(), key=lambda one: one.value)
    macs = find_cost(space.recipe(baseline, top.architecture)).macs if beside else 0
    study = Study(
        f"{space.study}-best",
        "How good are the architectures that were found, trained anew and tested on images nobody chose by?",
        "",
        "",
        found[0].name,
        (*found, *(handmade(name, baseline, macs) for name in beside)),
    )
    return replace(request, studies=(study,), seeds=seeds)


def winner(space: TrialSpace, search: Search, best: Evaluated[object]) -> Variant:
    """The best of a search by the images held out, as a variant."""
    words = f"best of {len(search.asking.evaluations)} evaluations, {best.value:.4f} on images held out"
    return Variant(search.variant(best.number), space.patch(best.architecture), f"{words}: {best.architecture}")


def handmade(name: str, baseline: Recipe, macs: int) -> Variant:
    """A network designed by hand, under the settings of the baseline, as wide as gives it about so many MACs.

    Raises:
        RaysweepError: it cannot be built for these images.
    """
    at_least = bisect_left(WIDTHS, macs, key=lambda each: _macs(name, baseline, each / 1000))
    near = WIDTHS[max(at_least - 1, 0) : at_least + 1]
    width = min((each / 1000 for each in near), key=lambda each: abs(_macs(name, baseline, each) - macs))
    own = _macs(name, baseline, width)
    words = f"{name}, designed by hand, with {short(own)} MACs; the best found has {short(macs)}"
    return Variant(name, {"network.name": name, WIDTH: width}, words)


def _macs(name: str, baseline: Recipe, width: float) -> int:
    return find_cost(patch(baseline, {"network.name": name, WIDTH: width})).macs
