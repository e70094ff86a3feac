"""The sizes and encodings in which the images of a source are stored. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from raysweep.data.manifest import ENCODINGS, Manifest, subfolder_name
from raysweep.errors import RaysweepError
from raysweep.validate import RESCALES

MAIN = ""
"""The name that stands for the folder itself among the names of its subfolders."""


@dataclass(frozen=True)
class Form:
    """One size of the images and its encoding."""

    side: int | None = None
    """Short side, px; none keeps the original size."""
    rescale: str = "auto"
    encoding: str = "auto"
    """jpg, raw, mixed, or auto: raw if that takes less than a GiB, else jpg."""
    quality: int = 90
    """JPEG quality, 1 to 100."""
    raw_share: float = 0.5
    """With mixed: the share of the images that is stored as pixels; the others are stored as JPEG."""

    def check(self) -> None:
        """Refuse invalid values.

        Raises:
            RaysweepError: names the option and its valid values.
        """
        if self.encoding not in ("auto", *ENCODINGS):
            raise RaysweepError(f"encoding is {self.encoding!r}: use auto, {' or '.join(ENCODINGS)}.")
        if not 1 <= self.quality <= 100:
            raise RaysweepError(f"quality is {self.quality}: it must be 1 to 100.")
        if not 0 < self.raw_share < 1:
            raise RaysweepError(
                f"raw_share is {self.raw_share}: it must be between 0 and 1; instead of 0 or 1, use jpg or raw."
            )
        if self.side is not None and self.side < 1:
            raise RaysweepError(f"side is {self.side}: it must be at least 1 pixel; omit it to keep the original size.")
        if self.rescale not in RESCALES:
            raise RaysweepError(f"rescale is {self.rescale!r}: use {', '.join(RESCALES)}.")
        if self.side is None and self.rescale != "auto":
            raise RaysweepError(f"rescale is {self.rescale}, but images are only resized to a given side: add --side.")

    def differences(self, manifest: Manifest) -> list[str]:
        """The options in which an existing set differs, in words; options that are auto here never differ."""
        found: dict[str, tuple[object, object]] = {
            "side": (manifest.short_side, self.side),
            "rescale": (manifest.rescale, self.rescale),
        }
        if self.encoding != "auto":
            found["encoding"] = (manifest.encoding, self.encoding)
        if self.encoding in ("jpg", "mixed"):
            found["quality"] = (manifest.quality, self.quality)
        if self.encoding == "mixed":
            found["raw_share"] = (manifest.raw_share, self.raw_share)
        return [f"{name} {there}, not {here}" for name, (there, here) in found.items() if there != here]


Forms = Mapping[str, Form]
"""Forms by the name of their folder: `MAIN` or a subfolder."""


def make_forms(main: Form, also: Sequence[str]) -> dict[str, Form]:
    """The form of the folder itself and those of its subfolders, which are given as `80` or `144-nearest`.

    Without a method after the side, images are rescaled like those of the folder itself.

    Raises:
        RaysweepError: a form is invalid or given twice.
    """
    main.check()
    forms = {MAIN: main}
    for text in also:
        side, rescale = _size(text)
        form = replace(main, side=side, rescale=rescale or main.rescale)
        form.check()
        name = subfolder_name(side, form.rescale)
        if name in forms or (main.side, main.rescale) == (side, form.rescale):
            raise RaysweepError(f"--also {text}: images of {side} px, rescaled {form.rescale}, are asked for twice.")
        forms[name] = form
    return forms


def _size(text: str) -> tuple[int, str]:
    side, _, rescale = text.strip().partition("-")
    if not side.isdecimal():
        raise RaysweepError(f"--also {text!r}: give short sides in pixels, such as 80,110 or 144-nearest.")
    return int(side), rescale
