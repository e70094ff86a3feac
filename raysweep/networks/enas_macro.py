"""Networks of ENAS' macro space: a sequence of layers, each with an operation and skips from any earlier layers.

They are built like the final network of the released code (melodyguan/enas, `general_child.py`). An operation starts
with a 1x1 convolution; its output is concatenated with the states of the skips, and a 1x1 convolution reduces them to
the number of filters. Every convolution is ReLU, convolution, normalisation; there is no ReLU in the stem or before the
final average. After a third and two thirds of the layers every state goes through a separate factorised reduction,
which doubles the filters. In the search of the released code weights are shared, filters stay at 36 and skips are
summed.

Differences between the paper (from memory) and the code (as read):

- The paper concatenates the skips before the operation; the code concatenates them after it.
- In the code, the first skip of layer n is from the stem and the last from layer n - 2: layer n - 1 is always its
  input.
- The final network of the code has plain convolutions instead of the separable ones of its search, and no pooling, so
  it does not train the network that was found. This is `enas_macro_released`, with 42,559,392 parameters; the paper
  says 38.0 million. `enas_macro` has all six operations of the search: separable convolutions are applied once, and
  pooling follows a ReLU.

Here a state that no later layer uses is not halved; the code has weights for it, which do not learn. The released
network has no such state.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.genotypes.macro import ENAS_MACRO, MacroNetwork
from raysweep.networks import genotype_text, network
from raysweep.networks.resnet import OWN_CIFAR

if TYPE_CHECKING:
    from raysweep.nn.network_builder import NetworkBuilder

HIDDEN = 1024


@dataclass(frozen=True)
class Form:
    """The properties in which networks of the family differ."""

    width: int
    """Number of filters in the first third of the layers."""
    layers: MacroNetwork | None = None
    """None: those of the recipe."""


def enas_macro(form: Form, net: NetworkBuilder) -> None:
    """Build a network of that form.

    Raises:
        RaysweepError: a missing or invalid genotype.
    """
    from raysweep.nn.macro import add_layers  # loads torch

    recipe = net.recipe
    example = "conv_3x3; sep_conv_5x5 1; max_pool_3x3 01"
    layers = form.layers or MacroNetwork.parse(genotype_text(recipe, example))
    net.input()
    net.stem("conv1", net.scaled(form.width), act=False)
    add_layers(net, "layers", layers)
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


PLAIN = MacroNetwork(tuple((operation.removeprefix("sep_"), skips) for operation, skips in ENAS_MACRO.layers))
"""The network as the released code builds it."""
OWN: dict[str, Any] = {**OWN_CIFAR, "bias": False}
PAPER = "Pham et al. 2018"
network(
    "enas_macro",
    "layers of network.genotype with skips; 36 filters, as in a search",
    PAPER,
    side=32,
    classes=10,
    own={**OWN, "genotype": str(ENAS_MACRO)},
    factors=("genotype",),
)(partial(enas_macro, Form(36)))
network(
    "enas_macro_released",
    "final network of ENAS' macro search as in its code, without separable convolutions: 24 layers, 96 filters",
    PAPER,
    side=32,
    classes=10,
    own={**OWN, "dropout": 0.5},
)(partial(enas_macro, Form(96, PLAIN)))
