"""How many training images are needed?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on data set size.
Published finding: accuracy falls with the logarithm of their number: 47.1 with all images, 42.5 with half of them, 30.5
with a sixth.
Cost: 5 trials per seed of 320,000 updates each.

Sizes are shares of the training split, the same share of every class; a smaller set is part of a larger one. Not
documented: how the authors drew their subsets, and whether the number of updates was constant. Here it is, since their
other files leave the solver unchanged, so small sets are seen more often.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import images
from raysweep.study import Study, Variant

STUDY = Study(
    name="dataset_size",
    question="How many training images are needed?",
    paper="Mishkin et al. 2017, data set size",
    finding="Each halving of the data costs about five points, more for small sets.",
    baseline="n1200k",
    variants=(
        Variant("n1200k", {}, "all images"),
        *(Variant(f"n{size}k", images(size), f"{size / 1281.167:.0%} of the images") for size in (800, 600, 400, 200)),
    ),
)
