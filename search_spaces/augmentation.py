"""Which augmentation?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a table of their repository.
Published finding: none of those tried is better than crop and mirror (47.1): multiscale 46.2, rotation 44.8.
Cost: 4 trials a seed of 64 epochs.

Multiscale draws the short side, 144, 256, 188 or 130 px with chances 0.5, 0.2, 0.2, 0.1, so it needs images stored at
256 px; the test images are reduced to 144 px. Rotation is 0 to 5 degrees. Not established: its direction (one, here).
The published file of rotation mirrors test images at random; here tests are never mirrored. input_dropout01 was
published at 186,000 updates.
"""

from __future__ import annotations

from raysweep.study import Study, Times, Variant

_SIDES = (144,) * 5 + (256,) * 2 + (188,) * 2 + (130,)

STUDY = Study(
    name="augmentation",
    question="Which augmentation?",
    paper="Mishkin et al. 2017, repository",
    finding="Crop and mirror are enough for this network.",
    baseline="crop_flip",
    variants=(
        Variant("crop_flip", {}, "random crop and mirror"),
        Variant("input_dropout01", {"network.input_dropout": 0.1}, "a tenth of the input values dropped"),
        Variant(
            "multiscale",
            {
                "data.short_side": Times(256 / 144),
                "data.scales": tuple(side / 256 for side in _SIDES),
                "data.test_scale": 144 / 256,
            },
            "random short side of 0.9 to 1.8 times the baseline's",
        ),
        Variant("rotation5", {"data.rotation": 5.0}, "random rotation by 0 to 5 degrees"),
    ),
)
