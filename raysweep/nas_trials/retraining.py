"""A study that retrains the best architecture of each search on the full training split and tests it.

Hand-designed networks can be added, scaled to the multiply-accumulates of the best architecture: a larger network would
be better because of its size.
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
"""Candidate widths of hand-designed networks, in thousandths."""


def check_beside(names: Sequence[str]) -> None:
    """Check the names of networks before a search spends its budget.

    Raises:
        RaysweepError: an unknown network, with similar names.
    """
    for name in names:
        if name not in networks():
            raise unknown("network", name, [entry.name for entry in networks()], "raysweep list networks")


def retraining(
    asked: NasRequest, space: TrialSpace, searches: Sequence[Found], seeds: int, beside: Sequence[str]
) -> Request:
    """The study that trains the winners and the hand-designed networks `beside` them with this number of seeds.

    The winner of the first search is the baseline.

    Raises:
        RaysweepError: no evaluation has finished, or a network that cannot be built.
    """
    found = [search for search in searches if search.has_finished]
    if not found:
        raise RaysweepError("nothing to retrain: no evaluation has finished yet.")
    request = asked.training_request(holdout=0.0)
    baseline = request.baseline()
    winners = [winner(space, search) for search in found]
    top = max((search.history.best for search in found), key=lambda one: one.value)
    macs = find_cost(space.recipe(baseline, top.architecture)).macs if beside else 0
    study = Study(
        f"{space.study}-best",
        "How good are the best architectures when retrained from scratch and tested on images not used for selection?",
        "",
        "",
        winners[0].name,
        (*winners, *(handmade(name, asked, macs) for name in beside)),
    )
    return replace(request, studies=(study,), seeds=seeds)


def winner(space: TrialSpace, search: Found) -> Variant:
    """The best architecture of a search, by accuracy on the held-out images, as a variant."""
    best = search.history.best
    words = f"best of {len(search.history.evaluations)} evaluations, {best.value:.4f} on held-out images"
    return Variant(search.variant, space.patch(best.architecture), f"{words}: {best.architecture}")


def handmade(name: str, asked: NasRequest, macs: int) -> Variant:
    """A hand-designed network under the settings of the searches, with its width chosen to have about `macs` MACs.

    Raises:
        RaysweepError: the network cannot be built for these images.
    """
    at_least = bisect_left(WIDTHS, macs, key=lambda each: find_cost(_designed(name, asked, each / 1000)).macs)
    near = [_designed(name, asked, each / 1000) for each in WIDTHS[max(at_least - 1, 0) : at_least + 1]]
    recipe = min(near, key=lambda each: abs(find_cost(each).macs - macs))
    own = find_cost(recipe).macs
    words = f"{name}, hand-designed, scaled to {short(own)} MACs; the best architecture has {short(macs)}"
    # All network fields, so that none of the searched network stays.
    return Variant(name, {path: get(recipe, path) for path in recipe_fields() if path.startswith("network.")}, words)


def _designed(name: str, asked: NasRequest, width: float) -> Recipe:
    """The recipe of `raysweep run --network NAME` under these settings, without settings that apply only to cells."""
    foreign = {f"network.{factor}" for factor in OPTIONAL_FACTORS - networks()[name].factors}
    settings = {path: value for path, value in asked.request.settings.items() if path not in foreign}
    return replace(asked.request, settings={**settings, "network.name": name, WIDTH: width}).baseline()
