"""The compiled inner loops against NumPy and torch, at every width and at the edges of the store."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from raysweep.data.beton import RAW
from raysweep.data.kernels import cut, normalise, scratch


def by_numpy(image: NDArray[np.uint8], side: int, top: int, left: int, mirrored: bool, pad: int) -> NDArray[np.uint8]:
    room = max(side, pad) + pad
    whole = np.pad(image, ((room, room), (room, room), (0, 0)))
    crop = whole[room - pad + top :, room - pad + left :][:side, :side]
    return crop[:, ::-1] if mirrored else crop


@given(
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    side=st.integers(1, 20),
    pad=st.integers(0, 24),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    mirrored=st.booleans(),
)
def test_a_crop_is_numpys(
    size: tuple[int, int], side: int, pad: int, place: tuple[float, float], mirrored: bool
) -> None:
    """The image is the whole store; a second picture after the crop tells whether anything beyond it is written."""
    rows, columns = size
    image = np.random.default_rng(rows * columns).integers(1, 256, (rows, columns, 3), np.uint8)
    top, left = (round(share * max(0, length + 2 * pad - side)) for share, length in zip(place, size, strict=True))
    guarded = np.full((2, side, side, 3), 77, np.uint8)
    counts = {"dtype": np.int64}
    done = cut(
        image.reshape(-1),
        np.array([0], np.uint64),
        np.array([image.size], np.uint64),
        np.array([RAW], np.uint8),
        *(np.array([length], **counts) for length in size),
        np.array([[0, top, left, mirrored]], **counts),
        pad,
        scratch(0),
        guarded[:1],
    )
    assert done == 1
    np.testing.assert_array_equal(guarded[0], by_numpy(image, side, top, left, mirrored, pad))
    assert (guarded[1] == 77).all()


@pytest.mark.parametrize("shape", [(2, 7, 9, 3), (3, 5, 5, 1), (1, 64, 64, 3), (0, 4, 4, 3)])
@pytest.mark.parametrize("mean", [(124.0, 117.0, 104.0), (117.64,)])
def test_normalised_pixels_are_torchs_to_the_bit(shape: tuple[int, ...], mean: tuple[float, ...]) -> None:
    if len(mean) == 3 and shape[-1] == 1:
        mean = mean[:1]
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    pixels = torch.from_numpy(images).float()
    for scale in (0.04, 0.027, 1.0):
        expected = pixels.sub(torch.tensor(mean)).mul(scale)
        assert torch.equal(torch.from_numpy(normalise(images, mean, scale)), expected)


def test_every_grey_level_is_normalised_as_torch_does() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 256, 1, 1).repeat(3, axis=3)[:, ::-1]
    for mean in np.random.default_rng(1).uniform(0, 255, (20, 3)).tolist():
        expected = torch.from_numpy(levels.copy()).float().sub(torch.tensor(mean)).mul(0.04)
        assert torch.equal(torch.from_numpy(normalise(levels, mean, 0.04)), expected)
