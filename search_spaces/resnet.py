"""Do residual networks pay at 128 px?

Paper: the repository of Mishkin, Sergievskiy & Matas (contributions by others).
Published finding: 63.2 for a VGG-like ResNet of ResNets of 50 layers; 61.9 and 63.4 for GoogLeNet without and with
skips; thin networks and those with a wrong stride are far worse.
Cost: 21 trials per seed of 40 to 64 epochs.

All networks but GoogLeNet are reconstructed from their names, see `raysweep list networks`. The contributors' rates are
not documented; here the protocol's are used and images are scaled as everywhere. The published runs that were stopped
(thinresnet101_bn_relu at 225,000 updates, thinresnet101_nobn_relu at 251,000, resnet56 at 220,000, dere_resnet45 at
120,000) are trained to the end here. thinresnet101_nobn_relu_lr005 had a rate of 0.05 for its first 25,000 updates,
which no schedule here reproduces: it is included as the run on crops of 128 px. The numbers of ror and ror_var seem
swapped: the log of ror_var ends at the number printed for ror.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import GOOGLENET, GOOGLENET_RES, LINEAR, Patch, act, net, published, updates
from raysweep.study import Study, Times, Variant

_NO_BN = {"network.norm": "none", "network.conv_bias": True}
_THIN_ELU = net("thinresnet101") | _NO_BN | act("elu")


def _crop(side: int) -> Patch:
    return {"data.side": Times(side / 128, at_most="data.short_side")}


def _ror(name: str, network: str, summary: str) -> tuple[Variant, Variant]:
    return published(name, net(network), updates(200), summary, "200,000 updates, so 40 epochs")


def _double_stride(name: str, described: Patch, summary: str) -> tuple[Variant, Variant]:
    stride = {"network.stem_stride": Times(2)}
    return published(name, described, stride, summary, "the stride of the first layer is doubled, by mistake")


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
            "ResNet-50 at half the width with ELU, crops of 136 px",
        ),
        *_ror("ror", "vgglike50_ror", "ResNet of ResNets of 50 layers"),
        *_ror("ror_var", "vgglike50_ror_var", "the same without the skip around all stages"),
        *_ror("ror_1x3", "vgglike50_ror_1x3", "the same with 1x3 and 3x1 instead of 3x3"),
        *_ror("ror_1x5", "vgglike50_ror_1x5", "the same with 1x5 and 5x1 instead of 3x3"),
        Variant("thinresnet101_bn_relu", net("thinresnet101"), "ResNet-101 at half the width"),
        Variant("thinresnet101_nobn_relu", net("thinresnet101") | _NO_BN | _crop(120), "no normalisation, 120 px"),
        Variant("thinresnet101_nobn_relu_lr005", net("thinresnet101") | _NO_BN, "no normalisation, 128 px"),
        *published(
            "thinresnet101_nobn_elu_linear",
            _THIN_ELU | LINEAR,
            {"schedule.name": "poly", "schedule.power": 2.0},
            "no normalisation, ELU, linear decay to zero",
            "quadratic decay to zero",
        ),
        Variant("resnet56_bn", net("resnet56"), "56 layers"),
        *_double_stride("resnet56_nobn_elu", net("resnet56") | _NO_BN | act("elu"), "56 layers, ELU, no normalisation"),
        *_double_stride("dere_resnet45", net("resnet45"), "45 convolutions"),
    ),
)
