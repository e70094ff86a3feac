from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from raysweep.cost import compute_cost, native_recipe
from raysweep.errors import RaysweepError
from raysweep.patch import patch
from raysweep.train.bench import measure
from raysweep.train.work import Question
from raysweep.verbs import bench as module
from raysweep.verbs.entry import raysweep as command

TINY = ("--side", "64", "--batch-size", "4", "--repeats", "2", "--set", "network.width=0.0625")


def bench(*words: object) -> Result:
    return CliRunner().invoke(command, ["bench", "networks", *map(str, words)], catch_exceptions=False)


@pytest.mark.long
def test_speed_memory_and_size_of_a_network_in_a_process_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "speed.parquet"
    (row, other) = json.loads(bench("caffenet", "vgg16", *TINY, "--side", "48", "--out", out, "--json").stdout)
    cost = compute_cost(patch(native_recipe("caffenet"), {"data.side": 48, "network.width": 0.0625}))
    assert (row["params"], row["macs"]) == (cost.params, cost.macs)
    for what in ("train", "test"):
        values = [row[f"{what}_images_per_s{end}"] for end in ("_least", "", "_most")]
        assert 0 < values[0] <= values[1] <= values[2]
    assert row["test_images_per_s"] > row["train_images_per_s"]
    assert 0.05 < row["peak_memory_gib"] < 5
    assert row["device"]
    assert row["error"] is None
    assert other["network"] == "vgg16"
    assert pq.read_table(out).to_pylist() == [row, other]


def test_a_network_that_does_not_fit_is_a_row() -> None:
    text = bench("inception_v3", *TINY, "--side", "8").stdout
    assert "inception_v3  8" in text
    assert "too small" in text


@pytest.mark.long
def test_a_larger_batch_takes_more_memory() -> None:
    def peak(batch: int) -> float:
        recipe = patch(native_recipe("nin_cifar"), {"training.batch_size": batch})
        found = module.ask(recipe, "cpu", 1, 1)
        return float(found["peak_memory_gib"])

    assert peak(64) > peak(2) + 0.05


@pytest.mark.parametrize(
    ("script", "said"),
    [("kill -9 $$", "killed by signal 9"), ("echo out of memory >&2; exit 1", "out of memory")],
)
def test_a_process_that_dies_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
    dying = tmp_path / "python"
    dying.write_text(f"#!/bin/sh\n{script}\n")
    dying.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(dying))
    text = bench("caffenet", "alexnet", *TINY).stdout
    assert text.count(said) == 2


def test_ctrl_c_keeps_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_at_alexnet(recipe: object, *conditions: object) -> dict[str, object]:
        if recipe.network.name == "alexnet":
            raise KeyboardInterrupt
        return {"error": "not asked here"}

    monkeypatch.setattr(module, "ask", stop_at_alexnet)
    out = tmp_path / "speed.json"
    assert bench("caffenet", "alexnet", "--out", out).exit_code != 0
    assert [row["network"] for row in json.loads(out.read_text())] == ["caffenet"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("cafenet",), "caffenet"),
        (("caffenet", "--out", "speed.txt"), "speed.txt.*json, .csv, .parquet"),
        (("caffenet", "--device", "gpu"), "--device gpu"),
        (("caffenet", "--set", "network.wide=2"), "network.width"),
    ],
)
def test_mistakes_are_refused(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(RaysweepError, match=sentence):
        bench(*words)


def test_what_is_measured_is_an_update_of_a_trial() -> None:
    """Every kind of recipe that a trial takes: auxiliary heads, sub-batches, other solvers."""
    recipe = patch(
        native_recipe("googlenet"),
        {"data.side": 64, "network.width": 0.0625, "training.batch_size": 4, "training.accumulate": 2}
        | {"solver.name": "adam"},
    )
    from raysweep.identity import recipe_json

    assert measure(Question(recipe_json(recipe), "cpu", 1), 1)["train_images_per_s"] > 0
