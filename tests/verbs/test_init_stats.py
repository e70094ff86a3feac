from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import raysweep
from raysweep.errors import RaysweepError
from raysweep.store.store import Store
from raysweep.verbs.entry import raysweep as command
from tests.verbs.test_cli import good


def here(*words: object) -> str:
    """Standard output of the command, in this process."""
    return CliRunner().invoke(command, list(map(str, words)), catch_exceptions=False).stdout


ASKED = ("init-stats", "--protocol", "demo", "--width", "0.0625", "--activations", "relu", "--norms", "none,after")


def test_every_combination_is_measured_once(tmp_path: Path, small_images: Path) -> None:
    where = ("--data", small_images, "--store", tmp_path / "store")
    first = json.loads(good(*ASKED, *where, "--inits", "lsuv", "--updates", "3", "--json"))
    assert [row["combination"] for row in first] == ["lsuv_relu_none", "lsuv_relu_after"]
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "store" / "init_stats").iterdir()}
    text = here(*ASKED, *where, "--inits", "lsuv,gaussian", "--updates", "3")
    assert "gaussian_relu_after" in text
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())

    frame = raysweep.init_stats(str(tmp_path / "store"))
    assert len(frame) == 4 * 4 * 8  # combinations, updates 0, 1, 2, 3 and layers
    assert set(frame["init"]) == {"lsuv", "gaussian"}
    assert set(frame["norm"]) == {"none", "batch"}
    assert set(frame[frame["norm"] == "none"]["norm_position"].dropna()) == set()
    start = frame[(frame["init"] == "gaussian") & (frame["norm"] == "none") & (frame["update"] == 0)]
    assert start["output_variance"].iloc[-1] < 1e-6

    further = json.loads(here(*ASKED, *where, "--inits", "lsuv", "--updates", "5", "--json"))
    assert [row["updates"] for row in further] == [5, 5]
    assert [row["first_loss"] for row in further] == [row["first_loss"] for row in first]


def test_damage_is_reported_and_measured_again(tmp_path: Path, small_images: Path) -> None:
    where = ("--data", small_images, "--store", tmp_path / "store", "--inits", "lsuv", "--updates", "0")
    (first, _) = json.loads(here(*ASKED, *where, "--json"))
    path = tmp_path / "store" / "init_stats" / f"{first['trial']}.parquet"
    path.write_bytes(path.read_bytes()[:100])
    (again, _) = json.loads(here(*ASKED, *where, "--json"))
    assert again == first
    store = Store.open(str(tmp_path / "store"))
    assert len(store.init_stats()) == 2 * 8
    assert not store.problems


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--inits", "lsuw"), "lsuv"),
        (("--activations", "rellu"), "relu"),
        (("--norms", "beside"), "beside.*before"),
        (("--inits", ","), "--inits"),
        (("--set", "init.methd=he"), "init.method"),
        (("--protocol", "cifar10", "--data", "nowhere"), "nowhere"),
    ],
)
def test_mistakes_are_refused_before_anything_is_measured(
    tmp_path: Path, small_images: Path, words: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(RaysweepError, match=sentence):
        here(*ASKED, "--updates", "1", "--data", small_images, "--store", tmp_path / "store", *words)
    assert not (tmp_path / "store").exists()


def test_what_a_network_does_not_take_is_left_out_by_name(tmp_path: Path, small_images: Path) -> None:
    text = here(
        *("init-stats", "--protocol", "demo", "--network", "resnet20_cifar", "--activations", "relu,maxout"),
        *("--inits", "he", "--norms", "before", "--updates", "0", "--data", small_images),
        *("--store", tmp_path / "store"),
    )
    assert "he_relu_before" in text
    assert "maxout" not in text
