"""Which classifier design, with ELU?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on classifier design.
Published finding: a classifier at every place with averaged logits: 51.1 against 48.8 of fully connected layers.
Cost: 5 trials a seed of 64 epochs.

pool5, 3x3 convolution of 2048 with a border, ELU, dropout, 1x1 convolution of 2048, ELU, dropout; then the classifier
as a 1x1 convolution. "pool5 zero pad" in the authors' text is the border of that 3x3 convolution. Averaging right after
the first ELU, as pool5_c3_avepool_fc_clf does, puts its dropout on the averages: chosen here.
"""

from __future__ import annotations

from raysweep.study import Study, Variant
from search_spaces._shared import act

_ELU = act("elu")

STUDY = Study(
    name="classifier_elu",
    question="Which classifier design, with ELU?",
    paper="Mishkin et al. 2017, classifier design",
    finding="Average the predictions, not the features: logits averaged over the map gain most.",
    baseline="pool5_fc_fc_clf",
    variants=(
        Variant("pool5_fc_fc_clf", _ELU, "pooling, two fully connected layers"),
        Variant("pool5_c3_avepool_fc_clf", _ELU | {"network.head": "c3_avepool_fc"}, "average after the convolution"),
        Variant("pool5_c3_c1_clf_avepool", _ELU | {"network.head": "c3_c1_clf_avepool"}, "average of the logits"),
        Variant("pool5_c3_c1_avepool_clf", _ELU | {"network.head": "c3_c1_avepool_clf"}, "average, then classifier"),
        Variant(
            "pool5_c3_c1_clf_avemaxpool",
            _ELU | {"network.head": "c3_c1_clf_avemaxpool"},
            "sum of average and maximum of the logits",
        ),
    ),
)
