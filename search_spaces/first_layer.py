"""Is a smaller image as good if the stride of the first layer shrinks with it?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on input image size.
Published finding: nearly: with a proportional stride, 96 px loses 1.2 points and 64 px 2.6 against 128 px.
Cost: 8 trials per seed of 64 epochs, of about equal cost except the last two.

Kernel and stride of conv1 change with the side so that later maps keep their sizes. Every side needs its own images,
stored at the short side that the authors used (38, 73, 110, 144, 180, 256 px). Not documented: whether those images
kept their aspect ratio; here they do. If a protocol's first layer cannot be made smaller (3x3, stride 1), it is
unchanged. The number of k11s8_224 was taken at 272,000 updates.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import FC4096_LRN_224, FC4096_LRN_224_NOTE, Patch, published, sides
from raysweep.study import Study, Times, Variant


def _stem(kernel: int, stride: int, crop: int, short: int) -> Patch:
    stem = {"network.stem_kernel": Times(kernel / 11), "network.stem_stride": Times(stride / 4)}
    return stem | sides(crop, short)


STUDY = Study(
    name="first_layer",
    question="Is a smaller image as good if the stride of the first layer shrinks with it?",
    paper="Mishkin et al. 2017, input image size",
    finding="Nearly: a smaller stride compensates for most of the loss.",
    baseline="k11s4_128",
    variants=(
        Variant("k3s1_32", _stem(3, 1, 32, 38), "3x3, stride 1, 32 px"),
        Variant("k5s2_64", _stem(5, 2, 64, 73), "5x5, stride 2, 64 px"),
        Variant("k7s3_96", _stem(7, 3, 96, 110), "7x7, stride 3, 96 px"),
        Variant("k11s4_128", {}, "11x11, stride 4, 128 px"),
        Variant("k11s5_160", _stem(11, 5, 160, 180), "11x11, stride 5, 160 px"),
        Variant("k11s8_224", _stem(11, 8, 224, 256), "11x11, stride 8, 224 px"),
        *published("k11s4_227", sides(227, 256), FC4096_LRN_224, "11x11, stride 4, 227 px", FC4096_LRN_224_NOTE),
    ),
)
