"""Numbers, times and values as text for a person to read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from raysweep.errors import RaysweepError

UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def short(number: float | None) -> str:
    """A large number in three digits and a unit: 13.3 M."""
    if number is None:
        return "-"
    for size, unit in UNITS:
        if abs(number) >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


def percent(share: float | None) -> str:
    """A share (0..1) as points of a hundred."""
    return "-" if share is None else f"{100 * share:.1f}"


def duration(seconds: float | None) -> str:
    """Seconds as h:mm:ss or m:ss."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rough_duration(seconds: float) -> str:
    """An estimate of a time in the unit that suits it: 40 s, 38 min, 5.2 h."""
    if seconds < 90:
        return f"{max(1, round(seconds)) if seconds else 0} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_DURATION = re.compile(rf"(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?")


def seconds_in(text: str) -> float:
    """The seconds of a duration that a person writes: 2h, 90m, 1h30m, 45s, 0.5h.

    Raises:
        RaysweepError: it has another form, or is nothing.
    """
    found = _DURATION.fullmatch(re.sub(r"\s", "", text.lower()))
    hours, minutes, seconds = (float(part or 0) for part in (found.groups() if found else ("", "", "")))
    total = 3600 * hours + 60 * minutes + seconds
    if 0 < total < math.inf:
        return total
    raise RaysweepError(f"{text!r} is not a duration: write it as 2h, 90m, 1h30m or 45s.")


def brief(value: Any) -> str:
    """A value as `--set` would take it."""
    if isinstance(value, tuple):
        return ",".join(map(brief, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def as_set(settings: Mapping[str, Any]) -> str:
    """Settings in one line, each as `--set` would take it."""
    return ", ".join(f"{path}={brief(value)}" for path, value in settings.items())


def json_text(rows: Any) -> str:
    """Rows as JSON: times as ISO 8601, null for numbers that JSON lacks, such as the loss of a diverged trial."""
    return json.dumps(_plain(rows), indent=2, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, str | int | float | None) else str(value)
