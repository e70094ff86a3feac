"""Which classifier design?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on classifier design.
Published finding: convolutions with averaged logits instead of fully connected layers: 49.4 against 47.0.
Cost: 11 trials per seed of 64 epochs.

Not documented: the files of the 3x3-1x1 forms of this table (here as those with ELU, see classifier_elu); whether
`pool5_c3_c1_avepool_clf` has pool5, as its name says, or not, as its comment says (here conv5_c3_c1_avepool_clf); spp2,
described as 2x2 and 1x1 bins; whether the 512-1024-1536 forms keep pool5 (here they do). The single convolution of the
slides, pool5_c3_clf_avepool, has neither file nor number.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import fc_widths, head, published
from raysweep.study import Study, Variant

STUDY = Study(
    name="classifier",
    question="Which classifier design?",
    paper="Mishkin et al. 2017, classifier design",
    finding="At equal width, convolutions with averaged predictions gain most.",
    baseline="pool5_fc_fc_clf",
    variants=(
        Variant("pool5_fc_fc_clf", head("fc"), "pooling, two fully connected layers of 2048"),
        Variant("pool5_fc4096_fc4096_clf", fc_widths(4096), "pooling, two fully connected layers of 4096"),
        Variant("spp2_fc_fc_clf", head("spp2_fc"), "pyramid of 1x1 and 2x2 bins, two fully connected layers"),
        *published(
            "spp3_fc_fc_clf",
            head("spp321_fc"),
            head("spp3_fc"),
            "pyramid of three levels, two fully connected layers",
            "bins of 1x1, 2x2 and 4x4; the text says 1x1, 2x2 and 3x3",
        ),
        Variant("conv5_c3_c1_clf_avepool", head("conv5_c3_c1_clf_avepool"), "no pool5; logits averaged"),
        Variant("conv5_c3_c1_avepool_clf", head("conv5_c3_c1_avepool_clf"), "no pool5; average, then classifier"),
        Variant("pool5_c3_c1_avepool_clf", head("c3_c1_avepool_clf"), "pool5; average, then classifier"),
        Variant("pool5_c3_clf_avepool", head("c3_clf_avepool"), "pool5, a single convolution; logits averaged"),
        Variant(
            "c512_c1024_c1536_clf_avepool",
            head("c512_c1024_c1536_clf_avepool") | {"network.dropout": 0.2},
            "convolutions of 512, 1024, 1536, dropout 0.2 before the classifier; logits averaged",
        ),
        Variant(
            "c512_c1024_c1536_drop_clf_avepool",
            head("c512_c1024_c1536_drop_clf_avepool"),
            "the same with dropout 0.3 after the 1024 and 0.5 before the classifier",
        ),
    ),
)
