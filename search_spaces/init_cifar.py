"""Which initialisation, for which non-linearity, in thin deep networks?

Paper: Mishkin & Matas 2016, "All you need is a good init" (arXiv 1511.06422), table 3.
Published finding: LSUV is best or close to it everywhere (FitNet-4 with maxout 93.9), and always converges.
Cost: 40 trials a seed of 64 epochs.

FitNet-4, and under names that begin with `fitresnet` the same with skips, a reconstruction. Biases learn at the rate of
weights, as in the published files; their three steps of the rate lie at unequal distances, here the protocol's schedule
stands. `msra` is Caffe's name of He's initialisation, `orthonorm_msra_scaled` our reading of it. Maxout has two pieces,
and five in the hidden layer.
"""

from __future__ import annotations

from raysweep.study import Study, Variant, factorial
from search_spaces._shared import FITNET_MAXOUT, act

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
    Variant("vlrelu", act("vlrelu"), "leaky ReLU of slope 0.3"),
    Variant("tanh", act("tanh"), "tanh"),
]


def _matrix(network: str, prefix: str) -> tuple[Variant, ...]:
    common = {"network.name": network, "solver.bias_lr_mult": 1.0}
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
