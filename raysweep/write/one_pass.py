"""The pass over the images of a source: all that are not in the files yet are encoded and added, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from raysweep.write.estimate import RAW_BELOW
from raysweep.write.forms import Forms
from raysweep.write.left_over import Request
from raysweep.write.staging import Staging
from raysweep.write.workers import Encoders, Task

CHUNK = 100
"""Images that a worker takes at a time, at most."""


class OtherEncodingError(Exception):
    """The images together have turned out to want another encoding than the sample said."""

    def __init__(self, name: str, encoding: str) -> None:
        """`name` of the form, and what it should have."""
        super().__init__(f"{name or 'main'}: {encoding}")
        self.name, self.encoding = name, encoding


def encode_rest(request: Request, staging: Staging, encoders: Encoders, asked: Forms, chunk: int) -> None:
    """Add all images that are missing; those that were bad before are tried again unless they are to be left out.

    Raises:
        OtherEncodingError: `asked` leaves the encoding to us, and stored as pixels the images take too much.
        RaysweepError: workers or sources that fail.
        OSError: no space, or a disk that fails.
    """
    request.progress(staging.count, staging.total)
    for split in staging.files:
        again = [] if request.skip_bad else sorted(staging.bad[split])
        for indices in (again, np.flatnonzero(~staging.seen[split])):
            tasks = _tasks(staging, split, np.array(indices, np.int64), chunk)
            for encoded in encoders.encode(tasks):
                staging.add(split, encoded)
                refuse_too_large(staging, asked)
                request.progress(staging.count, staging.total)
    staging.save()


def _tasks(staging: Staging, split: str, indices: NDArray[np.int64], chunk: int) -> Iterator[Task]:
    forms = tuple(staging.job.forms.values())
    for first in range(0, len(indices), chunk):
        yield Task(split, indices[first : first + chunk].tolist(), forms)


def refuse_too_large(staging: Staging, asked: Forms) -> None:
    """Stop as soon as a set whose encoding is left to us has more pixels than are stored as such.

    Raises:
        OtherEncodingError: it has.
    """
    for name in _left_to_us(staging, asked, "raw"):
        if staging.pixel_bytes(name) >= RAW_BELOW:
            raise OtherEncodingError(name, "jpg")


def check_encodings(staging: Staging, asked: Forms) -> None:
    """Whether what was left to us is as it would have been chosen had all images been known.

    Raises:
        OtherEncodingError: it is not.
    """
    for name in _left_to_us(staging, asked, "jpg"):
        if staging.pixel_bytes(name) < RAW_BELOW:
            raise OtherEncodingError(name, "raw")


def _left_to_us(staging: Staging, asked: Forms, now: str) -> Sequence[str]:
    return [name for name, form in staging.job.forms.items() if asked[name].encoding == "auto" and form.encoding == now]
