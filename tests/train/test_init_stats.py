from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from raysweep.data.manifest import read_manifest
from raysweep.nn.inits import weighted_layers
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.train.init_stats import layer_name, measured_updates, record
from raysweep.train.loop import prepare
from raysweep.train.loop import train_updates as train
from raysweep.train.task import Placement
from tests.train.test_loop import start

LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]


def measured(recipe: Recipe, images: Path, last: int = 0) -> list[list[dict[str, Any]]]:
    return list(record(start(recipe, images), measured_updates(last)))


def without_dropout(recipe: Recipe, **changes: object) -> Recipe:
    return patch(recipe, {"network.dropout": 0.0} | {key.replace("__", "."): value for key, value in changes.items()})


def test_updates_are_measured_ever_less_often() -> None:
    assert measured_updates(0) == [0]
    assert measured_updates(7) == [0, 1, 2, 5, 7]
    assert measured_updates(100) == [0, 1, 2, 5, 10, 20, 50, 100]


def test_layers_are_named_as_in_published_files() -> None:
    assert layer_name("conv1.layers.0") == "conv1"
    assert layer_name("fc6.layers.1") == "fc6[2]"
    assert layer_name("stage1_1.body.conv2.layers.0") == "stage1_1.body.conv2"
    assert layer_name("fc8") == "fc8"


@pytest.mark.parametrize("activation", ["relu", "tanh", "maxout"])
def test_lsuv_starts_with_unit_variance_in_every_layer(
    small_recipe: Recipe, small_images: Path, activation: str
) -> None:
    (rows,) = measured(without_dropout(small_recipe, network__activation=activation), small_images)
    assert [row["output_variance"] for row in rows] == pytest.approx([1.0] * len(rows), abs=1e-3)
    assert [row["depth"] for row in rows] == list(range(1, len(rows) + 1))
    assert [row["layer"] for row in rows if "[" not in row["layer"]] == LAYERS
    assert [row["kind"] for row in rows if "[" not in row["layer"]] == ["conv"] * 5 + ["fc"] * 3


def test_a_gaussian_shrinks_from_layer_to_layer_and_so_do_its_gradients(
    small_recipe: Recipe, small_images: Path
) -> None:
    (rows,) = measured(without_dropout(small_recipe, init__method="gaussian"), small_images)
    variances = [row["output_variance"] for row in rows]
    assert variances == sorted(variances, reverse=True)
    assert variances[-1] < 1e-6 * variances[0]
    (lsuv,) = measured(without_dropout(small_recipe), small_images)
    assert rows[0]["gradient_rms"] < 1e-3 * lsuv[0]["gradient_rms"]


def test_numbers_are_those_of_one_pass_by_hand(small_recipe: Recipe, small_images: Path) -> None:
    """Variances, magnitudes and loss against torch's own arithmetic on the same batch and weights."""
    recipe = without_dropout(small_recipe)
    (rows,) = measured(recipe, small_images)
    trial = start(recipe, small_images)
    batch = trial.train.batch(0)
    outputs = {}
    for name, layer in trial.network.named_children():
        layer.register_forward_hook(lambda _l, _i, out, name=name: outputs.update({name: out.var(correction=0).item()}))
    loss = torch.nn.functional.cross_entropy(trial.network.train()(trial.inputs(batch)), trial.labels(batch))
    loss.backward()  # type: ignore[no-untyped-call]
    assert rows[0]["train_loss"] == pytest.approx(loss.item(), rel=1e-5)
    for row, layer in zip(rows, weighted_layers(trial.network), strict=True):
        assert layer.weight.grad is not None
        gradient, weight = (value.detach().square().mean().sqrt().item() for value in (layer.weight.grad, layer.weight))
        assert row["gradient_rms"] == pytest.approx(gradient, rel=1e-4)
        assert row["gradient_to_weight"] == pytest.approx(gradient / weight, rel=1e-4)
        if row["layer"] == "fc8":
            assert row["activation_variance"] is None
        else:
            assert row["activation_variance"] == pytest.approx(outputs[row["layer"]], rel=1e-4)


def test_measuring_does_not_change_the_training(small_recipe: Recipe, small_images: Path) -> None:
    recipe = patch(small_recipe, {"network.norm": "batch_affine"})
    watched = start(recipe, small_images)
    list(record(watched, measured_updates(10)))
    plain = start(recipe, small_images)
    train(plain, 0, 11)
    for one, two in zip(watched.network.state_dict().values(), plain.network.state_dict().values(), strict=True):
        assert torch.equal(one, two) if isinstance(one, torch.Tensor) else one == two
    assert not any(layer._forward_hooks for layer in watched.network.modules())


def test_a_loss_that_is_not_finite_is_the_last_thing_recorded(small_recipe: Recipe, small_images: Path) -> None:
    recipe = without_dropout(small_recipe, solver__lr=1e20, network__activation="linear")
    found = measured(recipe, small_images, 50)
    assert len(found) < len(measured_updates(50))
    assert found[-1][0]["train_loss"] is None
    values = [value for rows in found for row in rows for value in row.values() if isinstance(value, float)]
    assert all(map(math.isfinite, values))


def test_sub_batches_and_every_network_are_measured(small_recipe: Recipe, small_images: Path) -> None:
    recipe = patch(small_recipe, {"network.name": "resnet20_cifar", "training.accumulate": 4})
    trial = prepare(recipe, small_images, read_manifest(small_images), Placement())
    (rows,) = record(trial, [0])
    assert len(rows) == len(list(weighted_layers(trial.network))) == 20
    assert all(row["gradient_rms"] > 0 for row in rows)
