from __future__ import annotations

import pytest

from raysweep.architectures.retrain import handmade
from raysweep.cost import find_cost
from raysweep.patch import patch
from raysweep.protocols import find_protocol

CIFAR = find_protocol("cifar10")


@pytest.mark.parametrize("name", ["caffenet", "densenet40"])
@pytest.mark.parametrize("millions", [9])
def test_a_network_designed_by_hand_gets_the_width_of_nearest_macs(name: str, millions: int) -> None:
    macs = millions * 1_000_000
    chosen = handmade(name, CIFAR, macs)
    width = chosen.patch["network.width"]
    found = {
        each: abs(find_cost(patch(CIFAR, {"network.name": name, "network.width": each})).macs - macs)
        for each in (width, *(round(width * factor, 3) for factor in (0.5, 0.9, 0.97, 1.03, 1.1, 2)))
    }
    assert min(found, key=lambda each: found[each]) == width
    assert "the best found has" in chosen.summary


def test_what_cannot_be_as_small_is_as_small_as_it_can_be() -> None:
    smallest = handmade("densenet40", CIFAR, 1)
    assert smallest.patch["network.width"] == 0.016
