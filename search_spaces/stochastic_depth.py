"""Does leaving out residual blocks at random in training help a deep network?

Paper: Huang et al. 2016 (arXiv 1603.09382), quoted in the slides of Mishkin et al.
Published finding: on CIFAR-10, 94.77 against 93.59 with 110 layers; 1202 layers gain, while without it they overfit.
Cost: 6 trials per seed of 64 epochs.

The survival probability falls linearly from 1 at the first block to the given value at the last. The solver is the
protocol's, not the paper's (Nesterov, 500 epochs, rate 0.1).
"""

from __future__ import annotations

from raysweep.search_spaces._shared import Patch, net
from raysweep.study import Study, Variant


def _layers(depth: int, survival: float = 1.0) -> Patch:
    return net(f"resnet{depth}_cifar") | {"network.survival": survival}


STUDY = Study(
    name="stochastic_depth",
    question="Does leaving out residual blocks at random in training help a deep network?",
    paper="Huang et al. 2016",
    finding="Yes, and more so the deeper the network.",
    baseline="resnet110",
    variants=(
        Variant("resnet110", _layers(110), "110 layers, every block in every update"),
        Variant("resnet110_survival08", _layers(110, 0.8), "the last block in four updates of five"),
        Variant("resnet110_survival05", _layers(110, 0.5), "the last block in every other update, as published"),
        Variant("resnet56", _layers(56), "56 layers"),
        Variant("resnet56_survival05", _layers(56, 0.5), "56 layers, the last block in every other update"),
        Variant("resnet20", _layers(20), "20 layers"),
    ),
)
