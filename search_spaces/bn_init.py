"""Does initialisation matter with batch normalisation?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a table of their repository.
Published finding: hardly: 47.8 (LSUV) and 48.2 (orthonormal) before, 49.9 and 50.0 after the non-linearity; GoogLeNet
loses by normalisation with either, 61.9 against 58.4 to 60.7.
Cost: 16 trials a seed of 64 epochs.

The `ortho` rows have orthonormal weights without scaling to unit variance. Not established: whether the file of
`caffenet_after_ortho` keeps the biases; here it does, as that of `caffenet_after_lsuv`. GoogLeNet here has its two
auxiliary heads, and their layers are normalised as all others; the normalised runs of the authors used the statistics
of the batch at test (`_clean`: running averages), and one of the two `before` files a single scale and bias a layer
(here one a channel). lim0606 is another network, see `raysweep list networks`; how its rate falls is not established
(here in a straight line).
"""

from __future__ import annotations

from collections.abc import Iterator

from raysweep.study import Study, Variant
from search_spaces._shared import BN, GOOGLENET, GOOGLENET_LIM0606, TEST_BATCH_NOTE, googlenet_bn

_BEFORE = {"network.norm": "batch_affine", "network.norm_position": "before"}
_ORTHO = {"init.method": "orthonormal"}


def _googlenet(position: str, norm: str, init: str, words: str) -> Iterator[Variant]:
    name = f"googlenet_{position}{'_scale_bias' if 'affine' in norm else ''}_{init}"
    method = _ORTHO if init == "ortho" else {}
    summary = f"GoogLeNet; normalisation {position}, {words}; {'orthonormal' if method else 'LSUV'}"
    yield Variant(name, googlenet_bn(position, f"{norm}_current") | method, summary, as_published=TEST_BATCH_NOTE)
    yield Variant(f"{name}_clean", googlenet_bn(position, norm) | method, f"{summary}; running averages at test")


STUDY = Study(
    name="bn_init",
    question="Does initialisation matter with batch normalisation?",
    paper="Mishkin et al. 2017, repository",
    finding="Hardly, in CaffeNet; GoogLeNet does best with LSUV and no normalisation.",
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
        Variant("googlenet_nobn", GOOGLENET, "GoogLeNet; LSUV, no normalisation"),
        *_googlenet("before", "batch_affine", "lsuv", "with scale and bias"),
        *_googlenet("before", "batch_affine", "ortho", "with scale and bias"),
        *_googlenet("after", "batch", "lsuv", "no scale and bias"),
        *_googlenet("after", "batch", "ortho", "no scale and bias"),
        Variant("googlenet_lim0606", GOOGLENET_LIM0606, "GoogLeNet with two 3x3 for each 5x5, normalised; batch 128"),
    ),
)
