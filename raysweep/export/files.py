"""Write a trained network as a folder of files that need torch alone, or ONNX Runtime, and a page about it."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch

from raysweep.errors import RaysweepError, cannot_write
from raysweep.export.card import card_text
from raysweep.export.network import Trained
from raysweep.export.plain import plain_code, weights_of
from raysweep.export.predict_script import PREDICT
from raysweep.identity import recipe_json

ONNX_OPSET = 20


def export(trained: Trained, folder: Path, about: str = "", replace: bool = False) -> list[str]:
    """Write the export into a new folder, all or nothing; returns the names of its files.

    `about` is a sentence about the trial's gain. `replace` an earlier export.

    Raises:
        RaysweepError: the folder exists, cannot be written, or the network cannot be traced.
    """
    if folder.exists() and not (replace and (folder / "preprocess.json").is_file()):
        raise RaysweepError(f"{folder} exists: pass another --out" + ", or --replace an export." * (not replace))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
            made = Path(name) / "export"
            made.mkdir()
            _write_all(trained, made, about)
            names = sorted(file.name for file in made.iterdir())
            if folder.exists():
                shutil.rmtree(folder)
            made.rename(folder)
    except OSError as error:
        raise RaysweepError(cannot_write(folder, error)) from None
    return names


def _write_all(trained: Trained, folder: Path, about: str) -> None:
    from safetensors.torch import save

    recipe = trained.recipe
    exported = traced(trained)
    with _quiet():
        torch.export.save(exported, folder / "model.pt2")
    (folder / "model.safetensors").write_bytes(save(weights_of(exported)))
    (folder / "model.py").write_text(plain_code(exported, recipe.data.shape, recipe.network.outputs))
    if find_spec("onnx") and find_spec("onnxscript"):
        _write_onnx(exported, folder / "model.onnx")
    (folder / "preprocess.json").write_text(json.dumps(preprocessing(trained), indent=2) + "\n")
    (folder / "predict.py").write_text(PREDICT)
    (folder / "card.md").write_text(card_text(trained, about))


def traced(trained: Trained) -> torch.export.ExportedProgram:
    """The network as torch.export traces it, for any number of images.

    Raises:
        RaysweepError: it cannot be traced.
    """
    batch = torch.export.Dim("batch", min=1)
    try:
        with _quiet(), torch.no_grad():
            return torch.export.export(trained.network, (trained.example,), dynamic_shapes=({0: batch},), strict=False)
    except Exception as error:  # whatever the code of a user's network raises under tracing
        name, text = trained.recipe.network.name, f"{type(error).__name__}: {error}".splitlines()[0]
        raise RaysweepError(f"{name} cannot be traced by torch.export: {text}") from error


def _write_onnx(exported: torch.export.ExportedProgram, path: Path) -> None:
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            exported,
            (),
            path,
            dynamo=True,
            external_data=False,
            verbose=False,
            opset_version=ONNX_OPSET,
            input_names=["pixels"],
            output_names=["logits"],
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the remarks of torch and onnxscript about their own inner workings."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(None):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def preprocessing(trained: Trained) -> dict[str, object]:
    """What turns an image into the network's input, and its outputs into names."""
    data = trained.recipe.data
    return {
        "short_side": data.short_side,
        "rescale": data.rescale,
        "encoding": trained.encoding,
        "quality": trained.quality,
        "crop": "centre",
        "side": data.side,
        "test_scale": data.test_scale,
        "preprocess": data.preprocess,
        "recipe": recipe_json(trained.recipe),
        "channels": data.channels,
        "input": "float32 grey levels 0 to 255, (N, channels, side, side); mean and scale are part of the network",
        "classes": list(trained.classes),
    }
