"""Points of the joint space as networks, on meta tensors: shapes without memory."""

from __future__ import annotations

import pytest

from raysweep.cost import compute_cost
from raysweep.patch import patch
from raysweep.proposals import random_point
from raysweep.protocols import PROTOCOLS
from raysweep.space import find_space
from raysweep.train.loop import check_trial
from raysweep.train.task import Placement


@pytest.mark.parametrize("k", range(20))
@pytest.mark.parametrize("protocol", [entry.name for entry in PROTOCOLS])
def test_every_point_of_the_joint_space_can_be_built(protocol: str, k: int) -> None:
    baseline = PROTOCOLS[protocol]()
    space = find_space("joint")
    recipe = patch(baseline, space.patch(random_point(space, 0, k)))
    check_trial(recipe, Placement())
    cost = compute_cost(recipe)
    assert cost.params > 0
    assert cost.macs > cost.activations > 0
