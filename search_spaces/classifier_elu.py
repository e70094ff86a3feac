"""Which classifier design, with ELU?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on classifier design.
Published finding: a classifier at every position with averaged logits: 51.1 against 48.8 with fully connected layers.
Cost: 5 trials per seed of 64 epochs.

The layers are pool5, 3x3 convolution of 2048 with a border ("pool5 zero pad" in the authors' text), ELU, dropout, 1x1
convolution of 2048, ELU, dropout, and the classifier as a 1x1 convolution. pool5_c3_avepool_fc_clf averages right after
the first ELU; here its dropout then applies to the averages, which is our choice.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import act, head
from raysweep.study import Study, Variant

_ELU = act("elu")

STUDY = Study(
    name="classifier_elu",
    question="Which classifier design, with ELU?",
    paper="Mishkin et al. 2017, classifier design",
    finding="Average the predictions, not the features: averaged logits gain most.",
    baseline="pool5_fc_fc_clf",
    variants=(
        Variant("pool5_fc_fc_clf", _ELU, "pooling, two fully connected layers"),
        Variant("pool5_c3_avepool_fc_clf", _ELU | head("c3_avepool_fc"), "average after the convolution"),
        Variant("pool5_c3_c1_clf_avepool", _ELU | head("c3_c1_clf_avepool"), "average of the logits"),
        Variant("pool5_c3_c1_avepool_clf", _ELU | head("c3_c1_avepool_clf"), "average, then classifier"),
        Variant("pool5_c3_c1_clf_avemaxpool", _ELU | head("c3_c1_clf_avemaxpool"), "average plus maximum of logits"),
    ),
)
