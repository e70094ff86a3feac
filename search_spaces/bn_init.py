"""Does initialisation matter with batch normalisation?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a table in their repository.
Published finding: hardly: 47.8 (LSUV) and 48.2 (orthonormal) before the non-linearity, 49.9 and 50.0 after it. With
either, normalisation makes GoogLeNet worse: 58.4 to 60.7 against 61.9.
Cost: 16 trials per seed of 64 epochs.

The `ortho` rows have orthonormal weights that are not scaled to unit variance. Not documented: whether the file of
`caffenet_after_ortho` keeps the biases; here it does, as in `caffenet_after_lsuv`. GoogLeNet has its two auxiliary
heads here, with normalised layers like the rest. The authors' normalised runs used the statistics of the batch at test
(`_clean`: running averages), and one of their two `before` files has a single scale and bias per layer (here one per
channel). lim0606 is another network, Inception with batch normalisation; its schedule is not documented (here linear).
"""

from __future__ import annotations

from raysweep.search_spaces._shared import (
    BN,
    GOOGLENET,
    GOOGLENET_LIM0606,
    SCALED_NO_BIAS,
    TEST_BATCH_NOTE,
    googlenet_bn,
    net,
    published,
)
from raysweep.study import Study, Variant

_BEFORE = {"network.norm": "batch_affine", "network.norm_position": "before"}
_ORTHO = {"init.method": "orthonormal"}


def _googlenet(position: str, norm: str, init: str, words: str) -> tuple[Variant, Variant]:
    name = f"googlenet_{position}{'_scale_bias' if 'affine' in norm else ''}_{init}"
    method = _ORTHO if init == "ortho" else {}
    summary = f"GoogLeNet; normalisation {position}, {words}; {'orthonormal' if method else 'LSUV'}"
    current = {"network.norm": f"{norm}_current"}
    return published(name, googlenet_bn(position, norm) | method, current, summary, TEST_BATCH_NOTE)


STUDY = Study(
    name="bn_init",
    question="Does initialisation matter with batch normalisation?",
    paper="Mishkin et al. 2017, repository",
    finding="Hardly for CaffeNet; GoogLeNet does best with LSUV and no normalisation.",
    baseline="caffenet_nobn",
    variants=(
        Variant("caffenet_nobn", net("caffenet") | {"network.norm": "none"}, "LSUV, no normalisation"),
        Variant("caffenet_before_scale_bias_lsuv", _BEFORE, "LSUV; normalisation before, with scale and bias"),
        *published(
            "caffenet_before_scale_bias_ortho",
            _BEFORE | _ORTHO,
            SCALED_NO_BIAS,
            "orthonormal; normalisation before, with scale and bias",
            "Caffe's later scale layer; only the classifier has a bias",
        ),
        Variant("caffenet_after_lsuv", BN, "LSUV; normalisation after, no scale and bias"),
        Variant("caffenet_after_ortho", BN | _ORTHO, "orthonormal; normalisation after, no scale and bias"),
        Variant("googlenet_nobn", GOOGLENET, "GoogLeNet; LSUV, no normalisation"),
        *_googlenet("before", "batch_affine", "lsuv", "with scale and bias"),
        *_googlenet("before", "batch_affine", "ortho", "with scale and bias"),
        *_googlenet("after", "batch", "lsuv", "no scale and bias"),
        *_googlenet("after", "batch", "ortho", "no scale and bias"),
        Variant("googlenet_lim0606", GOOGLENET_LIM0606, "Inception with batch normalisation; batch 128"),
    ),
)
