"""Does initialisation matter with batch normalisation?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a table of their repository.
Published finding: hardly: 47.8 (LSUV) and 48.2 (orthonormal) before, 49.9 and 50.0 after the non-linearity.
Cost: 6 trials a seed of 64 epochs.

The `ortho` rows have orthonormal weights without scaling to unit variance. Not established: whether the file of
`caffenet_after_ortho` keeps the biases; here it does, as that of `caffenet_after_lsuv`.
"""

from __future__ import annotations

from raysweep.study import Study, Variant
from search_spaces._shared import BN

_BEFORE = {"network.norm": "batch_affine", "network.norm_position": "before"}
_ORTHO = {"init.method": "orthonormal"}

STUDY = Study(
    name="bn_init",
    question="Does initialisation matter with batch normalisation?",
    paper="Mishkin et al. 2017, repository",
    finding="Hardly.",
    baseline="caffenet_nobn",
    variants=(
        Variant("caffenet_nobn", {"network.name": "caffenet", "network.norm": "none"}, "LSUV, no normalisation"),
        Variant("caffenet_before_scale_bias_lsuv", _BEFORE, "LSUV; normalisation before, with scale and bias"),
        Variant(
            "caffenet_before_scale_bias_ortho",
            _BEFORE | _ORTHO | {"network.norm": "batch_scale", "network.bias": False},
            "orthonormal; normalisation before, with scale and bias",
            as_published="Caffe's later scale layer, no biases in convolutions and fully connected layers",
        ),
        Variant("caffenet_before_scale_bias_ortho_clean", _BEFORE | _ORTHO, "as the LSUV form, orthonormal weights"),
        Variant("caffenet_after_lsuv", BN, "LSUV; normalisation after, no scale and bias"),
        Variant("caffenet_after_ortho", BN | _ORTHO, "orthonormal; normalisation after, no scale and bias"),
    ),
)
