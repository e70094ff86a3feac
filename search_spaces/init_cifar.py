"""Which initialisation, for which non-linearity, in thin deep networks?

Paper: Mishkin & Matas 2016, "All you need is a good init" (arXiv 1511.06422), table 3.
Published finding: LSUV is best or close to it everywhere (FitNet-4 with maxout 93.9), and always converges.
Cost: 40 trials per seed of 64 epochs.

The network is FitNet-4; names that begin with `fitresnet` have the same with skips, a reconstruction. Biases learn at
the rate of weights, as in the published files, whose three steps of the rate are unequally spaced; here the schedule is
the protocol's. `msra` is Caffe's name for He's initialisation; `orthonorm_msra_scaled` is our reading of its
description. Maxout has two pieces, five in the hidden layer.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import FITNET_MAXOUT, act, net
from raysweep.study import Study, Variant, factorial

_INITS = {
    "lsuv": "lsuv",
    "orthonorm": "orthonormal",
    "xavier": "xavier",
    "msra": "he",
    "orthonorm_msra_scaled": "orthonormal_he",
}
_ACTIVATIONS = [
    Variant("maxout", FITNET_MAXOUT, "maxout"),
    Variant("relu", act("relu"), "ReLU"),
    Variant("vlrelu", act("vlrelu"), "leaky ReLU with slope 0.3"),
    Variant("tanh", act("tanh"), "tanh"),
]


def _matrix(network: str, prefix: str) -> tuple[Variant, ...]:
    common = net(network) | {"solver.bias_lr_mult": 1.0}
    inits = [
        Variant(f"{prefix}{name}", common | {"init.method": method}, f"{network}, {method}")
        for name, method in _INITS.items()
    ]
    return factorial({"init": inits, "activation": _ACTIVATIONS})


STUDY = Study(
    name="init_cifar",
    question="Which initialisation, for which non-linearity, in thin deep networks?",
    paper="Mishkin & Matas 2016",
    finding="LSUV is best or close to it for every non-linearity.",
    baseline="lsuv_relu",
    variants=(*_matrix("fitnet4", ""), *_matrix("fitresnet", "fitresnet_")),
)
