from __future__ import annotations

import threading
import time

import pytest

from raysweep.data.prefetch import Prefetch


def test_values_come_in_order() -> None:
    with Prefetch(lambda k: k * k, 3, 9) as values:
        assert list(values) == [9, 16, 25, 36, 49, 64]


def test_nothing_to_make_is_no_wait() -> None:
    with Prefetch(lambda k: k, 5, 5) as values:
        assert list(values) == []


@pytest.mark.parametrize("failing", [0, 3])
def test_an_error_is_raised_at_its_place(failing: int) -> None:
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


def test_work_is_done_ahead_but_not_too_far() -> None:
    made: list[int] = []
    with Prefetch(lambda k: made.append(k), 0, 100, depth=2) as values:
        time.sleep(0.1)
        assert made == [0, 1]
        next(iter(values))
        time.sleep(0.1)
        assert made == [0, 1, 2]


def test_waiting_is_counted() -> None:
    with Prefetch(lambda k: time.sleep(0.05), 0, 4) as values:
        list(values)
    assert 0.1 < values.wait_s < 2


def test_waiting_beside_other_work_is_not_counted() -> None:
    with Prefetch(lambda k: time.sleep(0.05), 0, 4, busy=lambda: True) as values:
        assert len(list(values)) == 4
    assert values.wait_s == 0
