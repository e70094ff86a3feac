"""Networks at constrained time cost (He & Sun 2015, table 1, models A to J), built from the rows of he_sun.csv.

Filters of 2x2 shrink the map by a pixel and, with a border, give it back in turn, which reproduces the costs that the
table prints. In the last stage of J it is not given back: with a 5x5 map for both of its layers the cost is the printed
one to 0.01, with 5x5 and 6x6 it is not. The pyramid of four levels follows their earlier paper (He et al. 2014); its
bins are not in the table. Where the first convolution does not stride (small images) the first pooling is left out.

`_3x1` has 3x1 and 1x3 in turn: eight for the three 3x3 of A (the same cost), one for each 2x2 of J. The benchmark's
HeNet is J with VLReLU, a plain pooling for the pyramid and hidden layers of 2048.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
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
"""(kernel,width)/stride x count, the last two only where they are not 1."""
HIDDEN = 4096


@dataclass(frozen=True)
class Layer:
    """A convolution."""

    kernel: Kernel
    width: int
    stride: int = 1


@dataclass(frozen=True)
class Stage:
    """Convolutions and the pooling after them, if there is one."""

    layers: tuple[Layer, ...]
    pool_kernel: int = 0
    pool_stride: int = 1
    shrinks: bool = False
    """A pixel that a filter of even size has taken from the map is not given back."""

    def in_turn(self, count: int) -> Stage:
        """So many filters of 3x1 and 1x3 in turn, of the width of the stage's last layer."""
        width = self.layers[-1].width
        return replace(self, layers=tuple(Layer((3, 1) if n % 2 == 0 else (1, 3), width) for n in range(count)))


Model = tuple[Stage, ...]


def _layers(cell: str) -> Iterator[Layer]:
    for found in LAYER.finditer(cell):
        layer = Layer(int(found["kernel"]), int(found["width"]), int(found["stride"] or 1))
        yield from [layer] * int(found["count"] or 1)


def _model(row: Mapping[str, str]) -> Model:
    stages = []
    for number in range(1, 5):
        kernel, stride = (row.get(f"pool{number}") or "0/1").split("/")
        layers = tuple(_layers(row[f"stage{number}"]))
        if layers:
            stages.append(Stage(layers, int(kernel), int(stride), shrinks=number == 4))
    return tuple(stages)


def _rows() -> list[dict[str, str]]:
    with TABLE.open(newline="") as file:
        return list(csv.DictReader(file))


ROWS = _rows()
MODELS: Mapping[str, Model] = {row["model"]: _model(row) for row in ROWS}
A_3X1: Model = (*MODELS["A"][:-1], MODELS["A"][-1].in_turn(8))


def _j_3x1() -> Model:
    first, second, third, fourth = MODELS["J"]
    turned = fourth.in_turn(2)
    wide = replace(turned.layers[0], width=fourth.layers[0].width)
    return (
        first,
        second.in_turn(len(second.layers)),
        third.in_turn(len(third.layers)),
        replace(turned, layers=(wide, turned.layers[1])),
    )


def _stage(net: NetworkBuilder, number: int, stage: Stage) -> None:
    gives_back = False
    for part, layer in enumerate(stage.layers, 1):
        name, width, recipe = f"conv{number}_{part}", net.scaled(layer.width), net.recipe
        if number == 1:
            pad = 0 if recipe.stem_stride > 1 else recipe.stem_kernel // 2
            net.conv(name, width, recipe.stem_kernel, recipe.stem_stride, pad)
        elif isinstance(layer.kernel, int) and layer.kernel % 2 == 0:
            if gives_back and stage.shrinks:
                net.border(f"{name}_border", end=1)
            net.conv(name, width, layer.kernel, pad=int(gives_back and not stage.shrinks))
            gives_back = not gives_back
        else:
            rows, columns = (layer.kernel,) * 2 if isinstance(layer.kernel, int) else layer.kernel
            net.conv(name, width, layer.kernel, pad=(rows // 2, columns // 2))


def he_sun(model: Model, net: NetworkBuilder) -> None:
    """A model of the table.

    Raises:
        InapplicableError: images too small.
    """
    net.input()
    for number, stage in enumerate(model, 1):
        _stage(net, number, stage)
        if stage.pool_kernel and (number > 1 or net.recipe.stem_stride > 1):
            net.pool(f"pool{number}", stage.pool_stride, stage.pool_kernel, pad=0)
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


STEM: dict[str, Any] = {"stem_kernel": 7, "stem_stride": 2}
PYRAMID: dict[str, Any] = {"head": "spp4_fc"}
HENET: dict[str, Any] = {"activation": "vlrelu", "head_widths": (2048, 2048)}
_PAPER: dict[str, Any] = {"paper": "He & Sun 2015", "own": STEM | PYRAMID}
_BENCHMARK: dict[str, Any] = {"paper": "Mishkin et al. 2017, repository", "side": 128, "own": STEM | HENET}
for _name, _built in MODELS.items():
    network(f"he_sun_{_name.lower()}", f"model {_name} at constrained time cost", **_PAPER)(partial(he_sun, _built))
network("he_sun_a_3x1", "model A with 3x1 and 1x3 for 3x3, at equal cost", **_PAPER)(partial(he_sun, A_3X1))
network("henet_2x2", "model J with a plain pooling and VLReLU", **_BENCHMARK)(partial(he_sun, MODELS["J"]))
network("henet_3x1", "henet_2x2 with 3x1 and 1x3 for 2x2", **_BENCHMARK)(partial(he_sun, _j_3x1()))
