from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import pytest

from raysweep.errors import RaysweepError
from raysweep.units import brief, duration, json_text, rough_duration, seconds_in, short


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (short(13_300_072), "13.3 M"),
        (short(999), "999"),
        (short(None), "-"),
        (duration(3_725.4), "1:02:05"),
        (duration(59.6), "1:00"),
        (rough_duration(0), "0 s"),
        (rough_duration(40), "40 s"),
        (rough_duration(2_300), "38 min"),
        (rough_duration(18_700), "5.2 h"),
        (brief((1.0, 0.25)), "1,0.25"),
        (brief(True), "true"),
    ],
)
def test_numbers_and_times_as_text(text: str, expected: str) -> None:
    assert text == expected


def test_json_has_null_for_what_is_no_number_and_iso_times() -> None:
    rows = [
        {"loss": float("nan"), "best": float("inf"), "at": datetime(2026, 11, 30, 17, 5, tzinfo=UTC), "n": (1, True)}
    ]
    text = json_text(rows)
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text) == [{"loss": None, "best": None, "at": "2026-11-30T17:05:00+00:00", "n": [1, True]}]


@pytest.mark.parametrize("seconds", [None, math.nan, math.inf])
def test_a_time_that_is_none(seconds: float | None) -> None:
    assert duration(seconds) == "-"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45s", 45), ("0.5h", 1800), (".5h", 1800), ("1H 30M 5s", 5405)],
)
def test_a_duration_as_people_write_it(text: str, seconds: float) -> None:
    assert seconds_in(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "2", "2 hours", "h", "-1h", "0h", "30m1h", "1e3s", "nanh", "infs", "9" * 400 + "h"]
)
def test_what_is_no_duration_is_named(text: str) -> None:
    with pytest.raises(RaysweepError) as caught:
        seconds_in(text)
    assert repr(text) in str(caught.value)
