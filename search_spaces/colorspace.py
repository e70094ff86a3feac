"""Which colour space and pre-processing?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on image pre-processing.
Published finding: none is better than RGB (47.1): HSV has 45.1, YCrCb 45.8, greyscale 41.3; Lab did not learn.
Cost: 13 trials per seed of 64 epochs.

Instead of mean and factor 0.04, the converted pixels of rgb_by_bn, hsv, ycrcb and lab have a batch normalisation
without scale and bias. Not documented, and chosen here:
- Conversions apply to the crop, in OpenCV's 8-bit forms; histogram equalisation applies to the luma.
- concat_rgb_each_pool has no file: after every pooling the input, averaged to the size of the map, is concatenated. The
  inputs of conv2 are then not divisible by two, so it has one group.
- local_mean is not in the published tables: four times the difference to a local average with a radius of half the
  side, as Graham 2015 prepared retina images.
- nearest_rescale needs images written with `raysweep data write --rescale nearest`.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import INPUT_BN, input_net, published
from raysweep.study import Study, Variant

STUDY = Study(
    name="colorspace",
    question="Which colour space and pre-processing?",
    paper="Mishkin et al. 2017, image pre-processing",
    finding="None is better than plain RGB.",
    baseline="rgb",
    variants=(
        Variant("rgb", {"data.preprocess": "rgb"} | input_net("none"), "red, green, blue, centred and scaled"),
        Variant("rgb_by_bn", INPUT_BN, "red, green, blue, batch-normalised"),
        Variant("hsv", INPUT_BN | {"data.preprocess": "hsv"}, "hue, saturation, value"),
        Variant("ycrcb", INPUT_BN | {"data.preprocess": "ycrcb"}, "luma and two colour differences"),
        Variant("lab", INPUT_BN | {"data.preprocess": "lab"}, "CIE Lab"),
        *published(
            "clahe",
            {"data.preprocess": "clahe"} | input_net("batch_norm"),
            {"training.accumulate": 2},
            "contrast-limited equalisation of the lightness, then batch normalisation",
            "batches in two parts, so statistics over half of the images",
        ),
        Variant("histeq", {"data.preprocess": "histeq"}, "histogram equalisation of the luma"),
        Variant("local_mean", {"data.preprocess": "local_mean", "data.mean": (128.0,) * 3}, "local mean subtracted"),
        Variant("grayscale", {"data.preprocess": "gray", "data.mean": (117.64,)}, "one grey channel"),
        Variant("grayscale_learned", input_net("grayscale"), "one channel, a learned mix of the three"),
        Variant("nearest_rescale", {"data.rescale": "nearest"}, "resized to the nearest pixel"),
        Variant("concat_rgb_each_pool", {"network.concat_rgb": True}, "the image concatenated after every pooling"),
    ),
)
