"""The networks of published variants are those of the published network files, layer by layer."""

from __future__ import annotations

import pytest

from raysweep.analysis.our_networks import OTHER, SAME, our_network
from raysweep.cost import find_cost
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.study import find_study
from tests.networks.layers import Key, difference, tables, totals

INITS = {"gaussian": "gaussian", "xavier": "xavier", "msra": "he"}
"""Our names for Caffe's fillers."""


def recipe_of(key: Key) -> Recipe:
    study, name = key
    (variant,) = [one for one in find_study(study).variants if one.name == name]
    return variant.apply(Recipe())


@pytest.mark.parametrize("key", sorted(tables()), ids="/".join)
def test_size(key: Key) -> None:
    """From the committed costs, without building the networks."""
    cost = find_cost(recipe_of(key))
    assert (cost.params, cost.macs) == totals(key)


def examples(key: Key) -> object:
    short = key in [("vgglike", "vgglike_res_drop"), ("bn_activation", "linear")]
    return pytest.param(key, id="/".join(key), marks=() if short else pytest.mark.long)


@pytest.mark.parametrize("key", [examples(key) for key in sorted(tables())])
def test_layers(key: Key) -> None:
    """The reports' word on whether our network is the published one is true, and it is."""
    same = difference(recipe_of(key), key) == ""
    assert our_network(find_study(key[0]), key[1]) in ({SAME, ""} if same else {OTHER})
    assert same, difference(recipe_of(key), key)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"network.dropout": 0.4}, "dropout 0.5"),
        ({"network.activation": "vlrelu"}, "BatchNorm"),
        ({"network.norm": "batch"}, "Scale"),
        ({"network.fc_bias": True}, "fc bias False"),
    ],
)
def test_other_layers_are_found(change: dict[str, object], missing: str) -> None:
    key = ("bn_activation", "linear")
    assert difference(patch(recipe_of(key), change), key).startswith(f"missing: {missing}")


@pytest.mark.parametrize("key", sorted(tables()), ids="/".join)
def test_fillers(key: Key) -> None:
    """Initial weights are those of the file's fillers, or those of the weight files that replaced them."""
    fillers = {INITS[row["weight_filler"]] for row in tables()[key] if row["weight_filler"]}
    assert recipe_of(key).init.method in fillers | {"lsuv", "orthonormal"}
