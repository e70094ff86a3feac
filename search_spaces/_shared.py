"""Patches that several studies use, each what the published files mean by it."""

from __future__ import annotations

from typing import Any

from raysweep.recipe import IMAGENET_TRAIN_IMAGES
from raysweep.study import Times

Patch = dict[str, Any]

CONV_WIDTHS = (96, 256, 384, 384, 256)

HALF_BATCH_SAME_UPDATES: Patch = {"training.batch_size": Times(0.5), "training.epochs": Times(0.5)}
"""128 images an update for 320,000 updates."""
HALF_EPOCHS_NOTE = "half the batch for the same number of updates, so half the epochs"

RAW_PIXELS: Patch = {"data.mean": (0.0, 0.0, 0.0), "data.scale": 1.0}
"""Grey levels as they are, neither centred nor scaled."""
INPUT_BN: Patch = RAW_PIXELS | {"network.input_net": "batch_norm"}
"""Batch normalisation of the raw pixels in place of mean and scale."""

EXP_160K: Patch = {
    "solver.lr": Times(3.5),
    "schedule.name": "step",
    "schedule.gamma": 0.915,
    "schedule.step_fraction": 2 / 160,
    "training.epochs": Times(0.5),
}
"""0.035 times 0.915 every 2,000 of 160,000 updates."""
LINEAR: Patch = {"schedule.name": "linear"}
BN: Patch = {"network.norm": "batch", "network.norm_position": "after", "network.conv_bias": True}
"""After the non-linearity, without scale and bias; layers keep their biases."""
BN_DROP02: Patch = BN | {"network.dropout": 0.2}


def act(name: str) -> Patch:
    """That non-linearity everywhere."""
    return {"network.activation": name}


def fc_widths(first: int, second: int | None = None) -> Patch:
    """The baseline's convolutions with hidden fully connected layers of these widths."""
    return {"network.widths": (*CONV_WIDTHS, first, second or first)}


def updates(thousands: float) -> Patch:
    """So many thousand updates in place of 320: the same share of the protocol's length."""
    return {"training.epochs": Times(thousands / 320)}


def sides(crop: int, short: int) -> Patch:
    """Crop and stored short side, px where the baseline has 128 and 144; other protocols scale as much."""
    return {"data.side": Times(crop / 128), "data.short_side": Times(short / 144)}


MAXOUT_SAME_COMPLEXITY: Patch = act("maxout") | {"network.widths": (68, 182, 272, 272, 172, 1448, 1448)}
"""Two pieces, each about 1 / sqrt 2 as wide; conv5 is 172 in the published file."""

FITNET_MAXOUT: Patch = act("maxout") | {"network.fc_activation": "maxout5"}
"""Two pieces, five in the hidden layer: 2,742,102 parameters, as published."""

FC4096_LRN_224: Patch = sides(224, 256) | fc_widths(4096) | {"network.lrn": True, "data.scale": 0.027}
"""The one run behind four published rows."""
FC4096_LRN_224_NOTE = "crop 224, fc 4096, LRN and input scale 0.027 (a run stopped at 305,000 updates)"


def images(thousands: int) -> Patch:
    """So many thousand of ImageNet's 1,281,167 images, as a share, at an unchanged number of updates."""
    share = 1000 * thousands / IMAGENET_TRAIN_IMAGES
    return {"data.train_fraction": share, "training.epochs": Times(1 / share)}


def batch(size: int, lr_factor: float = 1.0) -> Patch:
    """So many images an update where the baseline has 256, and a multiple of its rate; epochs stay."""
    changed: Patch = {} if size == 256 else {"training.batch_size": Times(size / 256)}
    return changed if lr_factor == 1 else changed | {"solver.lr": Times(lr_factor)}


def net(name: str) -> Patch:
    """That network with what is its own."""
    return {"network.name": name}


GOOGLENET: Patch = LINEAR | net("googlenet") | {"solver.weight_decay": 2e-4}
"""As in the files of its normalised forms."""
GOOGLENET_RES: Patch = GOOGLENET | net("googlenet_res")
GOOGLENET_LIM0606: Patch = (
    GOOGLENET | net("googlenet_lim0606") | {"solver.lr": Times(0.5), "training.batch_size": Times(0.5)}
)
"""640,000 updates of 128 images, so the protocol's epochs."""
TEST_BATCH_NOTE = "normalised at test too by the statistics of the batch, there 20 or 50 images"


def googlenet_bn(position: str, norm: str) -> Patch:
    """GoogLeNet with a normalisation on the outputs of all its layers, LRN and biases kept."""
    return GOOGLENET | {"network.norm": norm, "network.norm_position": position}
