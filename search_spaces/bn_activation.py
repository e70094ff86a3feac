"""Which non-linearity with batch normalisation?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on batch normalisation.
Published finding: with normalisation, non-linearities differ little: PReLU 50.3, RReLU 50.0, ReLU 49.9, ELU 49.8.
Cost: 13 trials per seed of 64 epochs.

Normalisation is after the non-linearity, without scale and bias; dropout is 0.5. vlrelu has neither file nor number.
The published tanh number may come from a run with 256 images per statistic (so a partial log; the file has 64).
"""

from __future__ import annotations

from raysweep.search_spaces._shared import BN, MAXOUT_SAME_COMPLEXITY, SCALED_NO_BIAS, act, published
from raysweep.study import Study, Variant

_PARTS = "batches in {} parts, so statistics over {} of the images"

STUDY = Study(
    name="bn_activation",
    question="Which non-linearity with batch normalisation?",
    paper="Mishkin et al. 2017, batch normalisation",
    finding="With batch normalisation non-linearities differ little; PReLU is first.",
    baseline="relu",
    variants=(
        Variant("relu", BN, "ReLU"),
        Variant(
            "linear",
            act("linear") | SCALED_NO_BIAS,
            "no non-linearity",
            as_published="a scale layer after the normalisation; only the classifier has a bias",
        ),
        Variant("linear_clean", BN | act("linear"), "no non-linearity, otherwise like the others"),
        *published("tanh", BN | act("tanh"), {"training.accumulate": 4}, "tanh", _PARTS.format("four", "a quarter")),
        *published("sigmoid", BN | act("sigmoid"), {"training.accumulate": 2}, "sigmoid", _PARTS.format("two", "half")),
        Variant("vlrelu", BN | act("vlrelu"), "leaky ReLU with slope 0.3"),
        Variant("rrelu", BN | act("rrelu"), "leaky ReLU with a random slope"),
        Variant("prelu", BN | act("prelu"), "leaky ReLU with a learned slope per channel"),
        Variant("elu", BN | act("elu"), "ELU"),
        *published(
            "maxout",
            BN | MAXOUT_SAME_COMPLEXITY,
            {"network.norm_bypass": (4, 5)},
            "maximum of two layers, each about 1 / sqrt 2 as wide",
            "in conv4 and conv5 only one of the two layers reads the normalised map",
        ),
    ),
)
