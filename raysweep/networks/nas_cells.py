"""Networks of searched cells: NASNet-A, AmoebaNet-A, ENAS, DARTS, and networks with the cells of `network.genotype`.

Three stacks of normal cells, with a reduction cell before the second and third stack, which doubles the width. Styles
differ in how cells are built (`raysweep.nn.cell_ops`), in the stem for large images, in the position of the auxiliary
head, and in the non-linearity after the last cell, which DARTS lacks.

Parameters match the released code, with these exceptions. A factorised reduction to an odd width gives its second half
one more channel. Google's code supports only even widths, so it cannot build AmoebaNet-A with F=50; a published count
of 5,086,898 for it assumes 12 + 12 instead of 12 + 13 channels there. ENAS has 3,894,372 parameters, while its paper
says 4.6 million. Its auxiliary head convolves the whole map once; the released one pads and averages. Drop-path
increases with every update, in DARTS' code with every epoch. In the code of NASNet and ENAS it also increases with
depth; AmoebaNet and DARTS use one rate for all cells. AmoebaNet's drop-path and dropout are unknown and left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

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
from raysweep.networks import CELL_FACTORS, genotype_text, network
from raysweep.networks.resnet import BATCH_NORM, HEAD

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder

STACKS = 3
HIDDEN = 1024


@dataclass(frozen=True)
class Form:
    """The properties in which networks of the family differ."""

    style: str
    """How cells are built: slim, darts or enas."""
    width: int
    """Channels of every operation in the first stack: F of NASNet, C of DARTS."""
    repeats: int
    """Normal cells per stack: N of NASNet. DARTS and ENAS count 3N + 2 cells, including the reductions."""
    genotype: Genotype | None = None
    """None: that of the recipe."""
    large: bool = False
    """Whether the stem is for large images: it reduces their side to an eighth."""
    deeper_drops_more: bool = False
    """Whether drop-path increases with depth."""


AUXILIARY_AFTER = {"slim": 1, "darts": 2, "enas": 3}
"""Number of cells between the first two stacks of normal cells and the auxiliary head, by style."""


class Chain:
    """Adds cells one after another."""

    def __init__(self, net: NetworkBuilder, form: Form) -> None:
        self.net, self.form = net, form
        self.genotype = form.genotype or Genotype.parse(genotype_text(net.recipe, ENAS_MICRO))
        self.repeats = net.recipe.cell_repeats or form.repeats
        self.stem_cells = 2 if form.large and form.style == "slim" else 0
        self.older: tuple[int, ...] | None = None
        self.count = 0

    def normal(self, width: int) -> None:
        """Add a normal cell."""
        self._add("normal", self.genotype.normal, width, 1)

    def reduction(self, width: int) -> None:
        """Add a reduction cell."""
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


def _auxiliary(form: Form, net: NetworkBuilder) -> None:
    """Add pooling 5/3 (5/2 in DARTS for large images), a 1x1 convolution to 128, and one of the whole map to 768."""
    net.activate("act")
    side, stride = net.shape[1], 2 if form.large and form.style == "darts" else 3
    net.pool("pool", stride=min(side, stride), kernel=min(side, 5), pad=0, kind="average", round_up=False)
    net.conv("conv1", net.scaled(128), 1)
    net.conv("conv2", net.scaled(768), net.shape[1], norm=not (form.large and form.style == "darts"))
    net.classifier("clf")


def _stem(chain: Chain, width: int) -> None:
    """Add a convolution to 3F; for large images one to 32 and two reduction cells, in DARTS three convolutions."""
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
    """Build a network of that form.

    Raises:
        RaysweepError: a missing or invalid genotype, or an operation that the style does not have.
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


def _searched(name: str, form: Form, genotype: Genotype, source: str, paper: str, own: dict[str, Any]) -> None:
    own = {**own, "genotype": str(genotype)}
    summary = f"cells of network.genotype stacked as in {source}; small, as in a search"
    network(name, summary, paper, side=32, classes=10, own=own, factors=CELL_FACTORS)(partial(nas_cells, form))


def _fixed(name: str, form: Form, summary: str, paper: str, **own: Any) -> None:
    factors = CELL_FACTORS - {"genotype"}
    size: dict[str, Any] = {} if form.large else {"side": 32, "classes": 10}
    base = LARGE if form.large else {**OWN, "aux_weight": 0.4}
    network(name, summary, paper, **size, own={**base, **own}, factors=factors)(partial(nas_cells, form))


SLIM = Form("slim", 32, 2, deeper_drops_more=True)
ENAS_SEARCHED = Form("enas", 36, 2, deeper_drops_more=True)
_searched("nasnet_cells", SLIM, NASNET_A, "NASNet", NASNET, OWN)
_searched("darts_cells", Form("darts", 16, 2), DARTS_V2, "DARTS", DARTS, OWN)
_searched("enas_cells", ENAS_SEARCHED, ENAS_MICRO, "ENAS' final network", ENAS, {**OWN, "bias": False})

NASNET_SMALL = replace(SLIM, repeats=6, genotype=NASNET_A)
NASNET_LARGE = replace(SLIM, width=44, repeats=4, genotype=NASNET_A, large=True)
AMOEBANET_SMALL = Form("slim", 36, 6, AMOEBANET_A)
AMOEBANET_LARGE = Form("slim", 50, 4, AMOEBANET_A, large=True)
ENAS_FINAL = replace(ENAS_SEARCHED, repeats=5, genotype=ENAS_MICRO)
GOOGLES = "AmoebaNet-A as Google released it, for"
ENAS_OWN: dict[str, Any] = {"bias": False, "dropout": 0.2, "drop_path": 0.4}
_fixed("nasnet_a_cifar", NASNET_SMALL, "NASNet-A for 32 px: 6 cells a stack, F=32", NASNET, drop_path=0.4)
_fixed("nasnet_a_mobile", NASNET_LARGE, "NASNet-A (4 @ 1056) for large images", NASNET, dropout=0.5)
_fixed("amoebanet_a_cifar", AMOEBANET_SMALL, f"{GOOGLES} 32 px: 6 cells a stack, F=36", AMOEBANET)
_fixed("amoebanet_a_mobile", AMOEBANET_LARGE, f"{GOOGLES} large images: 4 cells a stack, F=50", AMOEBANET)
_fixed("enas_micro_cifar", ENAS_FINAL, "ENAS' micro search: 5 cells a stack, F=36", ENAS, **ENAS_OWN)
for _name, _genotype, _words in (
    ("darts_v1", DARTS_V1, "DARTS' first-order cells"),
    ("darts_v2", DARTS_V2, "DARTS' second-order cells"),
    ("amoebanet_darts", AMOEBANET_DARTS, "the cells called AmoebaNet in DARTS' repository"),
    ("nasnet_darts", NASNET_DARTS, "the cells called NASNet in DARTS' repository"),
):
    _cifar, _mobile = Form("darts", 36, 6, _genotype), Form("darts", 48, 4, _genotype, large=True)
    _fixed(f"{_name}_cifar", _cifar, f"{_words} for 32 px: 20 cells, C=36", DARTS, drop_path=0.2)
    _fixed(f"{_name}_mobile", _mobile, f"{_words} for large images: 14 cells, C=48", DARTS)
