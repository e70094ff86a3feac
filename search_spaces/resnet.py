"""Do residual networks pay at 128 px?

Paper: the repository of Mishkin, Sergievskiy & Matas (contributions by others).
Published finding: 63.2 for a VGG-like ResNet of ResNets of 50 layers; 61.9 and 63.4 for GoogLeNet without and with
skips; thin networks and those with a wrong stride are far worse.
Cost: 25 trials per seed of 40 to 64 epochs.

The networks are those of the published files. The contributors' rates are not documented; here the protocol's are used,
and images are scaled as everywhere except in the published form of dere_resnet45, whose file does not scale them. The
published runs that were stopped (thinresnet101_bn_relu at 225,000 updates, thinresnet101_nobn_relu at 251,000,
resnet56_bn and resnet56_nobn_elu at 220,000, dere_resnet45 at 120,000) are trained to the end here.
thinresnet101_nobn_relu_lr005 had a rate of 0.05 for its first 25,000 updates, which no schedule here reproduces: it is
included as the run on crops of 128 px. The numbers of ror and ror_var seem swapped: the log of ror_var ends at the
number printed for ror. resnet56_bn_after and resnet56_bn_in_place have no published number.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import GOOGLENET, GOOGLENET_RES, LINEAR, Patch, act, net, published, updates
from raysweep.study import Study, Times, Variant

_NO_BN = {"network.norm": "none"}
_THIN, _THIN_BN = net("thinresnet101_nobn"), net("thinresnet101_bn")
_RESNET_56, _RESNET_56_STRIDED = net("resnet56_128"), net("resnet56_128_strided")
_DOUBLE_STRIDE = "the first stage strides too, by mistake"


def _crop(side: int) -> Patch:
    return {"data.side": Times(side / 128, at_most="data.short_side")}


def _ror(name: str, summary: str) -> tuple[Variant, Variant]:
    return published(name, net(name), updates(200), summary, "200,000 updates, so 40 epochs")


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
            net("resnet50_2xthin") | act("elu") | _crop(136),
            "ResNet-50 of about half the width with ELU, no normalisation, crops of 136 px",
        ),
        *_ror("ror", "ResNet of ResNets of 16 bottlenecks"),
        *_ror("ror_var", "the same, some bottlenecks with two 3x3, 1x5 and 5x1, or 1x3 and 3x1"),
        *_ror("ror_1x3", "the same, every second bottleneck with 1x3 and 3x1"),
        *_ror("ror_1x5", "the same, every second bottleneck with 1x5 and 5x1 instead of 3x3"),
        Variant("thinresnet101_bn_relu", _THIN_BN, "thin ResNet-101"),
        Variant("thinresnet101_nobn_relu", _THIN | _crop(120), "thinner, no normalisation, 120 px"),
        Variant("thinresnet101_nobn_relu_lr005", _THIN, "thinner, no normalisation, 128 px"),
        *published(
            "thinresnet101_nobn_elu_linear",
            _THIN | act("elu") | LINEAR,
            {"schedule.name": "poly", "schedule.power": 2.0},
            "thinner, no normalisation, ELU, linear decay to zero",
            "quadratic decay to zero",
        ),
        Variant("resnet56_bn", _RESNET_56, "50 layers and 3 convolutions in front of stages"),
        *published(
            "resnet56_bn_after",
            _RESNET_56 | {"network.norm_position": "after", "network.pool_pad": 0},
            _RESNET_56_STRIDED | {"network.norm_position": "after"},
            "the same, normalised after the non-linearity",
            _DOUBLE_STRIDE,
        ),
        *published(
            "resnet56_bn_in_place",
            _RESNET_56 | {"network.pool_pad": 0},
            _RESNET_56_STRIDED,
            "the same, no border before the first pooling",
            _DOUBLE_STRIDE,
        ),
        *published(
            "resnet56_nobn_elu",
            _RESNET_56 | _NO_BN | act("elu"),
            net("resnet56_128_elu") | _NO_BN | act("elu"),
            "the same with ELU, no normalisation",
            _DOUBLE_STRIDE,
        ),
        *published(
            "dere_resnet45",
            net("resnet45_128"),
            net("resnet45_128_strided") | {"data.scale": 1.0},
            "45 layers, 3 of them in front of stages",
            f"{_DOUBLE_STRIDE}, and images are not scaled",
        ),
    ),
)
