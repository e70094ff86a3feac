from __future__ import annotations

from dataclasses import replace

import pytest

from raysweep.cost import find_cost
from raysweep.nas import Budget
from raysweep.nas_trials.nas_request import NasRequest
from raysweep.nas_trials.retraining import handmade
from raysweep.request import Request

SETTINGS = {"network.cell_repeats": 1, "network.drop_path": 0.2, "solver.lr": 0.05}
ASKED = NasRequest("nasbench201", ("random",), Budget(evaluations=1), Request((), "cifar10", SETTINGS))


@pytest.mark.long
@pytest.mark.parametrize("name", ["caffenet", "densenet40"])
def test_a_network_designed_by_hand_gets_the_width_of_nearest_macs(name: str) -> None:
    chosen = handmade(name, ASKED, 9_000_000)
    recipe = chosen.apply(ASKED.training_request(holdout=0.0).baseline())
    width = recipe.network.width
    found = {
        each: abs(find_cost(replace(recipe, network=replace(recipe.network, width=each))).macs - 9_000_000)
        for each in (width, *(round(width * factor, 3) for factor in (0.5, 0.9, 0.97, 1.03, 1.1, 2)))
    }
    assert min(found, key=lambda each: found[each]) == width
    assert " 9 M" in chosen.summary


@pytest.mark.long
def test_a_network_that_cannot_be_small_enough_gets_its_smallest_width() -> None:
    assert handmade("densenet40", ASKED, 1).patch["network.width"] == 0.016


def test_a_hand_designed_network_uses_the_applicable_settings() -> None:
    chosen = handmade("caffenet", ASKED, 9_000_000)
    recipe = chosen.apply(ASKED.training_request(holdout=0.0).baseline())
    settings = {"solver.lr": 0.05, "network.name": "caffenet", "network.width": chosen.patch["network.width"]}
    assert recipe == Request((), "cifar10", settings).baseline()
