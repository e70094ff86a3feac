"""Is training long enough to ask anything?

Paper: none; the answers are known for natural images. A study of which these come out wrong ranks who learns fastest.
Published finding: none; a quarter of the images and wrong labels cost accuracy in Mishkin et al. 2017 too.
Cost: 5 trials per seed of the protocol's length.

Every variant must be worse than the baseline: fewer images and wrong labels cost accuracy (Mishkin et al. 2017, data
set size and noisy data), and so do half the width and no non-linearity. `raysweep decide` asks them before a study.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import act
from raysweep.study import Study, Times, Variant

STUDY = Study(
    name="controls",
    question="Is training long enough to ask anything?",
    paper="none: known answers",
    finding="Each variant is worse than the baseline once training is long enough.",
    baseline="baseline",
    variants=(
        Variant("baseline", {}, "the protocol"),
        Variant(
            "quarter_of_images",
            {"data.train_fraction": Times(0.25), "training.epochs": Times(4.0)},
            "a quarter of the images for the same number of updates",
        ),
        Variant("wrong_labels", {"data.label_noise": 0.3}, "30 % wrong labels"),
        Variant("half_width", {"network.width": Times(0.5)}, "half the width"),
        Variant("no_nonlinearity", act("linear"), "no non-linearity"),
    ),
)
