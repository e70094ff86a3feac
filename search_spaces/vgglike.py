"""Do skips help a VGG without batch normalisation?

Paper: the repository of Mishkin, Sergievskiy & Matas.
Published finding: yes, 57.6 against 52.1; dropout of 0.2 after the convolutions costs one point again (56.8).
Cost: 4 trials per seed of 64 to 128 epochs.

The networks are reconstructions: a strided 7x7 first layer, then VGG-16's stages at half the width, and skips with a
1x1 projection around every convolution. Not documented: the solver; here the protocol's.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import net, published
from raysweep.study import Study, Times, Variant

STUDY = Study(
    name="vgglike",
    question="Do skips help a VGG without batch normalisation?",
    paper="Mishkin et al. 2017, repository",
    finding="Yes; dropout after its convolutions does not.",
    baseline="vgglike",
    variants=(
        Variant("vgglike", net("vgglike"), "half of VGG's widths, a 7x7 first layer"),
        Variant("vgglike_res", net("vgglike_res"), "a projected skip around every convolution"),
        *published(
            "vgglike_res_drop",
            net("vgglike_res") | {"network.conv_dropout": (0.2,) * 11},
            {"training.batch_size": Times(2), "training.epochs": Times(2)},
            "the same, dropout of 0.2 after every convolution",
            "batch 512 for the same number of updates, so twice the epochs",
        ),
    ),
)
