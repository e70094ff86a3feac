"""Whether our network is the one that a published number was measured on.

The column `ours` of `published.csv` says it for each published number: `same network` if the layers and their
connections are those of the published network file, `same idea, other layers` if not, `no network file` if the network
is built from a description. `tests/networks/test_layer_tables.py` holds it to the layers of the files at hand.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from raysweep.errors import RaysweepError
from raysweep.recipe import Recipe
from raysweep.study import CLEAN, Study, find_study

FILE = Path(__file__).parent / "published.csv"
SAME, OTHER, NO_FILE = "same network", "same idea, other layers", "no network file"


@cache
def _published() -> Mapping[tuple[str, str], str]:
    """The column of the first row of each study and variant, the benchmark's own."""
    found: dict[tuple[str, str], str] = {}
    with FILE.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["study"], row["variant"]), row["ours"])
    return found


def our_network(study: Study, name: str) -> str:
    """What the network of a variant is to the published one; empty if nothing was published.

    A `_clean` variant is compared with the published one that it is the clean form of: its network may be another.
    """
    published = name.removesuffix(CLEAN)
    found = _published().get((study.name, published), "")
    if found != SAME or published == name:
        return found
    recipes = [study.variant(each).apply(Recipe()) for each in (published, name)]
    return SAME if _same_layers(*recipes) else OTHER


def network_of_trial(study: str, name: str, recipe: Recipe) -> str:
    """The same for a trial, whose network or images may be others than those of the published run."""
    try:
        shipped = find_study(study)
        found, own = our_network(shipped, name), shipped.variant(name).apply(Recipe())
    except RaysweepError:
        return ""
    return OTHER if found == SAME and not _same_layers(recipe, own) else found


def _same_layers(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes have the same network on images of the same size, except for the number of classes."""
    network = replace(one.network, outputs=other.network.outputs)
    return network == other.network and one.data.shape == other.data.shape
