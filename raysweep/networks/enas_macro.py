"""Networks of ENAS' macro space: a layer after another, each with an operation and skips from any earlier layers.

Built as the final network of the released code (melodyguan/enas, `general_child.py`): an operation is a 1x1 convolution
and what it is named after; the states that skips take are concatenated with its output and a 1x1 convolution brings
them to the filters. Every convolution is ReLU, convolution, normalisation; the stem has no ReLU, nor has what precedes
the average at the end. After a third and two thirds of the layers every state goes through a factorised reduction of
its own, which doubles the filters. In the code's search, weights are shared, filters stay at 36 and skips are summed.

Where the paper and the code differ (the paper as recalled, the code as read):

- The paper concatenates the skips in front of the operation; in the code they pass it by, and come in behind it.
- Of the skips of layer n the first is, in the code, from the stem, and the last from layer n - 2: layer n - 1 is its
  input in any case.
- The code's final network has plain convolutions where its search had separable ones, and no pooling at all, so that
  it does not train what was searched: `enas_macro_released`, 42,559,392 parameters where the paper says 38.0 million.
  `enas_macro` has all six operations, as the search has them: a separable convolution is applied once, and pooling is
  behind a ReLU of its own.

Here a state that no later layer takes is not halved; the code has weights for it, which learn nothing. The released
network has no such state.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.errors import RaysweepError
from raysweep.genotypes.macro import ENAS_MACRO, MacroNetwork
from raysweep.networks import network
from raysweep.networks.resnet import OWN_CIFAR

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder

HIDDEN = 1024


@dataclass(frozen=True)
class Form:
    """What tells one network of the family from another."""

    width: int
    """Filters of the first third of the layers."""
    layers: MacroNetwork | None = None
    """None: the recipe's."""


def _layers(net: NetworkBuilder) -> MacroNetwork:
    if not net.recipe.genotype:
        raise RaysweepError(
            f"{net.recipe.name} takes its layers from network.genotype, which is empty: give it as raysweep.nas writes "
            "it, e.g. --set 'network.genotype=conv_3x3; sep_conv_5x5 1; max_pool_3x3 01'."
        )
    return MacroNetwork.parse(net.recipe.genotype)


def enas_macro(form: Form, net: NetworkBuilder) -> None:
    """A network of that form.

    Raises:
        RaysweepError: no genotype, or one that is none.
        InapplicableError: a non-linearity that takes several layers, or images too small.
    """
    from raysweep.nn.macro import add_layers  # loads torch

    recipe, layers = net.recipe, form.layers or _layers(net)
    net.input()
    net.conv(
        "conv1", net.scaled(form.width), recipe.stem_kernel, recipe.stem_stride, recipe.stem_kernel // 2, act=False
    )
    add_layers(net, "layers", layers)
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


PLAIN = MacroNetwork(tuple((operation.removeprefix("sep_"), skips) for operation, skips in ENAS_MACRO.layers))
"""As the released code builds it."""
OWN: dict[str, Any] = {**OWN_CIFAR, "bias": False}
PAPER = "Pham et al. 2018"
network(
    "enas_macro",
    "layers of network.genotype with skips between them; 36 filters, as in a search",
    PAPER,
    side=32,
    classes=10,
    own={**OWN, "genotype": str(ENAS_MACRO)},
    factors=("genotype",),
)(partial(enas_macro, Form(36)))
network(
    "enas_macro_released",
    "ENAS' macro search as its code trains it, without separable convolutions: 24 layers, 96 filters",
    PAPER,
    side=32,
    classes=10,
    own={**OWN, "dropout": 0.5},
)(partial(enas_macro, Form(96, PLAIN)))
