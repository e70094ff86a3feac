"""The best of each search, trained anew on the whole training split and tested on the test split: a study.

Networks designed by hand stand beside them, as wide as gives them the multiply-accumulates of the best one: a network
that is larger would be better for that alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from raysweep.cost import find_cost
from raysweep.errors import RaysweepError, unknown
from raysweep.nas_trials.nas_request import NasRequest
from raysweep.nas_trials.one_search import Found
from raysweep.nas_trials.trial_spaces import TrialSpace
from raysweep.networks import OPTIONAL_FACTORS, networks
from raysweep.patch import get, recipe_fields
from raysweep.recipe import Recipe
from raysweep.request import Request
from raysweep.study import Study, Variant
from raysweep.units import short

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
    asked: NasRequest, space: TrialSpace, searches: Sequence[Found], seeds: int, beside: Sequence[str]
) -> Request:
    """The study that trains the winners, and networks designed by hand beside them, with so many seeds.

    The first search's winner is the baseline that the others are compared with.

    Raises:
        RaysweepError: no evaluation of any search has finished, or a network that cannot be built.
    """
    found = [search for search in searches if search.has_finished]
    if not found:
        raise RaysweepError("no evaluation has finished, so there is no winner to be trained anew.")
    request = asked.training_request(holdout=0.0)
    baseline = request.baseline()
    winners = [winner(space, search) for search in found]
    top = max((search.history.best for search in found), key=lambda one: one.value)
    macs = find_cost(space.recipe(baseline, top.architecture)).macs if beside else 0
    study = Study(
        f"{space.study}-best",
        "How good are the architectures that were found, trained anew and tested on images nobody chose by?",
        "",
        "",
        winners[0].name,
        (*winners, *(handmade(name, asked, macs) for name in beside)),
    )
    return replace(request, studies=(study,), seeds=seeds)


def winner(space: TrialSpace, search: Found) -> Variant:
    """The best of a search by the images held out, as a variant."""
    best = search.history.best
    words = f"best of {len(search.history.evaluations)} evaluations, {best.value:.4f} on images held out"
    return Variant(search.variant, space.patch(best.architecture), f"{words}: {best.architecture}")


def handmade(name: str, asked: NasRequest, macs: int) -> Variant:
    """A network designed by hand, under the settings of the searches, as wide as gives it about so many MACs.

    Raises:
        RaysweepError: it cannot be built for these images.
    """
    at_least = bisect_left(WIDTHS, macs, key=lambda each: find_cost(_designed(name, asked, each / 1000)).macs)
    near = [_designed(name, asked, each / 1000) for each in WIDTHS[max(at_least - 1, 0) : at_least + 1]]
    recipe = min(near, key=lambda each: abs(find_cost(each).macs - macs))
    own = find_cost(recipe).macs
    words = f"{name}, designed by hand, with {short(own)} MACs; the best found has {short(macs)}"
    # All of its fields: those that belong to the searched network must not stay.
    return Variant(name, {path: get(recipe, path) for path in recipe_fields() if path.startswith("network.")}, words)


def _designed(name: str, asked: NasRequest, width: float) -> Recipe:
    """What `raysweep run --network NAME` would train under these settings; what is set of cells alone is left out."""
    foreign = {f"network.{factor}" for factor in OPTIONAL_FACTORS - networks()[name].factors}
    settings = {path: value for path, value in asked.request.settings.items() if path not in foreign}
    return replace(asked.request, settings={**settings, "network.name": name, WIDTH: width}).baseline()
