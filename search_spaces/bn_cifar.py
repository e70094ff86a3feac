"""Batch normalisation before or after the non-linearity, in a thin deep network?

Paper: the slides of Mishkin et al., "batch normalization: where".
Published finding: after, for tanh and maxout (89.2, 92.9); no difference for ReLU (92.6 before, 92.5 after).
Cost: 6 trials per seed of 64 epochs.

The network is FitNet-4. Not documented: its file, the solver (here the protocol's) and scale and bias (here none).
Maxout has two pieces, five in the hidden layer.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import BN, FITNET_MAXOUT, act, net
from raysweep.study import Study, Variant, factorial

_FITNET4 = net("fitnet4")

STUDY = Study(
    name="bn_cifar",
    question="Batch normalisation before or after the non-linearity, in a thin deep network?",
    paper="Mishkin et al., slides",
    finding="After; for ReLU it makes no difference.",
    baseline="relu_before",
    variants=factorial(
        {
            "activation": [
                Variant("tanh", _FITNET4 | act("tanh"), "tanh"),
                Variant("relu", _FITNET4 | act("relu"), "ReLU"),
                Variant("maxout", _FITNET4 | FITNET_MAXOUT, "maxout"),
            ],
            "position": [
                Variant("before", BN | {"network.norm_position": "before"}, "normalised before"),
                Variant("after", BN, "normalised after"),
            ],
        }
    ),
)
