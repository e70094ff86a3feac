from __future__ import annotations

import itertools
import threading
from types import SimpleNamespace

import pytest

from raysweep.data import prefetch
from raysweep.data.prefetch import Prefetch


def test_values_come_in_order() -> None:
    with Prefetch(lambda k: k * k, 3, 9) as values:
        assert list(values) == [9, 16, 25, 36, 49, 64]


def test_an_empty_range_gives_no_values() -> None:
    with Prefetch(lambda k: k, 5, 5) as values:
        assert list(values) == []


@pytest.mark.parametrize("failing", [0, 3])
def test_an_error_is_raised_in_place_of_its_value(failing: int) -> None:
    def make(k: int) -> int:
        if k == failing:
            raise ValueError("no such batch")
        return k

    with Prefetch(make, 0, 10) as values:
        each = iter(values)
        assert [next(each) for _ in range(failing)] == list(range(failing))
        with pytest.raises(ValueError, match="no such batch"):
            next(each)


def test_leaving_early_ends_the_thread() -> None:
    before = threading.active_count()
    made: list[int] = []
    with Prefetch(lambda k: made.append(k), 0, 1000, depth=3) as values:
        for _ in values:
            break
    assert threading.active_count() == before
    assert len(made) < 6


def test_exactly_depth_values_are_made_ahead() -> None:
    made: list[int] = []
    with Prefetch(lambda k: made.append(k), 0, 100, depth=2) as values:
        each = iter(values)
        for ahead in ([0, 1], [0, 1, 2]):
            values._thread.submit(int).result()  # runs after all that has been ordered
            assert made == ahead
            next(each)


@pytest.mark.parametrize(("busy", "waited_s"), [(False, 4), (True, 0)])
def test_a_wait_is_counted_unless_the_consumer_has_other_work(
    busy: bool, waited_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()
    monkeypatch.setattr(prefetch, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    with Prefetch(lambda k: k, 0, 4, busy=lambda: busy) as values:
        assert len(list(values)) == 4
    assert values.wait_s == waited_s
