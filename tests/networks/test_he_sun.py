from __future__ import annotations

import pytest
from torch import nn

from raysweep.analysis.published import published_study
from raysweep.networks.he_sun import MODELS, ROWS
from raysweep.nn.inits import weighted_layers
from raysweep.study import find_study
from tests.networks.comparison import built, native, size


def cost_of_convolutions(name: str) -> int:
    """MACs without the head, whose layers are the same in A to J."""
    recipe = native(name)
    fully = sum(layer.weight.numel() for layer in weighted_layers(built(recipe)) if isinstance(layer, nn.Linear))
    return size(recipe)[1] - fully


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["model"])
def test_the_relative_cost_is_the_tables(row: dict[str, str]) -> None:
    cost = cost_of_convolutions(f"he_sun_{row['model'].lower()}") / cost_of_convolutions("he_sun_a")
    assert cost == pytest.approx(float(row["comp"]), abs=0.01)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["model"])
def test_the_depth_is_the_tables(row: dict[str, str]) -> None:
    assert sum(len(stage.layers) for stage in MODELS[row["model"]]) == int(row["depth"])


def test_3x1_and_1x3_cost_what_3x3_cost() -> None:
    assert cost_of_convolutions("he_sun_a_3x1") == cost_of_convolutions("he_sun_a")


@pytest.mark.parametrize("study", ["constrained_time", "small_filters"])
def test_published_accuracies_are_the_tables(study: str) -> None:
    errors = {f"he_sun_{row['model'].lower()}": float(row["top1_err"]) for row in ROWS}
    accuracies = published_study(study, find_study(study).baseline)["published_top1"]
    for variant in find_study(study).variants:
        name = variant.patch["network.name"]
        assert (variant.name in accuracies.index) == (name in errors)
        if name in errors:
            assert accuracies[variant.name] == pytest.approx(1 - errors[name] / 100)


def test_small_filters_cost_what_large_ones_cost() -> None:
    costs = [
        size(variant.apply(native("caffenet", outputs=1000)))[1] for variant in find_study("small_filters").variants
    ]
    assert max(costs) / min(costs) < 1.1
