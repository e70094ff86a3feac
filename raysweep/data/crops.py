"""Which crops a batch is made of, and how one is turned and resized that is not cut as it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raysweep.data.opencv import Pixels, opencv, resize


@dataclass(frozen=True)
class Crops:
    """N crops: what to cut from which image, and what becomes of it.

    A square of `spans` px is cut, turned by its angle about its centre, of that the central square of `windows` px is
    kept and resized to the side of the batch.
    """

    where: NDArray[np.int64]
    """(N, 4): index, top, left of the cut square, mirrored or not; see `kernels.cut`."""
    windows: NDArray[np.int64]
    """(N,): px."""
    angles: NDArray[np.float64]
    """(N,): degrees counter-clockwise, after mirroring."""

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, part: slice) -> Crops:
        return Crops(self.where[part], self.windows[part], self.angles[part])

    @property
    def ids(self) -> NDArray[np.int64]:
        """(N,): indices of the images in their file."""
        return self.where[:, 0]

    @property
    def spans(self) -> NDArray[np.int64]:
        """(N,): px to cut."""
        return spans(self.windows, self.angles)

    def are_cut_as_they_are(self, side: int) -> bool:
        """Whether no crop is turned or resized."""
        return bool((self.windows == side).all() and not self.angles.any())


def joined(parts: list[Crops]) -> Crops:
    """The crops of all parts, at least one, in order."""
    fields = ([getattr(part, name) for part in parts] for name in ("where", "windows", "angles"))
    return Crops(*map(np.concatenate, fields))


def spans(windows: NDArray[np.int64], angles: NDArray[np.float64]) -> NDArray[np.int64]:
    """Side of the smallest upright square of whole px in which a window fits when it is turned, px.

    The outermost pixel centres decide: at 0 degrees it is the window itself.
    """
    turn = np.deg2rad(np.abs(angles))
    # Less a billionth: a right angle's worth of rounding is no pixel.
    return np.asarray(np.ceil(1 + (windows - 1) * (np.cos(turn) + np.sin(turn)) - 1e-9), np.int64)


def finish(pixels: Pixels, window: int, angle: float, side: int) -> Pixels:
    """The crop (side, side, 3) that becomes of a cut square: turned (linear), then resized (area or cubic)."""
    return resize(turned(pixels, window, angle) if angle else pixels, side, side)


def turned(pixels: Pixels, window: int, angle: float) -> Pixels:
    """The central square of `window` px of a square picture turned counter-clockwise about its centre."""
    cv2 = opencv()
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    # From a pixel of the window to its place in the picture, both seen from their centres; y points down.
    rotation = np.array([[cos, -sin], [sin, cos]])
    shift = (len(pixels) - 1) / 2 - rotation @ np.full(2, (window - 1) / 2)
    # Replicated: the corners are inside but for the rounding of the coordinates.
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
