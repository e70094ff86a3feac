"""Generated images for the demo and for tests: any number of them, without a download, the same on every machine.

Ten classes: five shapes, each striped or checked. Colours, position, size, angle, contrast and noise are random and
independent of the class, so that a linear classifier learns next to nothing and a small network learns in a few epochs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from raysweep.data.randomness import key
from raysweep.errors import RaysweepError
from raysweep.write.sources.base import Samples, Source

Grid = NDArray[np.float64]
MIN_SIDE = 16
SHAPES: dict[str, Callable[[Grid, Grid], NDArray[np.bool_]]] = {
    "disc": lambda x, y: np.hypot(x, y) < 0.9,
    "ring": lambda x, y: np.abs(np.hypot(x, y) - 0.75) < 0.27,
    "square": lambda x, y: np.maximum(np.abs(x), np.abs(y)) < 0.8,
    "triangle": lambda x, y: (y < 0.6) & (np.abs(x) * 1.732 - y < 1.0),
    "cross": lambda x, y: (np.minimum(np.abs(x), np.abs(y)) < 0.33) & (np.maximum(np.abs(x), np.abs(y)) < 1.0),
}
TEXTURES = ("striped", "checked")
CLASSES = tuple(f"{texture} {shape}" for shape in SHAPES for texture in TEXTURES)


def draw(label: int, side: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """One image (side, side, 3) of a class."""
    shape, texture = list(SHAPES.values())[label // len(TEXTURES)], TEXTURES[label % len(TEXTURES)]
    size = random.uniform(0.55, 0.85)
    centre = random.uniform(-1, 1, 2) * (1 - size)
    line = np.linspace(-1, 1, side)
    x, y = line[None, :] - centre[0], line[:, None] - centre[1]
    turn = random.uniform(-0.35, 0.35)
    inside = shape(*_turned(x / size, y / size, turn))
    pattern = _pattern(texture, *_turned(x, y, random.uniform(0, np.pi)), side, random)
    background = _light(x, y, random)
    colours = _colours(random)
    image = np.where(inside[..., None], colours[0] + pattern[..., None] * (colours[1] - colours[0]), colours[2])
    image = image + background[..., None] + random.normal(0, random.uniform(6, 22), image.shape)
    return np.asarray(image.clip(0, 255), np.uint8)


def _turned(x: Grid, y: Grid, angle: float) -> tuple[Grid, Grid]:
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _pattern(texture: str, x: Grid, y: Grid, side: int, random: np.random.Generator) -> Grid:
    """0 or 1 in bands of 2.5 to 3.5 px, or in squares of that side, randomly rotated and shifted."""
    pitch = random.uniform(2.5, 3.5) * 2 / side
    shift = random.uniform(0, 2, 2)
    columns, rows = np.floor(x / pitch + shift[0]), np.floor(y / pitch + shift[1])
    return np.asarray(np.mod(columns + rows * (texture == "checked"), 2))


def _light(x: Grid, y: Grid, random: np.random.Generator) -> Grid:
    """A linear gradient of brightness over the image."""
    slope = random.normal(0, 18, 2)
    return np.asarray(slope[0] * x + slope[1] * y)


def _colours(random: np.random.Generator) -> NDArray[np.float64]:
    """The dark and light colours of the shape, and that of the background (3, 3)."""
    colours = random.uniform(40, 215, (2, 3))
    contrast = random.uniform(35, 80)
    return np.stack([colours[0] - contrast, colours[0] + contrast, colours[1]])


class GeneratedSamples(Samples):
    """Images that are generated on demand; each depends on its number and the seed only."""

    def __init__(self, split: str, count: int, side: int, seed: int) -> None:
        """Generate `count` images; the numbers of images per class differ by at most one."""
        order = np.random.Generator(np.random.PCG64(int(key(f"labels of {split}", seed))))
        super().__init__(order.permutation(np.arange(count) % len(CLASSES)).astype(np.int64))
        self._split = split
        self._side = side
        self._seed = seed

    def name(self, index: int) -> str:
        """Split and number of the image."""
        return f"generated {self._split} image {index}"

    def picture(self, index: int) -> NDArray[np.uint8]:
        """The pixels."""
        random = np.random.Generator(np.random.PCG64(int(key(f"image of {self._split}", self._seed, index))))
        return draw(int(self.labels[index]), self._side, random)


class GeneratedSource(Source):
    """A source of generated images."""

    def __init__(self, num_train: int, num_test: int, side: int = 36, seed: int = 0) -> None:
        """Numbers of images, their side in px, and a seed.

        Raises:
            RaysweepError: fewer training images than classes, no test image, or images that are too small.
        """
        if num_train < len(CLASSES) or num_test < 1:
            raise RaysweepError(
                f"cannot generate {num_train} training and {num_test} test images: a generated set has {len(CLASSES)} "
                f"classes and needs at least {len(CLASSES)} and 1."
            )
        if side < MIN_SIDE:
            raise RaysweepError(f"generated images of {side} px are too small: use at least {MIN_SIDE}.")
        self.name = "generated"
        self.spec = f"generated: {num_train} + {num_test} of {side} px, seed {seed}"
        self.classes = CLASSES
        counts = {"train": num_train, "test": num_test}
        self.splits = {split: GeneratedSamples(split, count, side, seed) for split, count in counts.items()}
