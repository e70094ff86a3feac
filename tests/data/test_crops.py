"""Scales and rotations: the positions of crops, their interpolation, and that nothing else affects their pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.data.crops import rotated, spans
from raysweep.data.image_file import ImageFile
from raysweep.data.manifest import Manifest
from raysweep.data.preprocess import PREPROCESSINGS
from raysweep.data.stream import TestStream
from raysweep.data.windows import window_side
from raysweep.errors import RaysweepError
from tests.data.test_stream import flat, same, stream

Stored = dict[str, tuple[Path, Manifest]]
Images = np.ndarray[Any, np.dtype[np.uint8]]
ALL: dict[str, Any] = {"side": 28, "scales": (1.0, 0.8, 1.3), "rotation": 5.0, "preprocess": PREPROCESSINGS["hsv"]}


@pytest.fixture
def file(stored: Stored) -> ImageFile:
    return ImageFile.open(*stored["raw"], "train")


@pytest.fixture
def whole(file: ImageFile) -> Images:
    """Every image of the file, 40 px."""
    return TestStream(file, side=40, batch_size=120).batch(0).images


@pytest.mark.parametrize(
    ("side", "scale", "window"), [(128, 1.0, 128), (128, 144 / 256, 228), (128, 130 / 256, 252), (3, 9.0, 1)]
)
def test_a_scale_below_one_shows_more_of_the_image(side: int, scale: float, window: int) -> None:
    assert window_side(side, scale) == window


@pytest.mark.parametrize("changes", [{"batch_size": 7}, {"batch_size": 300}, {"threads": 3}])
def test_images_depend_neither_on_batch_size_nor_on_threads(file: ImageFile, changes: dict[str, Any]) -> None:
    assert same(flat(stream(file, **ALL), 250), flat(stream(file, **ALL, **changes), 250))


def test_any_batch_can_be_read_without_those_before_it(file: ImageFile) -> None:
    used = stream(file, **ALL)
    for k in range(12):
        used.batch(k)
    assert same(used.batch(12), stream(file, **ALL).batch(12))
    rows = used.batch(12, rows=slice(5, 9))
    np.testing.assert_array_equal(rows.images, used.batch(12).images[5:9])


def test_compressed_images_are_cut_in_the_same_places(stored: Stored) -> None:
    raw, jpg = (ImageFile.open(*stored[encoding], "train") for encoding in ("raw", "jpg"))
    changes = ALL | {"preprocess": PREPROCESSINGS["rgb"]}
    batches = [stream(file, **changes).batch(3).images.astype(int) for file in (raw, jpg)]
    assert np.abs(batches[0] - batches[1]).mean() < 15
    assert np.abs(batches[0] - np.roll(batches[1], 1, 0)).mean() > 30


def test_each_scale_is_drawn_as_often_as_it_is_listed(file: ImageFile) -> None:
    weighed = stream(file, side=20, scales=(0.5, 1.0, 1.0, 1.0))
    drawn = np.concatenate([weighed._windows(epoch, np.arange(120)) for epoch in range(40)])
    assert set(drawn) == {20, 40}
    assert abs((drawn == 40).mean() - 0.25) < 4 * (0.25 * 0.75 / len(drawn)) ** 0.5
    assert not np.array_equal(drawn[:120], drawn[120:240])
    assert not np.array_equal(
        drawn[:120], stream(file, side=20, seed=6, scales=(0.5, 1.0, 1.0, 1.0))._windows(0, np.arange(120))
    )


def test_images_at_scale_one_are_those_of_a_plain_stream(file: ImageFile) -> None:
    plain, mixed = flat(stream(file), 120), flat(stream(file, scales=(1.0, 0.9)), 120)
    equal = (plain.images == mixed.images).all(axis=(1, 2, 3))
    assert 30 < equal.sum() < 90
    np.testing.assert_array_equal(plain.indices, mixed.indices)


def test_the_whole_image_is_resized_when_the_window_is_the_image(file: ImageFile, whole: Images) -> None:
    batch = stream(file, side=20, scales=(0.5,), mirror=False).batch(0)
    expected = [cv2.resize(whole[index], (20, 20), interpolation=cv2.INTER_AREA) for index in batch.indices]
    np.testing.assert_array_equal(batch.images, np.stack(expected))
    # A quarter of the pixels by area is the mean of each four.
    means = whole[batch.indices].reshape(-1, 20, 2, 20, 2, 3).astype(float).mean(axis=(2, 4))
    assert np.abs(batch.images - means).max() <= 0.51


def test_enlarged_crops_are_cubic_and_some_are_mirrored(file: ImageFile, whole: Images) -> None:
    batch = stream(file, side=60, scales=(1.5,)).batch(0)
    mirrored = 0
    for image, index in zip(batch.images, batch.indices, strict=True):
        sides = [
            cv2.resize(seen, (60, 60), interpolation=cv2.INTER_CUBIC) for seen in (whole[index], whole[index][:, ::-1])
        ]
        equal = [np.array_equal(image, seen) for seen in sides]
        assert any(equal)
        mirrored += equal[1]
    assert 2 <= mirrored <= 14


def test_the_test_crop_is_the_centre_at_its_scale(stored: Stored) -> None:
    file = ImageFile.open(*stored["raw"], "test")
    whole = TestStream(file, side=40, batch_size=50).batch(0).images
    found = TestStream(file, side=16, batch_size=50, scale=0.5).batch(0).images
    expected = [cv2.resize(image[4:36, 4:36], (16, 16), interpolation=cv2.INTER_AREA) for image in whole]
    np.testing.assert_array_equal(found, np.stack(expected))


@given(st.integers(1, 300), st.floats(-45, 45))
def test_the_cut_square_is_the_smallest_that_contains_the_rotated_window(window: int, angle: float) -> None:
    (span,) = spans(np.array([window]), np.array([angle]))
    half, turn = (window - 1) / 2, np.deg2rad(abs(angle))
    assert (span - 1) / 2 >= half * (np.cos(turn) + np.sin(turn)) - 1e-6 > (span - 1) / 2 - 1
    assert span == window or angle


@pytest.mark.parametrize("angle", [5.0, -5.0, 17.3, 45.0])
def test_rotation_is_that_of_opencvs_own_matrix(angle: float) -> None:
    smooth = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (150, 150, 3), np.uint8), (0, 0), 3)
    (span,) = (int(side) for side in spans(np.array([60]), np.array([angle])))
    square = np.ascontiguousarray(smooth[10 : 10 + span, 20 : 20 + span])
    matrix = cv2.getRotationMatrix2D(((span - 1) / 2, (span - 1) / 2), angle, 1)
    matrix[:, 2] += (60 - span) / 2
    assert np.abs(rotated(square, 60, angle).astype(int) - cv2.warpAffine(square, matrix, (60, 60))).max() <= 1


def test_rotation_is_counter_clockwise() -> None:
    picture = np.zeros((101, 101, 3), np.uint8)
    picture[45:56, 80:] = 255  # a bar at three o'clock
    rows, _ = np.nonzero(rotated(picture, 61, 30.0)[:, 50:, 0])
    assert rows.mean() < 25


@pytest.fixture
def white(file: ImageFile) -> ImageFile:
    """White images of 40 px: what is black in a batch is outside an image."""
    return replace(file, beton=replace(file.beton, store=np.full_like(file.beton.store, 255)))


def test_angles_are_uniform_and_positive_before_mirroring(file: ImageFile) -> None:
    turning = stream(file, side=20, rotation=5.0)
    angles = np.concatenate([turning._angles(epoch, np.arange(120)) for epoch in range(20)])
    assert 0 <= angles.min() < 0.05
    assert 4.95 < angles.max() < 5
    assert abs(angles.mean() - 2.5) < 4 * 5 / 12**0.5 / len(angles) ** 0.5
    crops = turning._epoch_part(0, np.arange(120))
    np.testing.assert_array_equal(crops.angles < 0, crops.where[:, 3] == 1)


def test_a_mirrored_crop_is_the_mirror_image_of_a_rotated_one(file: ImageFile, whole: Images) -> None:
    turning = stream(file, side=20, rotation=10.0, batch_size=120)
    crops, images = turning._epoch_part(0, np.arange(120)), turning.batch(0).images
    for k in np.flatnonzero(crops.where[:, 3])[:10]:
        index, top, left, _ = crops.where[k]
        span = int(crops.spans[k])
        cut = whole[index][top : top + span, left : left + span]
        expected = rotated(np.ascontiguousarray(cut), 20, -float(crops.angles[k]))[:, ::-1]
        assert np.abs(images[k].astype(int) - expected).max() <= 8  # coordinates are rounded to 1/32 px the other way


def test_no_corner_is_black_in_a_large_image(white: ImageFile) -> None:
    assert stream(white, side=32, rotation=10.0).batch(0).images.min() == 255
    assert stream(white, side=20, rotation=45.0, scales=(0.9, 1.0, 1.2)).batch(0).images.min() == 255


def test_corners_are_black_in_a_small_image(white: ImageFile) -> None:
    images = stream(white, side=40, rotation=20.0, mirror=False).batch(0).images
    corners = images[:, [0, 0, -1, -1], [0, -1, 0, -1], 0]
    assert (corners == 0).mean() > 0.5
    assert (images[:, 12:28, 12:28] == 255).all()


def test_windows_larger_than_the_image_are_refused_with_their_scale(file: ImageFile) -> None:
    with pytest.raises(RaysweepError, match=r"32.*0\.5.*data\.scales.*64 px.*120 of"):
        stream(file, scales=(1.0, 0.5))
    with pytest.raises(RaysweepError, match=r"0\.7.*data\.test_scale.*46 px"):
        TestStream(file, side=32, batch_size=8, scale=0.7)
    assert stream(file, scales=(1.0, 0.5), pad=12).batch(0).images.shape == (16, 32, 32, 3)


@pytest.mark.parametrize("name", [entry.name for entry in PREPROCESSINGS])
@pytest.mark.parametrize("threads", [1, 3])
def test_pre_processing_is_applied_after_the_crop_in_training_and_test(
    file: ImageFile, name: str, threads: int
) -> None:
    operation = PREPROCESSINGS[name]
    plain, processed = stream(file).batch(0), stream(file, preprocess=operation, threads=threads).batch(0)
    np.testing.assert_array_equal(processed.images, operation(plain.images))
    tests = [
        TestStream(file, side=32, batch_size=120, preprocess=p, threads=threads)
        for p in (PREPROCESSINGS["rgb"], operation)
    ]
    np.testing.assert_array_equal(tests[1].batch(0).images, operation(tests[0].batch(0).images))


def test_more_threads_than_images_are_idle(file: ImageFile) -> None:
    gray = PREPROCESSINGS["gray"]
    assert stream(file, batch_size=2, threads=5, preprocess=gray).batch(0).images.shape == (2, 32, 32, 1)
