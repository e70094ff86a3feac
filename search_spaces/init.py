"""Which initialisation, for which non-linearity?

Paper: Mishkin & Matas 2016, "All you need is a good init" (arXiv 1511.06422); here on CaffeNet.
Published finding: on FitNet-4 and CIFAR-10, LSUV is best or close to it for every non-linearity; no table is published
for CaffeNet.
Cost: 28 trials per seed of 64 epochs.

Names are those of the authors' CIFAR table. Gaussian has standard deviation 0.01. `xavier` and `msra` are Caffe's
fillers (variance 1 / fan in and 2 / fan in), `glorot` is the paper's form with both fans. `orthonorm_msra_scaled` has
no file; here it is orthonormal weights scaled to the variance of `msra`. Maxout has two layers, each about 1 / sqrt 2
as wide.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import MAXOUT_SAME_COMPLEXITY, act
from raysweep.study import Study, Variant, factorial

_INITS = {
    "lsuv": "lsuv",
    "orthonorm": "orthonormal",
    "orthonorm_msra_scaled": "orthonormal_he",
    "xavier": "xavier",
    "glorot": "glorot",
    "msra": "he",
    "gaussian": "gaussian",
}

STUDY = Study(
    name="init",
    question="Which initialisation, for which non-linearity?",
    paper="Mishkin & Matas 2016",
    finding="LSUV is best or close to it for every non-linearity.",
    baseline="lsuv_relu",
    variants=factorial(
        {
            "init": [Variant(name, {"init.method": method}, method) for name, method in _INITS.items()],
            "activation": [
                Variant("relu", act("relu"), "ReLU"),
                Variant("vlrelu", act("vlrelu"), "leaky ReLU with slope 0.3"),
                Variant("tanh", act("tanh"), "tanh"),
                Variant("maxout", MAXOUT_SAME_COMPLEXITY, "maxout"),
            ],
        }
    ),
)
