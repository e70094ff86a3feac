"""Does the padding of convolutions matter?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a slide of the authors' talk.
Published finding: 41.1 without padding against 47.0 with it, but that run had half the epochs.
Cost: 3 trials per seed of 32 to 64 epochs.

Without padding the stride of conv1 is halved, as in the published file, since otherwise no map would be left. If that
stride is already 1, pool1 has stride 1 instead.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import HALF_BATCH_SAME_UPDATES, HALF_EPOCHS_NOTE, published
from raysweep.study import Study, Variant

STUDY = Study(
    name="padding",
    question="Does the padding of convolutions matter?",
    paper="Mishkin et al. 2017, padding",
    finding="Yes, as far as a run with half the epochs can show.",
    baseline="conv_padding",
    variants=(
        Variant("conv_padding", {"network.conv_pad": True}, "padding that keeps the size of the map"),
        *published(
            "no_conv_padding",
            {"network.conv_pad": False},
            HALF_BATCH_SAME_UPDATES,
            "no padding, first stride halved",
            HALF_EPOCHS_NOTE,
        ),
    ),
)
