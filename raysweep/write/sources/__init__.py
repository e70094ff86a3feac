"""Sources of images; `kinds.py` lists them."""

from __future__ import annotations

import stat
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from raysweep.errors import RaysweepError
from raysweep.safe import printable
from raysweep.write.sources.base import Source, unreadable
from raysweep.write.sources.kind import Options

TORCHVISION = "torchvision:"
LOOKED_AT = 10_000
"""Number of files whose suffixes may explain why a folder is no set."""


def open_source(spec: str, **options: Any) -> Source:
    """Open a source: class folders, Parquet, tables of paths and labels, WebDataset, or `torchvision:CIFAR10`.

    A source without a test split is tested on a fixed share of the images of each class.

    Args:
        spec: its path or name.
        options: fields of `Options`; None stands for the default.

    Raises:
        RaysweepError: the source does not exist or cannot be read.
    """
    how = replace(Options(), **{name: value for name, value in options.items() if value is not None})
    return completed(_open(spec, how), how.holdout)


def completed(source: Source, holdout: float | None = None) -> Source:
    """The source, with a share of its training images held out if it has no test split or a share is asked for.

    Raises:
        RaysweepError: the share is not between 0 and 1.
    """
    if "test" in source.splits and holdout is None:
        return source
    from raysweep.write.sources.hold_out import SHARE, HeldOut

    return HeldOut(source, SHARE if holdout is None else holdout)


def _open(spec: str, how: Options) -> Source:
    if spec.startswith(TORCHVISION):
        from raysweep.write.sources.torchvision_sets import TorchvisionSource

        return TorchvisionSource(spec.removeprefix(TORCHVISION), how.root, how.download)
    from raysweep.write.sources.kinds import KINDS

    path = Path(spec)
    _check_kind(path)
    try:
        kind = next((kind for kind in KINDS if kind.recognises(path)), None)
    except OSError as error:
        raise unreadable(error, path) from None
    return kind.open(path, how) if kind else _open_folder(path, how)


def _check_kind(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise RaysweepError(f"{printable(str(path))} cannot be used ({error.strerror}): give {_forms()}.") from None
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise RaysweepError(f"{printable(str(path))} is neither a file nor a folder.")


def _forms() -> str:
    """What a source can be, in words."""
    from raysweep.write.sources.kinds import KINDS

    return f"{', '.join(kind.form for kind in KINDS)}, or torchvision:NAME"


def _open_folder(path: Path, how: Options) -> Source:
    """What no kind recognises may be a folder of classes, or be refused with the next step."""
    from raysweep.write.sources.folder import KIND
    from raysweep.write.sources.other_formats import advice
    from raysweep.write.sources.walk import files_below, is_image

    shown = printable(str(path))
    if not path.is_dir():
        raise RaysweepError(f"{shown} is none of {_forms()}.{advice([path.name])}")
    try:
        return KIND.open(path, how)
    except RaysweepError as error:
        names = list(islice(files_below(path), LOOKED_AT))
        hint = advice(names)
        if hint and not any(map(is_image, names)):
            raise RaysweepError(f"{shown} is none of {_forms()}.{hint}") from None
        raise RaysweepError(f"{error}{hint}") from None
