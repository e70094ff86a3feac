"""Every network on real images: a few steps at an eighth of its width bring the training loss down."""

from __future__ import annotations

from pathlib import Path

import pytest

import raysweep
from raysweep.networks import networks
from raysweep.store.store import Store
from raysweep.study import Study, Variant
from tests.end_to_end.few_images import few_images
from tests.verbs.test_cli import good

SETTINGS = {
    "network.width": 0.125,
    "network.dropout": 0.0,
    "training.batch_size": 16,
    "training.epochs": 3.0,
    "solver.lr": 0.01,
    "solver.momentum": 0.5,
}


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    real = Path(__file__).resolve().parents[3] / "shared" / "data" / "cifar10.parquet"
    if not real.is_file():
        pytest.skip("no real images on this machine")
    folder = tmp_path_factory.mktemp("cifar10")
    good("data", "write", few_images(real, folder / "few.parquet", train=50, test=10), folder / "data")
    return folder / "data"


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [entry.name for entry in networks()])
def test_a_network_learns_from_real_images(name: str, cifar10: Path, tmp_path: Path) -> None:
    patch: dict[str, object] = {"network.name": name}
    if networks()[name].own.get("drop_path"):
        patch["network.drop_path"] = 0.0  # as dropout: what is meant for hundreds of epochs hides what three teach
    variant = Variant(name, patch, "as its paper has it")
    study = Study("every_network", "Does it learn?", "", "", baseline=name, variants=(variant,))
    outcome = raysweep.run(
        study, protocol="cifar10", settings=SETTINGS, data=cifar10, store=str(tmp_path / "results"), inline=True
    )
    assert len(outcome.finished) == 1
    losses = Store.open(str(tmp_path / "results")).epochs(outcome.finished)["train_loss"].to_pylist()
    assert losses[-1] < losses[0]
