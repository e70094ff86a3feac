"""The crops of a batch, and how a cut square is rotated and resized."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raysweep.data.opencv import Pixels, opencv, resize


@dataclass(frozen=True)
class Crops:
    """N crops: the square to cut from each image, and how to transform it.

    A square of `spans` px is cut and rotated by its angle about its centre; its central square of `windows` px is then
    resized to the side of the batch.
    """

    where: NDArray[np.int64]
    """(N, 4): index of the image, top and left of the square, mirrored or not; see `loops.cut`."""
    windows: NDArray[np.int64]
    """(N,): sides in px."""
    angles: NDArray[np.float64]
    """(N,): degrees counter-clockwise, applied after mirroring."""

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, part: slice) -> Crops:
        return Crops(self.where[part], self.windows[part], self.angles[part])

    @property
    def ids(self) -> NDArray[np.int64]:
        """The indices of the images in their file (N,)."""
        return self.where[:, 0]

    @property
    def spans(self) -> NDArray[np.int64]:
        """The sides of the squares to cut (N,), px."""
        return spans(self.windows, self.angles)

    def are_plain(self, side: int) -> bool:
        """Whether all crops are used as they are cut, neither rotated nor resized."""
        return bool((self.windows == side).all() and not self.angles.any())


def joined(parts: list[Crops]) -> Crops:
    """Concatenate the crops of one or more parts."""
    fields = ([getattr(part, name) for part in parts] for name in ("where", "windows", "angles"))
    return Crops(*map(np.concatenate, fields))


def spans(windows: NDArray[np.int64], angles: NDArray[np.float64]) -> NDArray[np.int64]:
    """The side of the smallest upright square, in whole px, that contains a rotated window.

    It is measured between the outermost pixel centres: at 0 degrees the square is the window itself.
    """
    turn = np.deg2rad(np.abs(angles))
    # A billionth less, so that a rounding error adds no pixel.
    return np.asarray(np.ceil(1 + (windows - 1) * (np.cos(turn) + np.sin(turn)) - 1e-9), np.int64)


def finish(pixels: Pixels, window: int, angle: float, side: int) -> Pixels:
    """Rotate a cut square (linear interpolation) and resize it (area or cubic) to a crop (side, side, 3)."""
    return resize(rotated(pixels, window, angle) if angle else pixels, side, side)


def rotated(pixels: Pixels, window: int, angle: float) -> Pixels:
    """The central square of `window` px of a square picture that is rotated counter-clockwise about its centre."""
    cv2 = opencv()
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    # Maps a pixel of the window to its position in the picture, both relative to their centres; y points down.
    rotation = np.array([[cos, -sin], [sin, cos]])
    shift = (len(pixels) - 1) / 2 - rotation @ np.full(2, (window - 1) / 2)
    # Replicated borders: the corners are inside except for the rounding of coordinates.
    return np.asarray(
        cv2.warpAffine(
            pixels,
            np.column_stack([rotation, shift]),
            (window, window),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )
