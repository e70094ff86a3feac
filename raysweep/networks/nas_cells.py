"""Networks of searched cells: NASNet-A, AmoebaNet-A, ENAS, DARTS, and those that take their cells from the recipe.

Three stacks of normal cells, a reduction cell before the second and the third, which doubles the width. Styles differ
in how a cell is built (`raysweep.nn.cell_ops`), in the stem for large images, in where the auxiliary head is, and in
the non-linearity after the last cell, which DARTS does not have.

Parameters are those of the released code, with these exceptions. A factorised reduction to an odd width gives the
second half one channel more; Google's code has even widths alone, so it builds no AmoebaNet-A of F=50, and a count of
5,086,898 for it has 12 + 12 in place of 12 + 13 channels there. ENAS has 3,894,372 parameters where its paper says 4.6
million; its auxiliary head convolves the whole map once, where the released one pads and averages. Drop-path rises with
every update, in DARTS' code with every epoch. In NASNet's and ENAS' code it also rises with depth; AmoebaNet's and
DARTS' have one share for all cells. Not established, and left out: AmoebaNet's drop-path and dropout.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.errors import RaysweepError
from raysweep.genotypes.cells import (
    AMOEBANET_A,
    AMOEBANET_DARTS,
    DARTS_V1,
    DARTS_V2,
    ENAS_MICRO,
    NASNET_A,
    NASNET_DARTS,
    Cell,
    Genotype,
)
from raysweep.networks import CELL_FACTORS, network
from raysweep.networks.resnet import BATCH_NORM, HEAD

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder

STACKS = 3
HIDDEN = 1024


@dataclass(frozen=True)
class Form:
    """What tells one network of the family from another."""

    style: str
    """How cells are built: slim, darts or enas."""
    width: int
    """Channels of every operation in the first stack: F of NASNet, C of DARTS."""
    repeats: int
    """Normal cells of a stack: N of NASNet; DARTS and ENAS count 3N + 2 cells with the reductions."""
    genotype: Genotype | None = None
    """None: the recipe's."""
    large: bool = False
    """The stem is for large images: it shortens their side to an eighth."""
    deeper_drops_more: bool = False
    """Drop-path rises with depth."""


AUXILIARY_AFTER = {"slim": 1, "darts": 2, "enas": 3}
"""Cells between the first two stacks of normal cells and the auxiliary head, by style."""


class Chain:
    """Cells one after the other."""

    def __init__(self, net: NetworkBuilder, form: Form) -> None:
        self.net, self.form = net, form
        self.genotype = form.genotype or _recipe_genotype(net)
        self.repeats = net.recipe.cell_repeats or form.repeats
        self.stem_cells = 2 if form.large and form.style == "slim" else 0
        self.older: tuple[int, ...] | None = None
        self.count = 0

    def normal(self, width: int) -> None:
        """A normal cell."""
        self._add("normal", self.genotype.normal, width, 1)

    def reduction(self, width: int) -> None:
        """A reduction cell."""
        self._add("reduction", self.genotype.reduction, width, 2)

    def _add(self, kind: str, cell: Cell, width: int, stride: int) -> None:
        self.count += 1
        share, total = self.net.recipe.drop_path, self.stem_cells + STACKS * (self.repeats + 1) - 1
        if self.form.deeper_drops_more:
            share *= self.count / total
        before = self.net.shape
        self.net.cell(f"cell{self.count}_{kind}", cell, self.form.style, width, stride, self.older, share)
        self.older = before
        if self.count == self.stem_cells + 2 * self.repeats + AUXILIARY_AFTER[self.form.style]:
            self.net.auxiliary_head("aux", partial(_auxiliary, self.form))


def _recipe_genotype(net: NetworkBuilder) -> Genotype:
    recipe = net.recipe
    if not recipe.genotype:
        raise RaysweepError(
            f"{recipe.name} takes its cells from network.genotype, which is empty: give it as raysweep.nas writes it, "
            f"e.g. --set 'network.genotype={ENAS_MICRO}'."
        )
    return Genotype.parse(recipe.genotype)


def _auxiliary(form: Form, net: NetworkBuilder) -> None:
    """Pooling 5/3, or 5/2 in DARTS for large images; 1x1 convolution of 128; one of 768 over all that is left."""
    net.activate("act")
    side, stride = net.shape[1], 2 if form.large and form.style == "darts" else 3
    net.pool("pool", stride=min(side, stride), kernel=min(side, 5), pad=0, kind="average", round_up=False)
    net.conv("conv1", net.scaled(128), 1)
    net.conv("conv2", net.scaled(768), net.shape[1], norm=not (form.large and form.style == "darts"))
    net.classifier("clf")


def _stem(chain: Chain, width: int) -> None:
    """A convolution of 3F; for large images 32 channels and two reduction cells, in DARTS three convolutions."""
    net, recipe, large = chain.net, chain.net.recipe, chain.form.large
    kernel, stride = recipe.stem_kernel, recipe.stem_stride
    if not large:
        net.conv("conv1", 3 * width, kernel, stride, kernel // 2, act=False)
    elif chain.form.style == "slim":
        net.conv("conv1", net.scaled(32), kernel, stride, act=False)
        chain.reduction(max(2, width // 4))
        chain.reduction(max(2, width // 2))
    else:
        net.conv("conv1", width // 2, kernel, stride, kernel // 2)
        net.conv("conv2", width, 3, 2, 1, act=False)
        chain.older = net.shape
        net.paired("conv3", partial(_third, width))


def _third(width: int, net: NetworkBuilder) -> None:
    net.activate("act")
    net.conv("conv", width, 3, 2, 1, act=False)


def nas_cells(form: Form, net: NetworkBuilder) -> None:
    """A network of that form.

    Raises:
        RaysweepError: no genotype, one that is none, or an operation that the style does not have.
        InapplicableError: a non-linearity that takes several layers, or images too small.
    """
    chain, width = Chain(net, form), net.scaled(form.width)
    net.input()
    _stem(chain, width)
    for stack in range(STACKS):
        if stack:
            chain.reduction(width << stack)
        for _ in range(chain.repeats):
            chain.normal(width << stack)
    if form.style != "darts":
        net.activate("last_act")
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


OWN: dict[str, Any] = {**BATCH_NORM, **HEAD, "stem_kernel": 3, "stem_stride": 1}
LARGE: dict[str, Any] = {**OWN, "stem_stride": 2, "aux_weight": 0.4}
NASNET, AMOEBANET, DARTS, ENAS = "Zoph et al. 2018", "Real et al. 2019", "Liu et al. 2019", "Pham et al. 2018"
ENAS_OWN: dict[str, Any] = {**OWN, "bias": False}


def _searched(name: str, form: Form, genotype: Genotype, summary: str, paper: str, own: dict[str, Any]) -> None:
    own = {**own, "genotype": str(genotype)}
    network(name, summary, paper, side=32, classes=10, own=own, factors=CELL_FACTORS)(partial(nas_cells, form))


def _fixed(name: str, form: Form, summary: str, paper: str, **own: Any) -> None:
    factors = CELL_FACTORS - {"genotype"}
    size: dict[str, Any] = {} if form.large else {"side": 32, "classes": 10}
    base = LARGE if form.large else {**OWN, "aux_weight": 0.4}
    network(name, summary, paper, **size, own={**base, **own}, factors=factors)(partial(nas_cells, form))


SLIM = Form("slim", 32, 2, deeper_drops_more=True)
_searched(
    "nasnet_cells", SLIM, NASNET_A, "cells of network.genotype as NASNet stacks them; small as in a search", NASNET, OWN
)
_searched(
    "darts_cells",
    Form("darts", 16, 2),
    DARTS_V2,
    "cells of network.genotype as DARTS stacks them; small as in a search",
    DARTS,
    OWN,
)
_searched(
    "enas_cells",
    Form("enas", 36, 2, deeper_drops_more=True),
    ENAS_MICRO,
    "cells of network.genotype as ENAS' final network stacks them; small as in a search",
    ENAS,
    ENAS_OWN,
)
_fixed(
    "nasnet_a_cifar",
    replace(SLIM, repeats=6, genotype=NASNET_A),
    "NASNet-A for 32 px: 6 cells a stack, F=32",
    NASNET,
    drop_path=0.4,
)
_fixed(
    "nasnet_a_mobile",
    replace(SLIM, width=44, repeats=4, genotype=NASNET_A, large=True),
    "NASNet-A (4 @ 1056) for large images",
    NASNET,
    dropout=0.5,
)
_fixed(
    "amoebanet_a_cifar",
    Form("slim", 36, 6, AMOEBANET_A),
    "AmoebaNet-A as Google released it, for 32 px: 6 cells a stack, F=36",
    AMOEBANET,
)
_fixed(
    "amoebanet_a_mobile",
    Form("slim", 50, 4, AMOEBANET_A, large=True),
    "AmoebaNet-A as Google released it, for large images: 4 cells a stack, F=50",
    AMOEBANET,
)
_fixed(
    "enas_micro_cifar",
    Form("enas", 36, 5, ENAS_MICRO, deeper_drops_more=True),
    "ENAS' micro search: 5 cells a stack, F=36",
    ENAS,
    bias=False,
    dropout=0.2,
    drop_path=0.4,
)
for _name, _genotype, _words, _paper in (
    ("darts_v1", DARTS_V1, "DARTS' first-order cells", DARTS),
    ("darts_v2", DARTS_V2, "DARTS' second-order cells", DARTS),
    ("amoebanet_darts", AMOEBANET_DARTS, "what DARTS' repository calls AmoebaNet", DARTS),
    ("nasnet_darts", NASNET_DARTS, "what DARTS' repository calls NASNet", DARTS),
):
    _cifar, _mobile = Form("darts", 36, 6, _genotype), Form("darts", 48, 4, _genotype, large=True)
    _fixed(f"{_name}_cifar", _cifar, f"{_words} for 32 px: 20 cells, C=36", _paper, drop_path=0.2)
    _fixed(f"{_name}_mobile", _mobile, f"{_words} for large images: 14 cells, C=48", _paper)
