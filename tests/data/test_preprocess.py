"""Each operation against an independent formula, and the batch against OpenCV image by image."""

from __future__ import annotations

import colorsys
import itertools
import subprocess
import sys
from typing import Any

import cv2
import numpy as np
import pytest

from raysweep.data.preprocess import PREPROCESSINGS, needs_whole_image
from raysweep.recipe import DataRecipe

Images = np.ndarray[Any, np.dtype[np.uint8]]
NAMES = [entry.name for entry in PREPROCESSINGS]
LEVELS = (0, 1, 15, 64, 127, 128, 200, 254, 255)


def corners() -> Images:
    """Every combination of nine levels, including the corners of the RGB cube, as one image (27, 27, 3)."""
    return np.array(list(itertools.product(LEVELS, repeat=3)), np.uint8).reshape(1, 27, 27, 3)


def random_images(count: int = 5, side: int = 32) -> Images:
    """Random images, half of them smooth like photographs."""
    noise = np.random.default_rng(4).integers(0, 256, (count, side, side, 3), np.uint8)
    smooth = [cv2.GaussianBlur(image, (0, 0), 3) for image in noise]
    return np.stack([*noise, *(cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX) for image in smooth)])


def colours() -> Images:
    return np.concatenate([corners(), random_images(side=27)])


def as_float(images: Images) -> np.ndarray[Any, np.dtype[np.float64]]:
    return images.astype(np.float64)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_equals_its_images_one_by_one(name: str) -> None:
    images, operation = random_images(), PREPROCESSINGS[name]
    before = images.copy()
    batch = operation(images)
    np.testing.assert_array_equal(batch, np.concatenate([operation(images[k : k + 1]) for k in range(len(images))]))
    np.testing.assert_array_equal(images, before)
    assert batch.dtype == np.uint8
    assert batch.shape == (*images.shape[:3], DataRecipe(preprocess=name).channels)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", [1, 2, 7])
def test_tiny_images_work(name: str, side: int) -> None:
    images = random_images(2, 8)[:, :side, :side]  # not contiguous
    assert PREPROCESSINGS[name](images).shape[:3] == (4, side, side)


def test_rgb_changes_nothing_and_copies_nothing() -> None:
    images = random_images()
    assert PREPROCESSINGS["rgb"](images) is images


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("gray", cv2.COLOR_RGB2GRAY),
        ("hsv", cv2.COLOR_RGB2HSV),
        ("ycrcb", cv2.COLOR_RGB2YCrCb),
        ("lab", cv2.COLOR_RGB2Lab),
    ],
)
def test_conversions_are_opencvs_of_each_image(name: str, flag: int) -> None:
    images = colours()
    expected = np.stack([cv2.cvtColor(image, flag).reshape(27, 27, -1) for image in images])
    np.testing.assert_array_equal(PREPROCESSINGS[name](images), expected)


def test_gray_is_the_luma_of_bt601() -> None:
    expected = as_float(colours()) @ (0.299, 0.587, 0.114)
    assert np.abs(as_float(PREPROCESSINGS["gray"](colours()))[..., 0] - expected).max() <= 0.51


def test_ycrcb_is_that_of_jpeg() -> None:
    red, green, blue = np.moveaxis(as_float(colours()), -1, 0)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    expected = np.stack([y, (red - y) * 0.713 + 128, (blue - y) * 0.564 + 128], -1).clip(0, 255)
    assert np.abs(as_float(PREPROCESSINGS["ycrcb"](colours())) - expected).max() <= 1


def test_hsv_is_that_of_the_standard_library() -> None:
    pixels = colours().reshape(-1, 3)
    found = as_float(PREPROCESSINGS["hsv"](colours()).reshape(-1, 3))
    expected = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in pixels.astype(float) / 255]) * (180, 255, 255)
    off = np.abs(found - expected)
    off[:, 0] = np.minimum(off[:, 0], 180 - off[:, 0])  # the hue is a circle
    assert off.max() <= 1
    assert found[:, 0].max() < 180


def cie_lab(pixels: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """CIE 1976 L*a*b* of sRGB (0 to 1) under D65, in OpenCV's scale of 8 bits."""
    linear = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
    x, y, z = (linear @ matrix.T / (0.950456, 1.0, 1.088754)).T
    fx, fy, fz = (np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29) for t in (x, y, z))
    return np.stack([(116 * fy - 16) * 2.55, 500 * (fx - fy) + 128, 200 * (fy - fz) + 128], -1)


def test_lab_is_cie_lab() -> None:
    expected = cie_lab(as_float(colours()).reshape(-1, 3) / 255)
    off = np.abs(as_float(PREPROCESSINGS["lab"](colours()).reshape(-1, 3)) - expected)
    assert off.max() <= 3  # OpenCV interpolates in a table
    assert off.mean() < 0.5


def test_clahe_equalises_the_lightness_alone() -> None:
    images = random_images()
    for image, found in zip(images, PREPROCESSINGS["clahe"](images), strict=True):
        light, *chroma = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2Lab))
        light = cv2.createCLAHE(clipLimit=4.0, tileGridSize=(8, 8)).apply(light)
        np.testing.assert_array_equal(found, cv2.cvtColor(cv2.merge([light, *chroma]), cv2.COLOR_Lab2RGB))


def equalised(plane: Images) -> Images:
    """Histogram equalisation in NumPy: levels by their rank among all pixels; the darkest becomes 0."""
    ranks = np.bincount(plane.ravel(), minlength=256).cumsum()
    darkest = ranks[plane.min()]
    table = np.round((ranks - darkest).clip(0) * 255 / (plane.size - darkest))
    return np.asarray(table[plane], np.uint8)


def test_histeq_equalises_the_luma_alone() -> None:
    images = random_images()
    for image, found in zip(images, PREPROCESSINGS["histeq"](images), strict=True):
        luma, *differences = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb))
        expected = cv2.cvtColor(cv2.merge([equalised(luma), *differences]), cv2.COLOR_YCrCb2RGB)
        assert np.abs(found.astype(int) - expected).max() <= 2


def test_local_mean_is_grahams_formula() -> None:
    """The blur written as sums over a Gaussian window with mirrored borders."""
    images = random_images(2, 64)
    sigma = 32 / 30
    offsets = np.arange(-10, 11)
    window = np.exp(-(offsets**2) / (2 * sigma**2))
    window /= window.sum()
    padded = np.pad(as_float(images), ((0, 0), (10, 10), (10, 10), (0, 0)), mode="reflect")
    rows = sum(weight * padded[:, 10 + k : 74 + k] for k, weight in zip(offsets, window, strict=True))
    mean = sum(weight * rows[:, :, 10 + k : 74 + k] for k, weight in zip(offsets, window, strict=True))
    expected = (4 * (images - mean) + 128).clip(0, 255)
    off = np.abs(as_float(PREPROCESSINGS["local_mean"](images)) - expected)
    assert off.max() <= 4 * 1.5  # the blur is rounded to 8 bits before it is multiplied by 4
    assert off.mean() < 1.5


def test_local_mean_of_one_colour_is_mid_grey() -> None:
    flat = np.full((2, 32, 32, 3), (9, 130, 255), np.uint8)
    np.testing.assert_array_equal(PREPROCESSINGS["local_mean"](flat), np.full_like(flat, 128))


def test_a_new_operation_is_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PREPROCESSINGS, "_entries", dict(PREPROCESSINGS._entries))

    @PREPROCESSINGS.add("negative", "dark for light")
    def negative(images: Images) -> Images:
        return 255 - images

    assert (PREPROCESSINGS["negative"](colours()) + colours() == 255).all()


def test_opencv_is_imported_only_when_needed() -> None:
    code = (
        "import sys, numpy as np\n"
        "from raysweep.data.stream import TrainStream\n"
        "from raysweep.data.preprocess import PREPROCESSINGS\n"
        "image = np.zeros((1, 4, 4, 3), np.uint8)\n"
        "for name in ('rgb', 'gray'):\n"
        "    PREPROCESSINGS[name](image); print(name, 'cv2' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["rgb", "False", "gray", "True"]


@pytest.mark.parametrize("name", NAMES)
def test_operations_that_need_other_pixels_are_marked(name: str) -> None:
    """The result of an operation on single pixels does not depend on the other half of the image."""
    images, operation = random_images(), PREPROCESSINGS[name]
    changed = images.copy()
    changed[:, :16] = changed[:, 16:] // 2
    by_pixel = np.array_equal(operation(changed)[:, 16:], operation(images)[:, 16:])
    assert by_pixel is not needs_whole_image(operation)
