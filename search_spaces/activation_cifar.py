"""Which non-linearity, with few data?

Paper: Xu et al. 2015 (arXiv 1505.00853), table 3, quoted by Mishkin et al.
Published finding: slopes below zero gain most where data are few: NiN on CIFAR-10, RReLU 88.8 against ReLU 87.6.
Cost: 4 trials a seed of 64 epochs.

NiN for CIFAR; on CIFAR-100 with `--data data/cifar100 --classes 100`. Not established: the solver (here the
protocol's) and the slope of the leaky ReLU of that row (here 0.3).
"""

from __future__ import annotations

from raysweep.study import Study, Variant
from search_spaces._shared import act

_NIN = {"network.name": "nin_cifar"}

STUDY = Study(
    name="activation_cifar",
    question="Which non-linearity, with few data?",
    paper="Xu et al. 2015",
    finding="Those with a slope below zero, a drawn one most of all.",
    baseline="relu",
    variants=(
        Variant("relu", _NIN | act("relu"), "max(x, 0)"),
        Variant("vlrelu", _NIN | act("vlrelu"), "leaky ReLU of slope 0.3"),
        Variant("rrelu", _NIN | act("rrelu"), "slope drawn in training"),
        Variant("prelu", _NIN | act("prelu"), "slope learned per channel"),
    ),
)
