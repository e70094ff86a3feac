"""In which sizes and encodings the images of a source are stored, and what the folders of the sizes are called.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from raysweep.data.manifest import ENCODINGS, Manifest
from raysweep.errors import RaysweepError
from raysweep.validate import RESCALES

MAIN = ""
"""Name of the folder itself among its subfolders."""


@dataclass(frozen=True)
class Form:
    """One size of the images and how it is encoded."""

    side: int | None = None
    """Short side, px; none: as the images are."""
    rescale: str = "auto"
    encoding: str = "auto"
    """jpg, raw, mixed, or auto: raw where that takes less than a GiB, else jpg."""
    quality: int = 90
    """Of JPEG."""
    raw_share: float = 0.5
    """Of mixed: which share of the images is stored as pixels, the others as JPEG."""

    def check(self) -> None:
        """Refuse values without meaning.

        Raises:
            RaysweepError: names the option and what it may be.
        """
        if self.encoding not in ("auto", *ENCODINGS):
            raise RaysweepError(f"encoding is {self.encoding!r}: use auto, {' or '.join(ENCODINGS)}.")
        if not 1 <= self.quality <= 100:
            raise RaysweepError(f"quality is {self.quality}: JPEG has 1 to 100.")
        if not 0 < self.raw_share < 1:
            raise RaysweepError(
                f"raw_share is {self.raw_share}: more than 0 and less than 1; for 0 or 1 use jpg or raw."
            )
        if self.side is not None and self.side < 1:
            raise RaysweepError(f"side is {self.side}: give the short side to store in pixels, or none to keep it.")
        if self.rescale not in RESCALES:
            raise RaysweepError(f"rescale is {self.rescale!r}: use {', '.join(RESCALES)}.")
        if self.side is None and self.rescale != "auto":
            raise RaysweepError(f"rescale is {self.rescale}, but without a side nothing is resized: add --side.")

    def differences(self, manifest: Manifest) -> list[str]:
        """What a set that is there has otherwise, in words; what was left to us does not count."""
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
        return [f"{name} {there}, not {wanted}" for name, (there, wanted) in found.items() if there != wanted]


Forms = Mapping[str, Form]
"""By the name of their folder: `MAIN` or a subfolder."""


def subfolder_name(side: int, rescale: str) -> str:
    """Where a further size of the images of a folder lies: `short80`, `short144-nearest`."""
    return f"short{side}" + (f"-{rescale}" if rescale != "auto" else "")


def size_text(side: int, rescale: str, main: str) -> str:
    """A further size as `make_forms` takes it, where the folder's own images are rescaled as `main` says."""
    return f"{side}" + (f"-{rescale}" if rescale != main else "")


def make_forms(main: Form, also: Sequence[str]) -> dict[str, Form]:
    """The form of the folder itself and those of its subfolders, given as `80` or `144-nearest`.

    Without a word after the side the images are resized as those of the folder itself are.

    Raises:
        RaysweepError: a form without meaning, or one that is named twice.
    """
    main.check()
    forms = {MAIN: main}
    for text in also:
        side, rescale = _size(text)
        form = replace(main, side=side, rescale=rescale or main.rescale)
        form.check()
        name = subfolder_name(side, form.rescale)
        if name in forms or (main.side, main.rescale) == (side, form.rescale):
            raise RaysweepError(f"--also {text}: images of {side} px, rescaled {form.rescale}, are named twice.")
        forms[name] = form
    return forms


def _size(text: str) -> tuple[int, str]:
    side, _, rescale = text.strip().partition("-")
    if not side.isdecimal():
        raise RaysweepError(f"--also {text!r}: give short sides in pixels, such as 80,110 or 144-nearest.")
    return int(side), rescale
