"""Operations on cropped pixels, in the loading threads, in training and at test alike; one function each.

A batch of colour images goes in, (N, side, side, 3) of 8 bits, red, green, blue; (N, side, side, C) of 8 bits comes
out. The value that `data.mean` is subtracted from is what comes out.
"""

from __future__ import annotations

from collections.abc import Callable

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
"""Clip limit, in multiples of the mean bin, on OpenCV's 8x8 tiles: a common choice; the paper names none."""


def whole_image(operation: Preprocessing) -> Preprocessing:
    """Mark an operation that needs more of an image than the pixel itself: it costs about what decoding does.

    Trials that share their images share its result; any other operation each of them does by itself. Of any other it is
    the same whether it is done before the crop or after it.
    """
    _WHOLE_IMAGE.add(operation)
    return operation


def needs_whole_image(operation: Preprocessing) -> bool:
    """Whether the operation is marked so."""
    return operation in _WHOLE_IMAGE


def _converted(images: Images, code: str) -> Images:
    """A conversion of every pixel by itself: the batch is one tall image to OpenCV."""
    cv2 = opencv()
    count, height, width, channels = images.shape
    tall = np.ascontiguousarray(images).reshape(count * height, width, channels)
    return np.asarray(cv2.cvtColor(tall, getattr(cv2, f"COLOR_{code}"))).reshape(count, height, width, -1)


def _with_first_channel(images: Images, there: str, change: Callable[[Images], Images], back: str) -> Images:
    """Convert, change the first channel image by image, convert back."""
    converted = _converted(images, there)
    for image in converted:
        image[:, :, 0] = change(np.ascontiguousarray(image[:, :, 0]))
    return _converted(converted, back)


@PREPROCESSINGS.add("rgb", "red, green, blue as they are stored", PAPER)
def rgb(images: Images) -> Images:
    """The same array."""
    return images


@PREPROCESSINGS.add("gray", "one channel: 0.299 red + 0.587 green + 0.114 blue", PAPER)
def gray(images: Images) -> Images:
    """Luma of BT.601; C is 1."""
    return _converted(images, "RGB2GRAY")


@PREPROCESSINGS.add("hsv", "hue (0 to 179, half a degree of angle is lost), saturation, value", PAPER)
def hsv(images: Images) -> Images:
    """OpenCV's 8-bit HSV: the hue in steps of two degrees."""
    return _converted(images, "RGB2HSV")


@PREPROCESSINGS.add("ycrcb", "luma and the two colour differences of JPEG: Y, Cr, Cb", PAPER)
def ycrcb(images: Images) -> Images:
    """OpenCV's order: Cr before Cb, both shifted by 128."""
    return _converted(images, "RGB2YCrCb")


@PREPROCESSINGS.add("lab", "CIE L*a*b*: lightness times 255/100, a and b shifted by 128", PAPER)
def lab(images: Images) -> Images:
    """OpenCV's 8-bit Lab of sRGB under D65."""
    return _converted(images, "RGB2Lab")


@PREPROCESSINGS.add("clahe", "contrast-limited adaptive histogram equalisation of the lightness, 8x8 tiles", PAPER)
@whole_image
def clahe(images: Images) -> Images:
    """CLAHE on L of Lab, then back to RGB."""
    # One for each call: it keeps its tables, and two threads would share them.
    equaliser = opencv().createCLAHE(clipLimit=CLAHE_CLIP)
    return _with_first_channel(images, "RGB2Lab", equaliser.apply, "Lab2RGB")


@PREPROCESSINGS.add("histeq", "histogram equalisation of the luma, colour differences kept", PAPER)
@whole_image
def histeq(images: Images) -> Images:
    """On Y of YCrCb, then back to RGB: equalising the three colours apart would shift hues."""
    return _with_first_channel(images, "RGB2YCrCb", opencv().equalizeHist, "YCrCb2RGB")


@PREPROCESSINGS.add("local_mean", "4 (x - local mean) + 128, the local mean a Gaussian blur", "Graham 2015")
@whole_image
def local_mean(images: Images) -> Images:
    """Sigma is a thirtieth of the radius, the radius half the side; saturated to 8 bits.

    Source: Graham, Kaggle diabetic retinopathy competition report, 2015, where the radius is that of the eye.
    """
    cv2 = opencv()
    sigma = images.shape[1] / 2 / 30
    blurred = (cv2.GaussianBlur(image, (0, 0), sigma) for image in images)
    return np.stack([cv2.addWeighted(image, 4, mean, -4, 128) for image, mean in zip(images, blurred, strict=True)])
