"""Does the border of convolutions matter?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a slide of the authors' talk.
Published finding: without borders 41.1 against 47.0; but that run had half the epochs.
Cost: 3 trials a seed of 32 to 64 epochs.

Without borders the stride of conv1 is halved, as in the published file, else no map would be left. Where it is 1
already, pool1 gives up its stride instead.
"""

from __future__ import annotations

from raysweep.study import Study, Variant
from search_spaces._shared import HALF_BATCH_SAME_UPDATES, HALF_EPOCHS_NOTE

_NO_PADDING = {"network.conv_pad": False}

STUDY = Study(
    name="padding",
    question="Does the border of convolutions matter?",
    paper="Mishkin et al. 2017, padding",
    finding="Yes, as far as a run of half the epochs can say.",
    baseline="conv_padding",
    variants=(
        Variant("conv_padding", {"network.conv_pad": True}, "borders that keep the size of the map"),
        Variant(
            "no_conv_padding",
            _NO_PADDING | HALF_BATCH_SAME_UPDATES,
            "no borders, first stride halved",
            as_published=HALF_EPOCHS_NOTE,
        ),
        Variant("no_conv_padding_clean", _NO_PADDING, "no borders, first stride halved, all epochs"),
    ),
)
