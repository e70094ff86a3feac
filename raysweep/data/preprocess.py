"""Operations on cropped pixels, applied by the loading threads in training and testing; one function each.

An operation converts a batch of 8-bit RGB images (N, side, side, 3) to 8-bit images (N, side, side, C). `data.mean` is
subtracted from its result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from raysweep.data.opencv import opencv
from raysweep.registry import Registry

Images = NDArray[np.uint8]
Preprocessing = Callable[[Images], Images]
PREPROCESSINGS: Registry[Preprocessing] = Registry("pre-processing", "raysweep list preprocessings")
PAPER = "Mishkin et al. 2017"
_WHOLE_IMAGE: set[Preprocessing] = set()
CLAHE_CLIP = 4.0
"""Clip limit in multiples of the mean bin, on OpenCV's 8x8 tiles: a common choice; the paper states none."""


def whole_image(operation: Preprocessing) -> Preprocessing:
    """Mark an operation whose result at a pixel depends on other pixels; it costs about as much as decoding.

    Trials that share images share its result. Every other operation is applied by each trial separately, and gives the
    same result before and after cropping.
    """
    _WHOLE_IMAGE.add(operation)
    return operation


def needs_whole_image(operation: Preprocessing) -> bool:
    """Whether the operation is marked with `whole_image`."""
    return operation in _WHOLE_IMAGE


def _converted(images: Images, code: str) -> Images:
    """Convert pixels by OpenCV's code; the batch is passed as one tall image."""
    cv2 = opencv()
    count, height, width, channels = images.shape
    tall = np.ascontiguousarray(images).reshape(count * height, width, channels)
    return np.asarray(cv2.cvtColor(tall, getattr(cv2, f"COLOR_{code}"))).reshape(count, height, width, -1)


def _with_first_channel(images: Images, there: str, change: Callable[[Images], Images], back: str) -> Images:
    """Convert the images, change the first channel of each, and convert them back."""
    converted = _converted(images, there)
    for image in converted:
        image[:, :, 0] = change(np.ascontiguousarray(image[:, :, 0]))
    return _converted(converted, back)


@PREPROCESSINGS.add("rgb", "red, green, blue as stored", PAPER)
def rgb(images: Images) -> Images:
    """The array itself."""
    return images


for _name, _code, _summary in (
    ("gray", "RGB2GRAY", "one channel: 0.299 red + 0.587 green + 0.114 blue"),  # BT.601 luma
    ("hsv", "RGB2HSV", "hue (0 to 179, in steps of two degrees), saturation, value"),
    ("ycrcb", "RGB2YCrCb", "JPEG's luma and two colour differences: Y, Cr, Cb"),  # both shifted by 128
    ("lab", "RGB2Lab", "CIE L*a*b*: lightness times 255/100, a and b shifted by 128"),  # of sRGB under D65
):
    PREPROCESSINGS.add(_name, _summary, PAPER)(partial(_converted, code=_code))


@PREPROCESSINGS.add("clahe", "contrast-limited adaptive histogram equalisation of the lightness, 8x8 tiles", PAPER)
@whole_image
def clahe(images: Images) -> Images:
    """Apply CLAHE to L of Lab and convert back to RGB."""
    # One object per call: it has tables of its own that two threads must not share.
    equaliser = opencv().createCLAHE(clipLimit=CLAHE_CLIP)
    return _with_first_channel(images, "RGB2Lab", equaliser.apply, "Lab2RGB")


@PREPROCESSINGS.add("histeq", "histogram equalisation of the luma; colour differences are kept", PAPER)
@whole_image
def histeq(images: Images) -> Images:
    """Equalise Y of YCrCb and convert back to RGB: equalising red, green and blue separately would shift hues."""
    return _with_first_channel(images, "RGB2YCrCb", opencv().equalizeHist, "YCrCb2RGB")


@PREPROCESSINGS.add("local_mean", "4 (x - local mean) + 128, where the local mean is a Gaussian blur", "Graham 2015")
@whole_image
def local_mean(images: Images) -> Images:
    """Subtract a Gaussian blur with a sigma of side / 60; the result is clipped to 8 bits.

    Source: Graham, Kaggle diabetic retinopathy competition report, 2015: a thirtieth of the radius, there of the eye.
    """
    cv2 = opencv()
    sigma = images.shape[1] / 2 / 30
    blurred = (cv2.GaussianBlur(image, (0, 0), sigma) for image in images)
    return np.stack([cv2.addWeighted(image, 4, mean, -4, 128) for image, mean in zip(images, blurred, strict=True)])
