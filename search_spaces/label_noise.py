"""What do wrong labels cost?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on noisy data.
Published finding: 5 % wrong labels cost 1.3 points, 15 % 3.4, 50 % 12.4: less than as many missing images.
Cost: 6 trials per seed of 64 epochs.

Only training labels are changed, to one of the other classes with equal probability, once for each image and seed.
Labels wrong at 5 % are wrong at 10 % too. Not documented: how the authors drew theirs. Their slides list 32 % instead
of 50 %, without a number.
"""

from __future__ import annotations

from raysweep.study import Study, Variant

STUDY = Study(
    name="label_noise",
    question="What do wrong labels cost?",
    paper="Mishkin et al. 2017, noisy data",
    finding="About a quarter of a point per percent of wrong labels.",
    baseline="p00",
    variants=(
        Variant("p00", {"data.label_noise": 0.0}, "all labels right"),
        *(
            Variant(f"p{percent:02}", {"data.label_noise": percent / 100}, f"{percent} % wrong labels")
            for percent in (5, 10, 15, 32, 50)
        ),
    ),
)
