"""Does batch normalisation hide that labels are wrong?

Paper: none; the remark that batch normalisation hides problems is older than any number for it.
Published finding: none. The case: a network of 26 outputs was trained on 28 classes, and its curves looked well.
Cost: 4 trials per seed of the protocol's length.

raysweep refuses a network with fewer outputs than classes, so what is trained here is what such a mistake leaves: the
images of two classes of 28, a share of 1 / 14, have labels that cannot be right. Here they are spread over all
classes, drawn once; test labels are right. Compare the curves of `wrong_labels` and `norm_wrong_labels` with those of
right labels: does the loss still tell them apart?
"""

from __future__ import annotations

from raysweep.search_spaces._shared import BN
from raysweep.study import Study, Variant

WRONG = {"data.label_noise": 0.0714}
PLAIN = {"network.norm": "none", "network.conv_bias": True}

STUDY = Study(
    name="batchnorm_wrong_labels",
    question="Does batch normalisation hide that labels are wrong?",
    paper="none: a remark without numbers",
    finding="None is published.",
    baseline="plain",
    variants=(
        Variant("plain", PLAIN, "no normalisation, right labels"),
        Variant("wrong_labels", PLAIN | WRONG, "no normalisation, 1 of 14 labels wrong"),
        Variant("norm", BN, "batch normalisation after the non-linearity, right labels"),
        Variant("norm_wrong_labels", BN | WRONG, "batch normalisation after the non-linearity, 1 of 14 labels wrong"),
    ),
)
