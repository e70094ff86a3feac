"""Do biases matter, and how fast should they learn?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on bias.
Published finding: 44.5 without biases against 47.1 with; their learning rate hardly matters (47.0, 47.1, 47.2).
Cost: 5 trials per seed of 64 epochs.

`no_bias` has no bias in any layer, including the classifier. Not documented: whether the published run without biases
used the doubled weight decay of its file (its log is missing); here it does.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import published
from raysweep.study import Study, Times, Variant

_DOUBLE_DECAY = {"solver.weight_decay": Times(2.0)}

STUDY = Study(
    name="bias",
    question="Do biases matter, and how fast should they learn?",
    paper="Mishkin et al. 2017, bias",
    finding="They gain up to two points; their rate does not matter.",
    baseline="bias_lr_x2",
    variants=(
        Variant("bias_lr_x2", {"network.bias": True, "solver.bias_lr_mult": 2.0}, "twice the rate of weights"),
        Variant("bias_lr_x1", {"solver.bias_lr_mult": 1.0}, "the rate of weights"),
        Variant("bias_lr_x5", {"solver.bias_lr_mult": 5.0}, "five times the rate of weights"),
        *published("no_bias", {"network.bias": False}, _DOUBLE_DECAY, "no biases", "twice the weight decay"),
    ),
)
