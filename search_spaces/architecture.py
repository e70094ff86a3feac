"""Which architecture?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a table of their repository.
Published finding: VGG-16 (65.1) and residual GoogLeNet (63.8) are far above CaffeNet (47.1) at 128 px.
Cost: 8 trials a seed of 64 epochs.

The forms of CaffeNet; the other networks of the table are not built yet.
"""

from __future__ import annotations

from raysweep.study import Study, Variant
from search_spaces._shared import (
    FC4096_LRN_224,
    FC4096_LRN_224_NOTE,
    HALF_BATCH_SAME_UPDATES,
    HALF_EPOCHS_NOTE,
    fc_widths,
    sides,
)

_CONV_DROPOUT = {"network.conv_dropout": (0.0, 0.1, 0.1, 0.2, 0.0)}

STUDY = Study(
    name="architecture",
    question="Which architecture?",
    paper="Mishkin et al. 2017, repository",
    finding="Of CaffeNet's forms, wider hidden layers gain most at 128 px, and larger images.",
    baseline="caffenet128",
    variants=(
        Variant("caffenet128", {"network.name": "caffenet"}, "the baseline"),
        Variant("caffenet128_fc4096", fc_widths(4096), "hidden layers of 4096"),
        Variant("caffenet128_nogroup", {"network.groups": False}, "no groups in convolutions"),
        Variant("caffenet128_spp3", {"network.head": "spp3_fc"}, "pyramid pooling of 1x1, 2x2 and 4x4 bins"),
        Variant(
            "caffenet128_conv_dropout",
            _CONV_DROPOUT | HALF_BATCH_SAME_UPDATES,
            "dropout of 0.1, 0.1 and 0.2 after conv2, conv3 and conv4",
            as_published=HALF_EPOCHS_NOTE,
        ),
        Variant("caffenet128_conv_dropout_clean", _CONV_DROPOUT, "the same dropout, all epochs"),
        Variant("caffenet256", FC4096_LRN_224, "CaffeNet at 227 px", as_published=FC4096_LRN_224_NOTE),
        Variant("caffenet256_clean", sides(227, 256) | fc_widths(4096), "227 px, fc 4096, no LRN, full length"),
    ),
)
