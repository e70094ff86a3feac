from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from raysweep.data.fit import bind_data
from raysweep.data.manifest import read_manifest
from raysweep.errors import RaysweepError
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.store.store import Store
from raysweep.train import checkpoint
from raysweep.train.loop import Trial, epochs, prepare, state
from raysweep.train.run_trial import run_trial
from raysweep.train.task import Placement
from raysweep.train.trunk import classifiers, load_trunk
from tests.networks.comparison import built, native
from tests.train.test_run_trial import make_task, stored

EASY = {"network.activation": "elu", "network.dropout": 0.0, "schedule.name": "linear", "network.norm": "batch_affine"}


@pytest.fixture(scope="module")
def saved(small_recipe: Recipe, small_images: Path) -> bytes:
    """The weights of a network that has learnt the small images."""
    trial = open_trial(patch(small_recipe, EASY | {"training.epochs": 10.0}), small_images)
    rows = list(epochs(trial))
    assert rows[-1]["top1"] > 0.4
    return state(trial, rows[-1]["epoch"])


def open_trial(recipe: Recipe, images: Path, trained: bytes | None = None) -> Trial:
    return prepare(recipe, images, read_manifest(images), Placement(), trained)


@pytest.fixture
def recipe(small_recipe: Recipe, other_images: Path) -> Callable[..., Recipe]:
    """The same network on the other images, its trunk as said."""

    def make(trunk: str, **changes: object) -> Recipe:
        bound = bind_data(patch(small_recipe, EASY | {"init.trunk": trunk} | changes), read_manifest(other_images))
        return replace(bound, init=replace(bound.init, trunk_trial="" if trunk == "none" else "0123456789ab"))

    return make


def tensors(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items() if isinstance(value, Tensor)}


@pytest.mark.parametrize("trunk", ["frozen", "fine_tuned"])
def test_all_but_the_classifier_is_the_trained_networks(
    recipe: Callable[..., Recipe], other_images: Path, saved: bytes, trunk: str
) -> None:
    trained = checkpoint.weights(saved)
    network = open_trial(recipe(trunk), other_images, saved).network
    for name, value in tensors(network).items():
        assert torch.equal(value, trained[name]) != name.startswith("fc8"), name


def test_a_frozen_trunk_does_not_change_by_a_bit_and_its_classifier_learns(
    recipe: Callable[..., Recipe], other_images: Path, saved: bytes
) -> None:
    trial = open_trial(recipe("frozen"), other_images, saved)
    before = tensors(trial.network)
    list(epochs(trial))
    changed = {name for name, value in tensors(trial.network).items() if not torch.equal(value, before[name])}
    assert changed == {"fc8.weight", "fc8.bias"}


def test_a_fine_tuned_trunk_learns_on(recipe: Callable[..., Recipe], other_images: Path, saved: bytes) -> None:
    trial = open_trial(recipe("fine_tuned"), other_images, saved)
    before = tensors(trial.network)
    list(epochs(trial))
    same = {name for name, value in tensors(trial.network).items() if torch.equal(value, before[name])}
    assert not same


def test_a_trained_frozen_trunk_beats_a_random_one(
    recipe: Callable[..., Recipe], other_images: Path, saved: bytes, small_images: Path
) -> None:
    untrained = open_trial(recipe("none"), other_images)
    tops = [
        list(epochs(open_trial(recipe("frozen"), other_images, start)))[-1]["top1"]
        for start in (saved, state(untrained, 0))
    ]
    assert tops[0] > tops[1] + 0.1


def test_lsuv_scales_the_new_classifier_to_what_the_trunk_gives(
    recipe: Callable[..., Recipe], other_images: Path, saved: bytes
) -> None:
    trial = open_trial(recipe("frozen"), other_images, saved)
    with torch.no_grad():
        logits = trial.network.train()(trial.inputs(trial.train.batch(0)))
    assert logits.var(correction=0).item() == pytest.approx(1, abs=0.02)


def test_what_is_new_is_the_last_layer_with_weights_of_network_and_auxiliary_heads() -> None:
    for name, count in (("caffenet", 1), ("squeezenet1_1", 1), ("nin", 1), ("googlenet", 3), ("densenet121", 1)):
        recipe = native(name)
        found = classifiers(built(recipe))
        assert len(found) == count
        for layer in found:
            (weight,) = [value for value in layer.parameters() if value.dim() > 1]
            assert len(weight) == recipe.network.outputs


def test_a_trunk_takes_another_number_of_classes_and_refuses_other_layers(
    recipe: Callable[..., Recipe], other_images: Path, saved: bytes
) -> None:
    open_trial(recipe("frozen", **{"network.outputs": 12}), other_images, saved)
    with pytest.raises(RaysweepError, match="conv1.layers.0.weight"):
        open_trial(recipe("frozen", **{"network.width": 0.125}), other_images, saved)
    with pytest.raises(RaysweepError, match="nothing"):
        open_trial(recipe("frozen", **{"network.activation": "prelu"}), other_images, saved)
    with pytest.raises(RaysweepError, match="cannot be read"):
        open_trial(recipe("frozen"), other_images, saved[: len(saved) // 2])
    with pytest.raises(RaysweepError, match="--trunks"):
        open_trial(recipe("frozen"), other_images)


def test_auxiliary_heads_keep_their_layers_but_their_classifiers() -> None:
    first, second = (built(native("googlenet", width=0.0625, outputs=outputs), "cpu") for outputs in (10, 20))
    solver = torch.optim.SGD(first.parameters(), 0.1)
    load_trunk(second, checkpoint.save(first, solver, {"epoch": 1}, torch.device("cpu")))
    kept = {name for name, value in tensors(second).items() if torch.equal(value, tensors(first).get(name, value[:0]))}
    fresh = set(tensors(second)) - kept
    assert {name.rpartition(".")[0] for name in fresh if "weight" in name} == {
        *("fc8", "aux_4a.layers.clf", "aux_4d.layers.clf")
    }


@pytest.mark.parametrize("trunk", ["frozen", "fine_tuned"])
def test_a_trial_that_was_stopped_goes_on_without_the_store_of_its_trunk(
    recipe: Callable[..., Recipe], other_images: Path, saved: bytes, tmp_path: Path, trunk: str
) -> None:
    wanted = recipe(trunk)
    trunks = Store.open(str(tmp_path / "trunks"), create=True)
    trunks.write_checkpoint(wanted.init.trunk_trial, saved)
    trunks.write_trial({"trial": wanted.init.trunk_trial, "top1": 0.75, "data_name": "A", "status": "finished"})
    whole = make_task(wanted, other_images, tmp_path / "whole", trunks=trunks.uri)
    list(run_trial(whole, Placement(), 1))
    stopped = make_task(wanted, other_images, tmp_path / "stopped", trunks=trunks.uri)
    first = run_trial(stopped, Placement(), 1)
    next(first)
    first.close()
    list(run_trial(replace(stopped, trunks=""), Placement(), 2))
    assert stored(tmp_path / "stopped", stopped.trial) == stored(tmp_path / "whole", whole.trial)
    row = Store.open(stopped.store).trial(stopped.trial)
    assert row is not None
    assert (row["trunk_top1"], row["trunk_data"]) == (0.75, "A")


def test_missing_weights_are_reported(recipe: Callable[..., Recipe], other_images: Path, tmp_path: Path) -> None:
    trunks = Store.open(str(tmp_path / "trunks"), create=True)
    task = make_task(recipe("frozen"), other_images, tmp_path / "store", trunks=trunks.uri)
    with pytest.raises(RaysweepError, match=str(tmp_path / "trunks")):
        list(run_trial(task, Placement(), 1))
