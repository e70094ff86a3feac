from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import raysweep
from raysweep.write import decode
from raysweep.write.decode import BadImageError, to_rgb
from raysweep.write.sources.open_image import TGA_END
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


def png_chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + data) if checksum is None else checksum
    return len(data).to_bytes(4) + kind + data + checksum.to_bytes(4)


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"eXIf", b"garbage"),
        png_chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 3\nxyz\n"),
        png_chunk(b"tEXt", b"a\0text", checksum=5),
        png_chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 2_000_000)),
        png_chunk(b"gAMA", b"1"),
        png_chunk(b"acTL", b"1"),
    ],
)
@pytest.mark.parametrize("place", [33, -12])
def test_metadata_of_a_png_never_decide_on_its_pixels(chunk: bytes, place: int) -> None:
    whole = encoded(Image.fromarray(RGB))
    np.testing.assert_array_equal(to_rgb(whole[:place] + chunk + whole[place:]), RGB)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_an_orientation_that_cannot_be_read_is_none(kind: str) -> None:
    image = Image.fromarray(cv2.resize(noise(3, 3), (32, 24), interpolation=cv2.INTER_LINEAR))
    damaged = encoded(image, kind, exif=b"Exif\0\0garbage")
    np.testing.assert_array_equal(to_rgb(damaged), to_rgb(encoded(image, kind)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_large_images_are_converted_in_strips(monkeypatch: pytest.MonkeyPatch, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for image in (Image.fromarray(RGB), Image.fromarray(RGB).quantize(8), Image.fromarray(GREY)):
        data = encoded(image, exif=exif)
        whole = to_rgb(data)
        monkeypatch.setattr(decode, "STRIP", 70)
        np.testing.assert_array_equal(to_rgb(data), whole)
        monkeypatch.undo()


def test_every_16_bit_value_is_rounded_to_8_bits() -> None:
    values = np.arange(1 << 16, dtype=np.uint16).reshape(256, 256)
    expected = np.round(values.astype(float) * 255 / 65535).astype(np.uint8)
    np.testing.assert_array_equal(to_rgb(values)[:, :, 0], expected)


def test_postscript_is_no_image_and_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import EpsImagePlugin

    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    with pytest.raises(BadImageError, match="not an image"):
        to_rgb(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    assert not (tmp_path / "started").exists()


def test_tga_is_known_by_its_end() -> None:
    data = encoded(Image.fromarray(RGB), "TGA")
    np.testing.assert_array_equal(to_rgb(data), RGB)
    with pytest.raises(BadImageError, match="not an image"):
        to_rgb(data[: -len(TGA_END)])


def test_encoded_images_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_ENCODED", 100)
    with pytest.raises(BadImageError, match=r"1,\d\d\d bytes"):
        to_rgb(encoded(Image.fromarray(RGB)))


def test_pillow_never_chooses_among_all_its_formats() -> None:
    root = Path(raysweep.__file__).parent
    files = [path for part in (root, root / "analysis") for path in part.resolve().rglob("*.py")]
    opened = [(path.name, call) for path in files for call in re.findall(r"Image\.open\(.*", path.read_text())]
    assert "open_image.py" in dict(opened)
    assert [name for name, call in opened if "formats=" not in call] == []


def test_several_floating_point_channels_are_named() -> None:
    def tag(number: int, kind: int, *values: int) -> bytes:
        head = number.to_bytes(2, "little") + kind.to_bytes(2, "little") + len(values).to_bytes(4, "little")
        return head + b"".join(value.to_bytes(2, "little") for value in values).ljust(4, b"\0")

    tags = [tag(256, 3, 1), tag(257, 3, 1), tag(258, 3, 32), tag(277, 3, 3), tag(339, 3, 3)]
    data = b"II*\0\x08\0\0\0" + len(tags).to_bytes(2, "little") + b"".join(tags) + bytes(16)
    with pytest.raises(BadImageError, match="floating"):
        to_rgb(data)
