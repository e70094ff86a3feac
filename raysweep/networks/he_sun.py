"""Networks at constrained time cost (He & Sun 2015, table 1, models A to J), built from the rows of he_sun.csv.

A 2x2 filter shrinks the map by a pixel and the next one, with a border, restores it, which reproduces the costs in the
table. In the last stage of J it is not restored: with a 5x5 map for both layers the cost is the printed one to 0.01,
with 5x5 and 6x6 it is not. The four-level pyramid follows their earlier paper (He et al. 2014); its bins are not in the
table. If the first convolution does not stride (small images), the first pooling is omitted.

`_3x1` alternates 3x1 and 1x3 filters: eight for the three 3x3 of A (the same cost). The benchmark's forms of J are in
henet.py.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.networks import network

if TYPE_CHECKING:
    from raysweep.nn.builder import Kernel
    from raysweep.nn.network_builder import NetworkBuilder

TABLE = Path(__file__).with_name("he_sun.csv")
LAYER = re.compile(r"\((?P<kernel>\d+),(?P<width>\d+)\)(?:/(?P<stride>\d+))?(?:x(?P<count>\d+))?")
"""(kernel,width)/stride x count; stride and count are omitted if they are 1."""
HIDDEN = 4096


@dataclass(frozen=True)
class Layer:
    """A convolution. The strides of the first stage are the recipe's."""

    kernel: Kernel
    width: int


@dataclass(frozen=True)
class Stage:
    """Convolutions and the pooling after them, if any."""

    layers: tuple[Layer, ...]
    pool_kernel: int = 0
    pool_stride: int = 1
    shrinks: bool = False
    """The pixel by which an even filter shrinks the map is not restored."""

    def alternating(self, widths: Sequence[int]) -> Stage:
        """The stage with filters of these widths instead, alternately 3x1 and 1x3."""
        return replace(self, layers=tuple(Layer((1, 3) if n % 2 else (3, 1), width) for n, width in enumerate(widths)))


Model = tuple[Stage, ...]


def _layers(cell: str) -> Iterator[Layer]:
    for found in LAYER.finditer(cell):
        yield from [Layer(int(found["kernel"]), int(found["width"]))] * int(found["count"] or 1)


def _model(row: Mapping[str, str]) -> Model:
    stages = []
    for number in range(1, 5):
        kernel, stride = (row.get(f"pool{number}") or "0/1").split("/")
        layers = tuple(_layers(row[f"stage{number}"]))
        if layers:
            stages.append(Stage(layers, int(kernel), int(stride), shrinks=number == 4))
    return tuple(stages)


with TABLE.open(newline="") as _file:
    ROWS = list(csv.DictReader(_file))
MODELS: Mapping[str, Model] = {row["model"]: _model(row) for row in ROWS}
A = MODELS["A"]
A_3X1: Model = (*A[:-1], A[-1].alternating([A[-1].layers[-1].width] * 8))


def _stage(net: NetworkBuilder, number: int, stage: Stage) -> None:
    restores = False
    for part, layer in enumerate(stage.layers, 1):
        name, width = f"conv{number}_{part}", net.scaled(layer.width)
        if number == 1:
            net.stem(name, width, pad=0 if net.recipe.stem_stride > 1 else None)
        elif isinstance(layer.kernel, int) and layer.kernel % 2 == 0:
            if restores and stage.shrinks:
                net.border(f"{name}_border", end=1)
            net.conv(name, width, layer.kernel, pad=int(restores and not stage.shrinks))
            restores = not restores
        else:
            net.conv(name, width, layer.kernel, pad=None)


def he_sun(model: Model, net: NetworkBuilder) -> None:
    """A model of the table."""
    net.input()
    for number, stage in enumerate(model, 1):
        _stage(net, number, stage)
        if stage.pool_kernel and (number > 1 or net.recipe.stem_stride > 1):
            net.pool(f"pool{number}", stage.pool_stride, stage.pool_kernel, pad=0)
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


STEM: dict[str, Any] = {"stem_kernel": 7, "stem_stride": 2}
_PAPER: dict[str, Any] = {"paper": "He & Sun 2015", "own": STEM | {"head": "spp4_fc"}}
for _name, _built in MODELS.items():
    network(f"he_sun_{_name.lower()}", f"model {_name} at constrained time cost", **_PAPER)(partial(he_sun, _built))
network("he_sun_a_3x1", "model A with 3x1 and 1x3 instead of 3x3, at equal cost", **_PAPER)(partial(he_sun, A_3X1))
