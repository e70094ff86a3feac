"""Do skips help a VGG without batch normalisation?

Paper: the repository of Mishkin, Sergievskiy & Matas.
Published finding: yes, 57.6 against 52.1; dropout of 0.2 in the convolutions costs one point again (56.8).
Cost: 4 trials per seed of 64 to 128 epochs.

The networks are those of the published files: a strided 7x7 first layer, then VGG-16's stages, 96 to 512 wide; 1x1
projections carry the input of a stage to the ends of up to three stages. Not documented: the solver; here the
protocol's.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import net, published
from raysweep.study import Study, Times, Variant

_DROP = (0.2, 0.0, *(0.2, 0.0, 0.0) * 3)

STUDY = Study(
    name="vgglike",
    question="Do skips help a VGG without batch normalisation?",
    paper="Mishkin et al. 2017, repository",
    finding="Yes; dropout after its convolutions does not.",
    baseline="vgglike",
    variants=(
        Variant("vgglike", net("vgglike128"), "VGG's stages after a 7x7 first layer"),
        Variant("vgglike_res", net("vgglike128_res"), "projected skips over up to three stages"),
        *published(
            "vgglike_res_drop",
            net("vgglike128_res") | {"network.conv_dropout": _DROP, "network.dropout": 0.33},
            {"training.batch_size": Times(2), "training.epochs": Times(2)},
            "the same, dropout of 0.2 after the first convolution of each stage",
            "batch 512 for the same number of updates, so twice the epochs",
        ),
    ),
)
