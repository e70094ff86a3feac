"""Accuracy against the quantity that a study varies: images, batch, noise, width, depth, or cost."""

from __future__ import annotations

import math
import re
from functools import cache

import pandas as pd

from raysweep.analysis.figures._against import NO_GROUPS, NOTE, Against, Design, Quantity, add, forms
from raysweep.analysis.figures.complexity import published_networks
from raysweep.analysis.load import Line
from raysweep.networks.he_sun import TABLE
from raysweep.study import CLEAN, find_study

CONSTANT, SCALED, OTHER = "constant rate", "rate scaled with the batch", "other rates"
BATCH_STUDIES = ("batch_size", "batch_size_tanh")
NOGROUP = "_nogroup"
"""Suffix of a variant without groups."""
PUBLISHER = "torchvision"
"""The source of the published networks in the figure of depth: one library that trained them all."""


def networks(design: Design) -> tuple[str, ...]:
    """The network, if variants are named after it."""
    network = design.recipe.network.name
    return (network,) if design.name.startswith(f"{network}_s") else forms(design)


def scaling(design: Design) -> tuple[str, ...]:
    """Whether the input is scaled to about unit variance, for the study that compares the two."""
    if design.name.endswith("_noscale"):
        return ("not scaled",)
    return ("scaled",) if design.name.endswith("_scaled") else ("",)


def policies(design: Design) -> tuple[str, ...]:
    """How the rate follows the batch, from the variant's patch; the baseline is a point of both lines."""
    patch = next(find_study(study).variant(design.name).patch for study in BATCH_STUDIES if _has(study, design.name))
    batch, rate = (getattr(patch.get(path), "factor", 1.0) for path in ("training.batch_size", "solver.lr"))
    if batch == rate == 1:
        return CONSTANT, SCALED
    return (SCALED,) if math.isclose(batch, rate) else (CONSTANT,) if rate == 1 else (OTHER,)


def _has(study: str, variant: str) -> bool:
    return any(known.name == variant for known in find_study(study).variants)


def multiplier(design: Design) -> float:
    """The multiple of the baseline's width in a variant's name: 0.707 for x0_707."""
    return float(design.name.removesuffix(CLEAN).removesuffix(NOGROUP).removeprefix("x").replace("_", "."))


def grouping(design: Design) -> tuple[str, ...]:
    """Loose points for variants without groups."""
    return (NO_GROUPS,) if design.name.endswith(NOGROUP) else forms(design)


def weighted_layers(design: Design) -> float:
    """The number of weighted layers, with which the description of a variant starts."""
    found = re.match(r"(\d+) layers", design.summary)
    return float(found.group(1)) if found else math.nan


def family(design: Design) -> tuple[str, ...]:
    """The name of the network without its depth."""
    return (design.recipe.network.name.rstrip("0123456789"),)


def published_depths(line: Line) -> dict[str, float]:
    """Variant -> published top-1, in points, of the network of that name."""
    rows = published_networks()
    known = rows[rows["source"] == PUBLISHER].set_index("network")["top1"]
    names = {str(name).lower().replace("-", ""): float(top1) for name, top1 in known.items()}
    return {variant.name: names.get(variant.name, math.nan) for variant in find_study(line.study).variants}


@cache
def _he_sun() -> pd.DataFrame:
    return pd.read_csv(TABLE, index_col="model")


def letter(design: Design) -> str:
    """The letter of a model of He & Sun, A to J."""
    return design.name.removeprefix("model_").upper()


def counted_layers(design: Design) -> float:
    """The number of convolutions in He & Sun's table."""
    return float(_he_sun()["depth"][letter(design)])


def cost(design: Design) -> float:
    """Our multiply-accumulates; for published models the cost in He & Sun's table, relative to A."""
    return design.macs if design.ours else float(_he_sun()["comp"][letter(design)])


WHOLE = "{:g}".format
SIDE = Quantity("side of the images, px", lambda design: float(design.recipe.data.side), text=WHOLE)
IMAGES = Quantity("training images", lambda design: float(design.recipe.length.images))
BATCH = Quantity("batch size", lambda design: float(design.recipe.training.batch_size), text=WHOLE)
NOISE = Quantity("wrong training labels, %", lambda design: 100 * design.recipe.data.label_noise, False, WHOLE)
WIDTH = Quantity("width, multiple of the baseline's", multiplier, text="{:.3g}".format)
MACS = Quantity("multiply-accumulates per image", lambda design: design.macs)
SPEED = Quantity("training images/s", lambda design: design.images_per_s)
DEPTH = Quantity("weighted layers", weighted_layers, text=WHOLE)
LAYERS = Quantity("layers, as counted in the table", counted_layers, False, WHOLE)
COST = Quantity("multiply-accumulates relative to A", cost, False, "{:.2f}".format, relative=True)
IMAGE_SIZE = Against(("image_size", "image_size_networks", "first_layer"), (SIDE,), networks)
DATASET_SIZE = Against(("dataset_size", "dataset_size_noscale"), (IMAGES,), scaling)
CONSTRAINED = Against(("constrained_time",), (LAYERS, COST), mark=letter, loose=True)
MISHKIN = "Mishkin et al. 2017"

add("image_size", "accuracy against the side of the images", MISHKIN, IMAGE_SIZE)
add("dataset_size", "accuracy against the number of training images", MISHKIN, DATASET_SIZE)
add("batch_size", "accuracy against the batch size, by how the learning rate follows it", MISHKIN,
    Against(BATCH_STUDIES, (BATCH,), policies))  # fmt: skip
add("label_noise", "accuracy against the share of wrong labels", MISHKIN, Against(("label_noise",), (NOISE,)))
add("width", "accuracy against width, arithmetic and speed", MISHKIN,
    Against(("width",), (WIDTH, MACS, SPEED), grouping))  # fmt: skip
add("depth", "accuracy against depth", "He et al. 2016a", Against(("depth",), (DEPTH,), family, published_depths),
    f"{NOTE} Published: {PUBLISHER}, at 224 px.")  # fmt: skip
add("constrained_time", "accuracy of models A to J at about the same cost", "He & Sun 2015", CONSTRAINED,
    f"{NOTE} Published at 224 px.")  # fmt: skip
