"""Patches that several studies use, as the published files define them."""

from __future__ import annotations

from typing import Any

from raysweep.recipe import IMAGENET_TRAIN_IMAGES
from raysweep.study import CLEAN, Times, Variant

Patch = dict[str, Any]


def published(name: str, described: Patch, changed: Patch, summary: str, note: str) -> tuple[Variant, Variant]:
    """A variant whose published run differs from its description, by `changed`; and the `_clean` one, as described."""
    clean = Variant(f"{name}{CLEAN}", described, f"{summary}, as described")
    return Variant(name, described | changed, summary, as_published=note), clean


def act(name: str) -> Patch:
    """The non-linearity of every layer."""
    return {"network.activation": name}


def net(name: str) -> Patch:
    """The network, with the factors of its own."""
    return {"network.name": name}


def head(name: str) -> Patch:
    """The classifier."""
    return {"network.head": name}


def pool(name: str) -> Patch:
    """The kind of pooling."""
    return {"network.pooling": name}


def input_net(name: str) -> Patch:
    """The learned colour space or normalisation between the image and the first layer."""
    return {"network.input_net": name}


CONV_WIDTHS = (96, 256, 384, 384, 256)


def fc_widths(first: int, second: int | None = None) -> Patch:
    """The widths of the hidden fully connected layers; the convolutions keep the baseline's."""
    return {"network.widths": (*CONV_WIDTHS, first, second or first)}


def updates(thousands: float) -> Patch:
    """A length of this many thousand updates instead of 320, as a share of the protocol's length."""
    return {"training.epochs": Times(thousands / 320)}


def images(thousands: int) -> Patch:
    """This many thousand of ImageNet's 1,281,167 images, as a share, with the same number of updates."""
    share = 1000 * thousands / IMAGENET_TRAIN_IMAGES
    return {"data.train_fraction": share, "training.epochs": Times(1 / share)}


def batch(size: int, lr_factor: float = 1.0) -> Patch:
    """This batch size, relative to the baseline's 256, and a multiple of the learning rate; the same epochs."""
    changed: Patch = {} if size == 256 else {"training.batch_size": Times(size / 256)}
    return changed if lr_factor == 1 else changed | {"solver.lr": Times(lr_factor)}


def sides(crop: int, short: int) -> Patch:
    """Crop and stored short side, px, relative to the baseline's 128 and 144."""
    return {"data.side": Times(crop / 128), "data.short_side": Times(short / 144)}


LINEAR: Patch = {"schedule.name": "linear"}
EXP_160K: Patch = {
    "solver.lr": Times(3.5),
    "schedule.name": "step",
    "schedule.gamma": 0.915,
    "schedule.step_fraction": 2 / 160,
    "training.epochs": Times(0.5),
}
"""A rate of 0.035, multiplied by 0.915 every 2,000 of 160,000 updates."""
HALF_BATCH_SAME_UPDATES: Patch = {"training.batch_size": Times(0.5), "training.epochs": Times(0.5)}
"""A batch of 128 images for 320,000 updates."""
HALF_EPOCHS_NOTE = "half the batch for the same number of updates, so half the epochs"

RAW_PIXELS: Patch = {"data.mean": (0.0, 0.0, 0.0), "data.scale": 1.0}
"""Grey levels that are neither centred nor scaled."""
INPUT_BN: Patch = RAW_PIXELS | input_net("batch_norm")
"""Batch normalisation of the raw pixels instead of mean and scale."""

BN: Patch = {"network.norm": "batch", "network.norm_position": "after", "network.conv_bias": True}
"""Batch normalisation after the non-linearity, without scale and bias; layers keep their biases."""
SCALED_NO_BIAS: Patch = {"network.norm": "batch_scale", "network.conv_bias": False, "network.fc_bias": False}
"""Caffe's later scale layer after the normalisation; only the classifier has a bias."""
BN_DROP02: Patch = BN | {"network.dropout": 0.2}

MAXOUT_SAME_COMPLEXITY: Patch = act("maxout") | {"network.widths": (68, 182, 272, 272, 172, 1448, 1448)}
"""Two pieces, each about 1 / sqrt 2 as wide; conv5 is 172 in the published file."""
FITNET_MAXOUT: Patch = act("maxout") | {"network.fc_activation": "maxout5"}
"""Two pieces, five in the hidden layer: 2,742,102 parameters, as published."""

FC4096_LRN_224: Patch = sides(224, 256) | fc_widths(4096) | {"network.lrn": True, "data.scale": 0.027}
"""The one run behind four published rows."""
FC4096_LRN_224_NOTE = "crop 224, fc 4096, LRN and input scale 0.027 (a run stopped at 305,000 updates)"

GOOGLENET: Patch = LINEAR | net("googlenet") | {"solver.weight_decay": 2e-4}
"""GoogLeNet trained as in the files of its normalised forms."""
GOOGLENET_RES: Patch = GOOGLENET | net("googlenet_residual")
GOOGLENET_LIM0606: Patch = (
    GOOGLENET | net("inception_bn") | {"solver.lr": Times(0.5), "training.batch_size": Times(0.5)}
)
"""A batch of 128 for 640,000 updates, so the protocol's number of epochs."""
TEST_BATCH_NOTE = "normalised by the statistics of the batch at test too, there of 20 or 50 images"


def googlenet_bn(position: str, norm: str) -> Patch:
    """GoogLeNet with a normalisation on the outputs of all its layers, LRN and biases kept."""
    return GOOGLENET | {"network.norm": norm, "network.norm_position": position}
