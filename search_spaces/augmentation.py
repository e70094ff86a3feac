"""Which augmentation?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a table in their repository.
Published finding: nothing tried is better than crop and mirror (47.1): multiscale gives 46.2, rotation 44.8.
Cost: 4 trials per seed of 64 epochs.

Multiscale draws the short side: 144, 256, 188 or 130 px with probabilities 0.5, 0.2, 0.2, 0.1. It needs images stored
at 256 px; test images are reduced to 144 px. Rotation is by 0 to 5 degrees; its direction is not documented (here one
only). The published file of rotation mirrors test images at random; here they are never mirrored. The number published
for input_dropout01 was taken at 186,000 updates.
"""

from __future__ import annotations

from raysweep.study import Study, Times, Variant

_SIDES = (144,) * 5 + (256,) * 2 + (188,) * 2 + (130,)

STUDY = Study(
    name="augmentation",
    question="Which augmentation?",
    paper="Mishkin et al. 2017, repository",
    finding="For this network, crop and mirror are enough.",
    baseline="crop_flip",
    variants=(
        Variant("crop_flip", {}, "random crop and mirror"),
        Variant("input_dropout01", {"network.input_dropout": 0.1}, "dropout of a tenth of the input values"),
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
