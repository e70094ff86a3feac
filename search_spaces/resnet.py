"""Do residual networks pay at 128 px?

Paper: the repository of Mishkin, Sergievskiy & Matas (contributions by others).
Published finding: 63.2 for a VGG-like ResNet of ResNets of 50 layers, 61.9 and 63.4 for GoogLeNet without and with
skips; thin or badly strided ones are far below.
Cost: 21 trials a seed of 40 to 64 epochs.

Networks but GoogLeNet are reconstructions from their names: see their lines in `raysweep list networks`. Contributors
had rates of their own, not established; here the protocol's, the images scaled as everywhere. Runs that were stopped
(thinresnet101_bn_relu at 225,000 updates, thinresnet101_nobn_relu at 251,000, resnet56 at 220,000, dere_resnet45 at
120,000) are here to be trained to the end. thinresnet101_nobn_relu_lr005 had a rate of 0.05 for its first 25,000
updates, which no schedule here has: it is the run on crops of 128 px. The two numbers of ror and ror_var look swapped:
the log of ror_var ends at the one printed for ror.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from raysweep.study import Study, Times, Variant
from search_spaces._shared import GOOGLENET, GOOGLENET_RES, LINEAR, act, net, updates

_NO_BN = {"network.norm": "none", "network.conv_bias": True}
_THIN_ELU = net("thinresnet101") | _NO_BN | act("elu")
_DOUBLE_STRIDE = {"network.stem_stride": Times(2)}
_DOUBLE_STRIDE_NOTE = "the first layer strides twice as far, by mistake"


def _crop(side: int) -> dict[str, Any]:
    return {"data.side": Times(side / 128, at_most="data.short_side")}


def _ror(name: str, network: str, words: str) -> Iterator[Variant]:
    yield Variant(name, net(network) | updates(200), words, as_published="200,000 updates, so 40 epochs")
    yield Variant(f"{name}_clean", net(network), f"{words}, all epochs")


def _double_stride(name: str, patch: dict[str, Any], words: str) -> Iterator[Variant]:
    yield Variant(name, patch | _DOUBLE_STRIDE, words, as_published=_DOUBLE_STRIDE_NOTE)
    yield Variant(f"{name}_clean", patch, f"{words}, its own stride")


STUDY = Study(
    name="resnet",
    question="Do residual networks pay at 128 px?",
    paper="Mishkin et al. 2017, repository",
    finding="A GoogLeNet with skips is as good as the best of them.",
    baseline="googlenet128_ref",
    variants=(
        Variant("googlenet128_ref", GOOGLENET, "GoogLeNet"),
        Variant("googlenet128_res_ref", GOOGLENET_RES, "GoogLeNet with skips around its inception modules"),
        Variant(
            "resnet50_elu_2xthin",
            net("resnet50") | act("elu") | {"network.width": 0.5} | _crop(136),
            "ResNet-50 half as wide, with ELU, crops of 136 px",
        ),
        *_ror("ror", "vgglike50_ror", "ResNet of ResNets of 50 layers"),
        *_ror("ror_var", "vgglike50_ror_var", "the same without the skip around all stages"),
        *_ror("ror_1x3", "vgglike50_ror_1x3", "the same with 1x3 and 3x1 for 3x3"),
        *_ror("ror_1x5", "vgglike50_ror_1x5", "the same with 1x5 and 5x1 for 3x3"),
        Variant("thinresnet101_bn_relu", net("thinresnet101"), "ResNet-101 half as wide"),
        Variant("thinresnet101_nobn_relu", net("thinresnet101") | _NO_BN | _crop(120), "no normalisation, 120 px"),
        Variant("thinresnet101_nobn_relu_lr005", net("thinresnet101") | _NO_BN, "no normalisation, 128 px"),
        Variant(
            "thinresnet101_nobn_elu_linear",
            _THIN_ELU | {"schedule.name": "poly", "schedule.power": 2.0},
            "no normalisation, ELU, a straight line to zero",
            as_published="a parabola to zero",
        ),
        Variant("thinresnet101_nobn_elu_linear_clean", _THIN_ELU | LINEAR, "no normalisation, ELU, a straight line"),
        Variant("resnet56_bn", net("resnet56"), "56 layers"),
        *_double_stride("resnet56_nobn_elu", net("resnet56") | _NO_BN | act("elu"), "56 layers, ELU, no normalisation"),
        *_double_stride("dere_resnet45", net("resnet45"), "45 convolutions"),
    ),
)
