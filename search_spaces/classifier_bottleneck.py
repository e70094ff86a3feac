"""Does a bottleneck before the classifier hurt?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a table in their repository.
Published finding: yes: 48.9 with 512 units before the classifier against 50.8 with 2048.
Cost: 3 trials per seed of 64 epochs.

The network has ELU and averages before the classifier; the table repeats the number of that form. That the narrow forms
are based on the same network is inferred from this.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import act, fc_widths, head
from raysweep.study import Study, Variant

_BASE = act("elu") | head("c3_c1_avepool_clf")

STUDY = Study(
    name="classifier_bottleneck",
    question="Does a bottleneck before the classifier hurt?",
    paper="Mishkin et al. 2017, repository",
    finding="Yes, by two points.",
    baseline="fc7_2048",
    variants=(
        Variant("fc7_2048", _BASE, "2048 units before the classifier"),
        Variant("fc7_512", _BASE | fc_widths(2048, 512), "512 units before the classifier"),
        Variant("fc7_2048_fc7a_512", _BASE | head("c3_c1_c512_avepool_clf"), "2048, then 512 units"),
    ),
)
