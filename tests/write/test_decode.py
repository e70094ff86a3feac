from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from raysweep.write import decode
from raysweep.write.decode import BadImageError, to_rgb
from tests.images import encoded, noise

RGB = noise(20, 30)
GREY = RGB[:, :, 0]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(GREY), np.repeat(GREY[:, :, None], 3, 2)),
        (Image.fromarray(np.dstack([RGB, GREY])), RGB),
        (Image.fromarray(np.dstack([GREY, GREY])), np.repeat(GREY[:, :, None], 3, 2)),
        (Image.fromarray(GREY.astype(np.uint16) * 257), np.repeat(GREY[:, :, None], 3, 2)),
        (Image.fromarray(GREY > 99), np.repeat(np.where(GREY > 99, 255, 0)[:, :, None], 3, 2)),
    ],
    ids=["rgb", "grey", "alpha", "grey alpha", "16 bits", "1 bit"],
)
def test_every_kind_of_png_becomes_rgb(image: Image.Image, expected: Any) -> None:
    np.testing.assert_array_equal(to_rgb(encoded(image)), expected)


def test_a_palette_becomes_its_colours() -> None:
    image = Image.fromarray(RGB).quantize(8)
    np.testing.assert_array_equal(to_rgb(encoded(image)), np.asarray(image.convert("RGB")))


def test_cmyk_jpeg_becomes_rgb() -> None:
    smooth = cv2.resize(noise(3, 3), (32, 24), interpolation=cv2.INTER_LINEAR)
    image = Image.fromarray(smooth).convert("CMYK")
    assert np.abs(to_rgb(encoded(image, "JPEG", quality=98)).astype(int) - smooth).mean() < 5


def test_16_bit_rgb_png_keeps_its_upper_bits() -> None:
    data = cv2.imencode(".png", RGB[:, :, ::-1].astype(np.uint16) * 257)[1].tobytes()
    np.testing.assert_array_equal(to_rgb(data), RGB)


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    np.testing.assert_array_equal(to_rgb(encoded(Image.fromarray(RGB), exif=exif)), np.rot90(RGB, -1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_ends_early_is_bad(kind: str, share: float) -> None:
    data = encoded(Image.fromarray(noise(64, 64)), kind)
    with pytest.raises(BadImageError):
        to_rgb(data[: int(len(data) * share)])


@pytest.mark.parametrize(("data", "why"), [(b"", "empty"), (b"<html>", "not an image")])
def test_a_file_that_is_no_image_says_so(data: bytes, why: str) -> None:
    with pytest.raises(BadImageError, match=why):
        to_rgb(data)


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(BadImageError, match="floating"):
        to_rgb(encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))


def test_too_large_images_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadImageError, match="70000x2"):
        to_rgb(encoded(Image.fromarray(np.zeros((2, 70_000), np.uint8))))
    monkeypatch.setattr(decode, "MAX_BYTES", 1000)
    with pytest.raises(BadImageError, match="30x20"):
        to_rgb(encoded(Image.fromarray(RGB)))


@pytest.mark.parametrize("pixels", [GREY, GREY[:, :, None], RGB, np.dstack([RGB, GREY]), RGB.astype(np.uint16) * 257])
def test_arrays_become_rgb(pixels: Any) -> None:
    expected = np.repeat(GREY[:, :, None], 3, 2) if pixels.shape[-1] in (1, 30) else RGB
    np.testing.assert_array_equal(to_rgb(pixels), expected)


@pytest.mark.parametrize("pixels", [np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4))])
def test_other_arrays_are_refused(pixels: Any) -> None:
    with pytest.raises(BadImageError):
        to_rgb(pixels)


@pytest.mark.parametrize(("side", "shape"), [(20, (20, 30)), (10, (10, 15)), (7, (7, 10)), (40, (40, 60))])
def test_the_short_side_is_resized_and_the_aspect_kept(side: int, shape: tuple[int, int]) -> None:
    pixels = to_rgb(RGB, side)
    assert pixels.shape == (*shape, 3)
    if side == 20:
        np.testing.assert_array_equal(pixels, RGB)
