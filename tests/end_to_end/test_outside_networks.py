"""A study on a network of torchvision, on real images: `run` trains it, `show` says what was replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.store.store import Store
from tests.conftest import REAL_IMAGES
from tests.end_to_end.few_images import few_images
from tests.verbs.test_cli import good, refused

RUN = ("--protocol", "cifar10", "--epochs", "3", "--inline")
GENTLY = ("--set", "training.batch_size=16", "--set", "solver.lr=0.002", "--set", "solver.momentum=0.5")


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("name", "words"),
    [("torchvision:resnet18", "17 of 17 ReLU -> elu"), ("timm:convnext_atto", "12 of 12 GELU -> elu")],
)
def test_an_activation_study_on_real_images(name: str, words: str, tmp_path: Path) -> None:
    real = REAL_IMAGES / "cifar10.parquet"
    if not real.is_file():
        pytest.skip("no real images on this machine")
    good("data", "write", few_images(real, tmp_path / "few.parquet", train=20, test=10), tmp_path / "data")
    store, data = tmp_path / "results", tmp_path / "data"
    good("run", "activation", "--network", name, *RUN, *GENTLY, "--data", data, "--store", store, "--variants", "elu")
    opened = Store.open(str(store))
    rows = opened.trials(["trial", "status", "recipe"]).to_pylist()
    assert [row["status"] for row in rows] == ["finished"] * 2
    (elu,) = [row["trial"] for row in rows if "elu" in row["recipe"].replace("relu", "")]
    losses = opened.epochs([elu])["train_loss"].to_pylist()
    assert losses[-1] < losses[0]
    assert words in good("show", elu, "--store", store)


@pytest.mark.long
def test_a_network_that_does_not_fit_ends_the_command_with_status_2() -> None:
    words = ("plan", "activation", "--protocol", "cifar10", "--network")
    assert "stem_kernel=16" in refused(*words, "timm:vit_tiny_patch16_224")
    assert "resnet18" in refused(*words, "torchvision:resnet81")
