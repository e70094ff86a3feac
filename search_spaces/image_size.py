"""How large should images be?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on input image size.
Published finding: accuracy grows with the logarithm of the size: 30.9 at 64 px, 47.1 at 128 px, 52.1 at 180 px.
Cost: 8 trials per seed of 64 epochs; the cost grows with the square of the side.

The convolutions are unchanged, so the map before fc6, and fc6 itself, grow with the image. Every size but the
baseline's needs its own images, stored at the short side that the authors used: 80, 110, 144, 205, 256, 341 px for
crops of 64, 96, 128, 180, 224, 299 px; `raysweep plan` prints the commands that write them. Not documented: the first
layer of the head of s300 (here a 3x3 convolution). The numbers of s300 and s224 were taken at 115,000 and 305,000
updates.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import FC4096_LRN_224, FC4096_LRN_224_NOTE, fc_widths, head, published, sides
from raysweep.study import Study, Variant

STUDY = Study(
    name="image_size",
    question="How large should images be?",
    paper="Mishkin et al. 2017, input image size",
    finding="The larger the better, at a cost that grows with the square.",
    baseline="s128",
    variants=(
        Variant("s64", sides(64, 80), "half the side"),
        Variant("s96", sides(96, 110), "three quarters of the side"),
        Variant("s128", {}, "the baseline's side"),
        Variant("s180", sides(180, 205), "1.4 times the side"),
        *published("s224", sides(224, 256), FC4096_LRN_224, "1.75 times the side", FC4096_LRN_224_NOTE),
        *published(
            "s300",
            sides(299, 341),
            fc_widths(4096) | head("c3_c1_avepool_clf"),
            "2.3 times the side",
            "convolutions of 4096 instead of fc6 and fc7, averaged before the classifier",
        ),
    ),
)
