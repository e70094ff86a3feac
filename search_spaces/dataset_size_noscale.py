"""What does an unscaled input cost, at several sizes of the data set?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a table in their repository.
Published finding: three to five points without the factor 0.04, that is, with an input variance far from 1.
Cost: 7 trials per seed of 320,000 updates each.

Subsets are those of dataset_size.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import images
from raysweep.study import Study, Variant

_UNSCALED = {"data.scale": 1.0}

STUDY = Study(
    name="dataset_size_noscale",
    question="What does an unscaled input cost?",
    paper="Mishkin et al. 2017, repository",
    finding="Three to five points: scale the input to about unit variance.",
    baseline="n800k_scaled",
    variants=(
        Variant("n800k_scaled", images(800), "62% of the images"),
        Variant("n600k_scaled", images(600), "47% of the images"),
        Variant("n600k_noscale", images(600) | _UNSCALED, "47% of the images, input not scaled"),
        Variant("n400k_scaled", images(400), "31% of the images"),
        Variant("n400k_noscale", images(400) | _UNSCALED, "31% of the images, input not scaled"),
        Variant("n200k_scaled", images(200), "16% of the images"),
        Variant("n200k_noscale", images(200) | _UNSCALED, "16% of the images, input not scaled"),
    ),
)
