"""Which non-linearity, with little data?

Paper: Xu et al. 2015 (arXiv 1505.00853), table 3, quoted by Mishkin et al.
Published finding: a slope below zero helps most with little data: NiN on CIFAR-10, RReLU 88.8 against ReLU 87.6.
Cost: 4 trials per seed of 64 epochs.

The network is NiN for CIFAR; for CIFAR-100 add `--data data/cifar100 --classes 100`. Not documented: the solver (here
the protocol's) and the slope of the leaky ReLU (here 0.3).
"""

from __future__ import annotations

from raysweep.search_spaces._shared import act, net
from raysweep.study import Study, Variant

_NIN = net("nin_cifar")

STUDY = Study(
    name="activation_cifar",
    question="Which non-linearity, with little data?",
    paper="Xu et al. 2015",
    finding="One with a slope below zero; a random slope is best.",
    baseline="relu",
    variants=(
        Variant("relu", _NIN | act("relu"), "max(x, 0)"),
        Variant("vlrelu", _NIN | act("vlrelu"), "leaky ReLU with slope 0.3"),
        Variant("rrelu", _NIN | act("rrelu"), "leaky ReLU with a random slope in training"),
        Variant("prelu", _NIN | act("prelu"), "leaky ReLU with a learned slope per channel"),
    ),
)
