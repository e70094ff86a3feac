"""What a kind of source is: how to recognise one, and how to open it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from raysweep.write.sources.base import Source


@dataclass(frozen=True)
class Options:
    """How to read a source; a kind ignores what does not concern it."""

    root: Path = Path("downloads")
    """Folder of torchvision's sets."""
    download: bool = False
    image_column: str | None = None
    label_column: str | None = None
    holdout: float | None = None
    """Share of the training images to test on; None uses the test split of the source, if it has one."""


@dataclass(frozen=True)
class Kind:
    """A kind of source that is a file or a folder."""

    form: str
    """What it looks like, for messages."""
    recognises: Callable[[Path], bool]
    """Whether a path is one; may raise an OSError if it cannot be read."""
    open: Callable[[Path, Options], Source]
