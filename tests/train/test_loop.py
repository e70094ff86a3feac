from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raysweep.data.manifest import read_manifest
from raysweep.errors import RaysweepError
from raysweep.nn.blocks import drop_paths
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.train.loop import Trial, check_trial, epochs, normalise, prepare, restore, state
from raysweep.train.task import Placement

CPU = torch.device("cpu")
EXACT = ("epoch", "iteration", "images_seen", "lr", "train_loss", "top1", "logloss", "status")


def start(recipe: Recipe, folder: Path) -> Trial:
    return prepare(recipe, folder, read_manifest(folder), Placement())


def exact(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(row[key] for key in EXACT) for row in rows]


def weights(trial: Trial) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in trial.network.parameters()]


def test_training_learns(small_recipe: Recipe, small_images: Path) -> None:
    easy = {"network.activation": "elu", "network.dropout": 0.0, "schedule.name": "linear", "training.epochs": 12.0}
    rows = list(epochs(start(patch(small_recipe, easy), small_images)))
    assert rows[-1]["train_loss"] < 0.5 * rows[0]["train_loss"]
    assert rows[-1]["top1"] > 0.4  # chance is 0.1
    assert [row["status"] for row in rows] == ["running"] * 11 + ["finished"]


def test_rows_say_what_was_done(small_recipe: Recipe, small_images: Path) -> None:
    rows = list(epochs(start(small_recipe, small_images)))
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["iteration"] for row in rows] == [10, 19, 28]
    assert rows[-1]["images_seen"] == 28 * 32
    assert rows[0]["lr"] == pytest.approx(0.02 * 0.1)  # the step is at 0.3125 of 28 updates: the 9th
    for row in rows:
        assert 0 <= row["top1"] <= 1
        assert row["train_s"] + row["test_s"] == pytest.approx(row["wall_s"])
        assert 0 <= row["data_wait_s"] <= row["wall_s"]
        assert row["images_per_s"] > 0
        assert 0.05 < row["peak_memory_gib"] < 20


@pytest.mark.parametrize(
    ("precision", "activation"),
    [
        ("float32", "relu"),
        ("float32", "rrelu"),
        ("float32", "apl2"),
        # Most processors emulate it.
        *(pytest.param("bfloat16", name, marks=pytest.mark.long) for name in ("relu", "rrelu", "apl2")),
    ],
)
def test_a_resumed_trial_ends_with_the_same_bits(
    small_recipe: Recipe, small_images: Path, activation: str, precision: str
) -> None:
    recipe = patch(small_recipe, {"network.activation": activation, "training.precision": precision})
    whole = start(recipe, small_images)
    rows = list(epochs(whole))
    for cut in (1, 2):
        first = start(recipe, small_images)
        steps = epochs(first)
        before = [next(steps) for _ in range(cut)]
        saved = state(first, cut)
        steps.close()
        torch.manual_seed(999)  # what a new process would have instead
        second = start(recipe, small_images)
        done = restore(second, saved)
        after = list(epochs(second, done))
        assert done == cut
        assert exact(before + after) == exact(rows)
        assert all(torch.equal(one, two) for one, two in zip(weights(second), weights(whole), strict=True))


def test_the_same_recipe_gives_the_same_bits_and_another_seed_does_not(
    small_recipe: Recipe, small_images: Path
) -> None:
    one, again = (list(epochs(start(small_recipe, small_images))) for _ in range(2))
    other = list(epochs(start(patch(small_recipe, {"seed": 1}), small_images)))
    assert exact(one) == exact(again)
    assert exact(one) != exact(other)


def test_accumulation_averages_the_gradient_of_the_whole_batch(small_recipe: Recipe, small_images: Path) -> None:
    plain = patch(small_recipe, {"network.dropout": 0.0, "training.epochs": 1.0})
    whole, parts = (start(patch(plain, {"training.accumulate": count}), small_images) for count in (1, 4))
    for one, two in zip(epochs(whole), epochs(parts), strict=True):
        assert one["train_loss"] == pytest.approx(two["train_loss"], rel=1e-4)
    for one, two in zip(weights(whole), weights(parts), strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


def test_a_loss_that_is_not_finite_ends_the_trial_as_diverged(small_recipe: Recipe, small_images: Path) -> None:
    recipe = patch(small_recipe, {"solver.lr": 1e20, "network.activation": "linear"})
    rows = list(epochs(start(recipe, small_images)))
    assert rows[-1]["status"] == "diverged"
    assert len(rows) < 3 or rows[-1]["epoch"] == 3
    assert not math.isfinite(rows[-1]["train_loss"]) or not math.isfinite(rows[-1]["logloss"])


def test_less_data_is_fewer_updates(small_recipe: Recipe, small_images: Path) -> None:
    trial = start(patch(small_recipe, {"data.train_fraction": 0.5}), small_images)
    assert trial.train.num_images == 150
    assert trial.length.iterations == 14


def test_a_batch_larger_than_the_set_trains_over_epochs_without_an_update_of_their_own(
    small_recipe: Recipe, small_images: Path
) -> None:
    fields = {"data.train_fraction": 0.07, "training.epochs": 6.0, "network.dropout": 0.0}  # 21 images, batches of 32
    trial = start(patch(small_recipe, fields), small_images)
    rows = list(epochs(trial))
    assert trial.length.iterations == round(6 * 21 / 32)
    assert [row["iteration"] for row in rows] == list(range(1, trial.length.iterations + 1))
    assert rows[-1]["epoch"] == trial.length.num_epochs > len(rows)
    assert [row["status"] for row in rows] == ["running"] * (len(rows) - 1) + ["finished"]


def test_input_is_the_papers_value() -> None:
    """0.04 * (x - mean): the mean first, then the scale."""
    images = np.zeros((1, 2, 2, 3), np.uint8)
    images[0, 0, 1] = (255, 117, 0)
    x = normalise(images, Recipe(), CPU)
    assert x.shape == (1, 3, 2, 2)
    assert x.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(x[0, :, 0, 1], torch.tensor([0.04 * 131, 0.0, 0.04 * -104]))


def test_one_channel_has_one_mean() -> None:
    images = np.array([0, 117, 255, 10], np.uint8).reshape(1, 2, 2, 1)
    x = normalise(images, patch(Recipe(), {"data.preprocess": "gray", "data.mean": (117.0,)}), CPU)
    torch.testing.assert_close(x, torch.tensor([[[[0.04 * -117, 0.0], [0.04 * 138, 0.04 * -107]]]]))


def test_one_mean_serves_three_channels() -> None:
    images = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    one, three = (normalise(images, patch(Recipe(), {"data.mean": (7.0,) * count}), CPU) for count in (1, 3))
    assert torch.equal(one, three)


def test_what_is_held_out_is_tested_and_never_trained_on(small_recipe: Recipe, small_images: Path) -> None:
    trials = [
        start(patch(small_recipe, {"data.holdout": 0.2, "data.label_noise": 0.5, "seed": seed}), small_images)
        for seed in (0, 1)
    ]
    held = [trial.test.indices for trial in trials]
    np.testing.assert_array_equal(*held)
    assert len(held[0]) == trials[0].test.num_images == 60
    for trial in trials:
        assert trial.train.num_images == 240
        assert not set(trial.train.indices) & set(held[0])
        tested = [trial.test.batch(k) for k in range(len(trial.test))]
        np.testing.assert_array_equal(
            np.concatenate([batch.labels for batch in tested]), trial.train.file.labels[held[0]]
        )


def test_a_share_of_what_is_not_held_out_is_trained_on(small_recipe: Recipe, small_images: Path) -> None:
    recipe = patch(small_recipe, {"data.holdout": 0.2, "data.train_fraction": 0.25})
    trial = start(recipe, small_images)
    assert trial.train.num_images == recipe.length.images == 60
    assert not set(trial.train.indices) & set(trial.test.indices)


def test_wrong_labels_are_only_in_training(small_recipe: Recipe, small_images: Path) -> None:
    plain, noisy = (
        start(patch(small_recipe, {"data.train_fraction": 0.5, "data.label_noise": share}), small_images)
        for share in (0.0, 0.2)
    )
    seen = np.concatenate([noisy.train.batch(k).indices for k in range(5)])[:150]
    labels = np.concatenate([noisy.train.batch(k).labels for k in range(5)])[:150]
    assert (labels != plain.train.file.labels[seen]).sum() == 30
    np.testing.assert_array_equal(noisy.train.file.labels, plain.train.file.labels)
    for k in range(len(plain.test)):
        np.testing.assert_array_equal(noisy.test.batch(k).labels, plain.test.batch(k).labels)
    np.testing.assert_array_equal(noisy.train.batch(0).images, plain.train.batch(0).images)


def test_what_the_recipe_says_of_images_reaches_the_batches(small_recipe: Recipe, small_images: Path) -> None:
    base = start(small_recipe, small_images)
    for changes in ({"data.preprocess": "hsv"}, {"data.scales": (0.9,)}, {"data.rotation": 5.0}):
        changed = start(patch(small_recipe, changes), small_images)
        assert not np.array_equal(changed.train.batch(0).images, base.train.batch(0).images)
        assert np.array_equal(changed.test.batch(0).images, base.test.batch(0).images) is (
            "data.preprocess" not in changes
        )
    smaller = start(patch(small_recipe, {"data.test_scale": 0.9}), small_images)
    assert not np.array_equal(smaller.test.batch(0).images, base.test.batch(0).images)
    np.testing.assert_array_equal(smaller.train.batch(0).images, base.train.batch(0).images)


def test_augmented_training_resumes_with_the_same_bits(small_recipe: Recipe, small_images: Path) -> None:
    factors = {"data.scales": (1.0, 0.9), "data.rotation": 5.0, "data.preprocess": "lab", "data.label_noise": 0.1}
    recipe = patch(small_recipe, factors | {"training.epochs": 2.0})
    rows = list(epochs(start(recipe, small_images)))
    first = start(recipe, small_images)
    before, saved = next(epochs(first)), state(first, 1)
    second = start(recipe, small_images)
    assert exact([before, *epochs(second, restore(second, saved))]) == exact(rows)


def test_the_test_covers_every_image_once(small_recipe: Recipe, small_images: Path) -> None:
    recipe = patch(small_recipe, {"training.batch_size": 48, "training.epochs": 1.0})
    trial = start(recipe, small_images)
    row = next(epochs(trial))
    correct, loss = 0, 0.0
    trial.network.eval()
    with torch.no_grad():
        for k in range(len(trial.test)):
            batch = trial.test.batch(k)
            logits = trial.network(normalise(batch.images, recipe, CPU))
            correct += int((logits.argmax(1).numpy() == batch.labels).sum())
            loss += float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(batch.labels), reduction="sum"))
    assert row["top1"] == correct / 100
    assert row["logloss"] == pytest.approx(loss / 100, rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({"training.accumulate": 3}, Placement(), "3 sub-batches"),
        ({}, Placement(world_size=3), "3 workers.*multiple of 3"),
        ({"init.method": "lsvu"}, Placement(), "lsvu"),
        ({"data.preprocess": "hsw"}, Placement(), "hsw.*hsv"),
        ({"data.preprocess": "gray"}, Placement(), "data.mean.*124"),
        ({"solver.name": "adamm"}, Placement(), "adamm"),
        ({"schedule.name": "stepp"}, Placement(), "stepp"),
        ({"training.precision": "float8"}, Placement(), "float8"),
        (
            {"network.norm": "batch"},
            Placement(world_size=2),
            "--workers-per-trial 1",
        ),
        ({"network.input_net": "batch_norm"}, Placement(world_size=2), "2 workers.*--workers-per-trial 1"),
        ({"data.holdout": 1e-9}, Placement(), "holdout"),
        ({"network.norm": "batch", "training.batch_size": 1}, Placement(), "2 images"),
    ],
)
def test_what_cannot_be_trained_is_refused(changes: dict[str, object], place: Placement, words: str) -> None:
    with pytest.raises(RaysweepError, match=words):
        check_trial(patch(Recipe(), changes), place)


def test_a_checkpoint_of_something_else_is_refused(small_recipe: Recipe, small_images: Path) -> None:
    trial = start(small_recipe, small_images)
    with pytest.raises(RaysweepError, match="checkpoint"):
        restore(trial, b"not a checkpoint")
    other = start(patch(small_recipe, {"network.width": 0.125}), small_images)
    with pytest.raises(RaysweepError, match="size mismatch"):
        restore(trial, state(other, 1))


def test_a_checkpoint_is_loaded_without_running_code(small_recipe: Recipe, small_images: Path, tmp_path: Path) -> None:
    import io

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    buffer = io.BytesIO()
    torch.save({"version": 1, "network": Evil()}, buffer)
    with pytest.raises(RaysweepError, match="checkpoint"):
        restore(start(small_recipe, small_images), buffer.getvalue())
    assert not (tmp_path / "ran").exists()


def test_drop_path_knows_the_progress_of_the_training(small_recipe: Recipe, small_images: Path) -> None:
    """By the update, across epochs: 19 updates, of which the last begins after 18."""
    small = {"network.name": "darts_cells", "network.width": 0.125, "network.cell_repeats": 1}
    trial = start(patch(small_recipe, small | {"network.drop_path": 0.2, "training.epochs": 2.0}), small_images)
    path, found = drop_paths(trial.network)[0], []
    path.register_forward_pre_hook(lambda layer, _inputs: found.append(path.progress) if layer.training else None)
    list(epochs(trial))
    assert found[-19:] == pytest.approx([update / 19 for update in range(19)])
