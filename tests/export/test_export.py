"""Exports: the same logits in a process that has no raysweep, predictions as in the test, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import raysweep
from raysweep.analysis.load import load_lines
from raysweep.analysis.metrics import METRICS
from raysweep.analysis.statistics.comparisons import as_estimate, comparisons, on_one_page
from raysweep.data.fit import bind_data
from raysweep.data.manifest import read_manifest
from raysweep.errors import RaysweepError
from raysweep.export import files
from raysweep.export.files import export, preprocessing, traced
from raysweep.export.gain import gain_text
from raysweep.export.network import OnPixels, Trained, read_trained
from raysweep.export.predict import Export, Prediction, image_files, open_export, predictions
from raysweep.identity import recipe_json, trial_id
from raysweep.networks import build_network
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.request import Request
from raysweep.store.store import Store
from raysweep.train import checkpoint
from raysweep.train.loop import normalise
from raysweep.train.streams import open_streams
from raysweep.train.task import Placement
from raysweep.verbs.entry import raysweep as command
from raysweep.verbs.predict import write_mistakes
from raysweep.write.sources import open_source
from raysweep.write.write_sets import write_images
from tests.analysis.conftest import fill
from tests.images import encoded

ALONE = """
import json, sys
sys.modules["raysweep"] = None  # importing it raises an error
sys.path.insert(0, sys.argv[1])
import numpy, torch
pixels = torch.from_numpy(numpy.load(sys.argv[1] + "/pixels.npy"))
from model import load
plain = load()(pixels)
exported = torch.export.load(sys.argv[1] + "/model.pt2").module()(pixels)
import onnxruntime
onnx = onnxruntime.InferenceSession(sys.argv[1] + "/model.onnx").run(None, {"pixels": pixels.numpy()})[0]
numpy.save(sys.argv[1] + "/logits.npy", numpy.stack([plain.detach().numpy(), exported.detach().numpy(), onnx]))
"""
SMALL = {"network.width": 0.0625, "training.epochs": 1.0}
NETWORKS: dict[str, dict[str, Any]] = {
    "norm": {"network.norm": "batch_affine", "network.activation": "prelu"},
    "gray": {"data.preprocess": "gray", "network.input_net": "batch_norm", "data.mean": (120.0,)},
    "depth": {"network.name": "resnet20_cifar", "network.survival": 0.5, "network.width": 0.5},
    "pooling": {"network.pooling": "max_plus_average", "network.activation": "maxout"},
    "gated": {"network.pooling": "gated"},
    "torchvision": {"network.name": "torchvision:mobilenet_v3_small", "network.width": 1.0},
}


def made(changes: dict[str, Any]) -> Trained:
    """A network with arbitrary weights and running averages, as if trained."""
    recipe = patch(find_protocol("demo"), SMALL | changes)
    torch.manual_seed(0)
    network = build_network(recipe.network, recipe.data.shape)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    row = {"trial": trial_id(recipe), "top1": 0.5, "params": 1, "macs": 1}
    pixels = OnPixels(network, recipe.data).eval().requires_grad_(False)
    return Trained(row, recipe, pixels, tuple(f"class|{number}" for number in range(10)))


def check_alone(trained: Trained, folder: Path) -> None:
    export(trained, folder)
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, *trained.recipe.data.shape)))
    np.save(folder / "pixels.npy", pixels.float().numpy())
    done = subprocess.run([sys.executable, "-I", "-c", ALONE, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    recipe = trained.recipe
    stored = pixels.permute(0, 2, 3, 1).to(torch.uint8)
    expected = trained.network.network(normalise(stored, recipe, torch.device("cpu"))).numpy()
    assert np.abs(expected).max() > 1e-3
    for found in np.load(folder / "logits.npy"):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_process_without_raysweep_gets_the_same_logits(tmp_path: Path) -> None:
    trained = made(NETWORKS["norm"])
    check_alone(trained, tmp_path / "out")
    loaded = open_export(tmp_path / "out").network.state_dict()
    for name, value in trained.network.state_dict().items():
        assert value == loaded[name] if isinstance(value, dict) else torch.equal(value, loaded[name]), name
    card = (tmp_path / "out" / "card.md").read_text()
    assert r"class\|3" in card or "class&#124;3" in card


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - {"norm"}))
def test_any_network_gives_the_same_logits_without_raysweep(name: str, tmp_path: Path) -> None:
    check_alone(made(NETWORKS[name]), tmp_path / "out")


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """Pictures of two classes in two splits: one of them red."""
    rng = np.random.default_rng(0)
    for split, number in (("train", 12), ("val", 5)):
        for label, tint in (("red=x", (255, 0, 0)), ("blue", (0, 0, 255))):
            for index in range(number):
                pixels = (0.5 * rng.integers(0, 256, (40, 50, 3)) + 0.5 * np.array(tint)).astype(np.uint8)
                path = tmp_path / "originals" / split / label / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded(Image.fromarray(pixels)))
    return tmp_path / "originals"


def test_a_kept_trial_predicts_originals_as_it_was_tested(
    originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_write_onnx", lambda exported, path: None)  # takes seconds
    write_images(open_source(str(originals)), tmp_path / "set", side=36)
    asked = {"protocol": "demo", "data": tmp_path / "set", "store": "s", "inline": True, "settings": SMALL}
    raysweep.run("activation", variants="elu", keep_checkpoints=True, batch_size=8, lr=0.005, **asked)
    best = CliRunner().invoke(command, ["export", "best", "--out", "mine", "--store", "s"], catch_exceptions=False)
    assert "mine/model.safetensors" in best.stdout
    trials = raysweep.results("activation", store="s").set_index("trial")
    trial = json.loads((Path("mine") / "preprocess.json").read_text())
    assert trial["classes"][:2] == ["blue", "red=x"]
    found = [one for one, _ in predictions(open_export(Path("mine")), image_files(originals / "val"))]
    right = sum(not one.is_wrong for one in found) / len(found)
    assert {one.label for one in found} == {"red=x", "blue"}
    assert right == pytest.approx(trials["top1"].max())
    shown = CliRunner().invoke(command, ["predict", "mine", str(originals / "val")], catch_exceptions=False)
    assert f"{round(right * len(found))} of {len(found)} right" in shown.stdout
    assert (Path("mine") / "mistakes.png").is_file() == (right < 1)


@pytest.mark.parametrize("encoding", ["raw", "jpg"])
@pytest.mark.parametrize("scale", [1.0, 1.2])
def test_originals_become_the_pixels_that_a_test_reads(
    encoding: str, scale: float, originals: Path, tmp_path: Path
) -> None:
    manifest = write_images(open_source(str(originals)), tmp_path / "set", side=32, encoding=encoding)
    recipe = patch(find_protocol("demo"), {"data.side": 24, "data.short_side": 32, "data.test_scale": scale})
    trained = replace(made({}), recipe=recipe, encoding=manifest.encoding, quality=manifest.quality)
    here = Export(None, preprocessing(trained))
    found = [here.pixels(file.read_bytes()) for file in image_files(originals / "val")]
    _, tested = open_streams(recipe, tmp_path / "set", manifest, Placement())
    assert np.array_equal(np.stack(found), np.concatenate([tested.batch(k).images for k in range(len(tested))]))


def test_large_mistakes_do_not_cover_each_other(tmp_path: Path) -> None:
    """Crops of 224 px, of more pairs of classes than the sheet has rows."""
    wrong = [
        (
            Prediction(f"{pair}", f"other {pair}", 0.9 - pair / 100, f"class {pair}"),
            np.full((224, 224, 3), 255, np.uint8),
        )
        for pair in range(30)
        for _ in range(2)
    ]
    write_mistakes(wrong, tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    assert sheet.shape[0] < 30 * 64
    places = (sheet[:, 200:] == 255).all(axis=1)  # no row of the picture is white all over: there are gaps
    assert not places.any()
    assert (sheet[68:, 180:244] == 255).mean() > 0.9
    assert (sheet[68:, 244:248] == 0).all(axis=1).any()


def test_the_gain_of_a_trial_is_that_of_the_report(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"), create=True)
    plan = fill(store, Request(("activation",), "cifar10", variants=("elu",), seeds=3))
    (line,) = on_one_page(load_lines(store, ["activation"]))
    gain = as_estimate(comparisons(line)["elu"]).text(METRICS["gain"])
    for planned in plan:
        text = gain_text(store, planned.trial)
        if planned.members[0].variant == "elu":
            assert gain in text
            assert comparisons(line)["elu"].verdict in text
        else:
            assert "baseline" in text
    assert gain_text(store, "0" * 12) == ""


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "out"
    export(made({}), folder)
    return folder


def test_a_file_that_is_no_image_is_named_and_fails(tmp_path: Path, exported: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"no image")
    Image.new("RGB", (50, 40)).save(tmp_path / "pictures" / "b.png")
    done = CliRunner().invoke(command, ["predict", str(exported), str(tmp_path / "pictures"), "--json"])
    assert done.exit_code == 1
    first, second = json.loads(done.stdout)
    assert first["error"]
    assert second["predicted"].startswith("class|")


def test_an_export_is_not_overwritten_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_write_onnx", lambda exported, path: None)  # takes seconds
    trained = made({})
    export(trained, tmp_path / "out")
    with pytest.raises(RaysweepError, match="--replace"):
        export(trained, tmp_path / "out")
    export(trained, tmp_path / "out", replace=True)
    (tmp_path / "other").mkdir()
    with pytest.raises(RaysweepError, match="other"):
        export(trained, tmp_path / "other", replace=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out"]


def test_a_network_that_cannot_be_traced_leaves_nothing(tmp_path: Path) -> None:
    class Branching(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if float(x.sum()) > 0 else -x

    trained = made({})
    trained = replace(trained, network=OnPixels(Branching(), trained.recipe.data).eval())
    with pytest.raises(RaysweepError, match=r"caffenet.*torch\.export"):
        traced(trained)
    with pytest.raises(RaysweepError):
        export(trained, tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("status", "kept", "value"), [("running", True, "running"), ("finished", False, "--keep-checkpoint")]
)
def test_a_trial_without_final_weights_is_refused_with_the_next_step(status: str, kept: bool, value: str) -> None:
    recipe = patch(find_protocol("demo"), SMALL)
    store = Store.open("s", create=True)
    row = {"trial": trial_id(recipe), "seed": 0, "status": status, "epochs": 1, "attempts": 1, "wall_s": 1.0}
    store.write_trial(row | {"top1": 0.5, "recipe": recipe_json(recipe), "protocol": "demo"})
    if kept:
        store.write_checkpoint(trial_id(recipe), b"")
    with pytest.raises(RaysweepError, match=value):
        read_trained(store, trial_id(recipe))
    with pytest.raises(RaysweepError, match=r"activation|any study"):
        CliRunner().invoke(
            command, ["export", "best", "--out", "x", "--store", "s"], catch_exceptions=False, standalone_mode=False
        )


@pytest.mark.parametrize("damage", ["weights", "json", "missing"])
def test_a_damaged_export_is_refused(damage: str, tmp_path: Path, exported: Path) -> None:
    folder = tmp_path / "out"
    shutil.copytree(exported, folder)
    if damage == "weights":
        (folder / "model.safetensors").write_bytes(b"x" * 30)
    elif damage == "json":
        (folder / "preprocess.json").write_text("{}")
    else:
        (folder / "preprocess.json").unlink()
    with pytest.raises(RaysweepError, match="out"):
        open_export(folder)


def test_the_weights_of_a_checkpoint_are_those_of_the_export(small_images: Path) -> None:
    recipe: Recipe = bind_data(patch(find_protocol("demo"), SMALL), read_manifest(small_images))
    network = build_network(recipe.network, recipe.data.shape)
    solver = torch.optim.SGD(network.parameters(), lr=0.1)
    saved = checkpoint.save(network, solver, {"epoch": 1}, torch.device("cpu"))
    store = Store.open("s", create=True)
    store.write_manifest(read_manifest(small_images))
    row = {"trial": trial_id(recipe), "seed": 0, "status": "finished", "epochs": 1, "attempts": 1, "wall_s": 1.0}
    row |= {"data_digest": recipe.data.digest, "top1": 0.5, "protocol": "demo", "params": 1, "macs": 1}
    store.write_trial(row | {"recipe": recipe_json(recipe)})
    store.write_checkpoint(trial_id(recipe), saved)
    trained = read_trained(store, trial_id(recipe)[:6])
    for name, value in network.state_dict().items():
        assert torch.equal(trained.network.network.state_dict()[name], value)
    assert trained.classes == read_manifest(small_images).classes
