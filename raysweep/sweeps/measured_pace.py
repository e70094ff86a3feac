"""Measure how fast this machine trains: a few seconds of the baseline, in as many processes as trials run at once."""

from __future__ import annotations

from collections.abc import Callable

from raysweep.pace import Pace, recalled
from raysweep.request import Request


def pace_here(request: Request, note: Callable[[str], None], threads: int = 1) -> Pace:
    """The pace of this machine for the baseline of a request: remembered, or measured now.

    On the images of the request if they have been written, else on generated ones of the same side.

    Raises:
        RaysweepError: the baseline cannot be trained here. Nothing is remembered then.
    """
    if found := recalled(request.baseline(), threads):
        return found
    raise NotImplementedError
