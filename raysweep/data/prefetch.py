"""Batches computed ahead in a thread while the consumer trains."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetch(Generic[T]):
    """Iterates over make(start), ..., make(stop - 1); use as a context manager.

    An exception in `make` is raised where its value would have been returned. Leaving early waits only for the value
    that is being made.
    """

    def __init__(
        self,
        make: Callable[[int], T],
        start: int,
        stop: int,
        depth: int = 2,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """Make `depth` values ahead, at least 1.

        `busy` is called at the end of a wait: if the consumer has had other work all the time, the wait is not counted.
        """
        self.wait_s = 0.0
        """Seconds that the consumer has waited without other work."""
        self._busy = busy
        self._make = make
        self._numbers = iter(range(start, stop))
        self._ahead: deque[Future[T]] = deque()
        self._depth = max(1, depth)
        self._thread = ThreadPoolExecutor(1, "raysweep-prefetch")

    def __enter__(self) -> Prefetch[T]:
        for _ in range(self._depth):
            self._order_next()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._ahead.clear()

    def __iter__(self) -> Iterator[T]:
        while self._ahead:
            start = time.perf_counter()
            value = self._ahead.popleft().result()
            if not self._busy():
                self.wait_s += time.perf_counter() - start
            self._order_next()
            yield value

    def _order_next(self) -> None:
        number = next(self._numbers, None)
        if number is not None:
            self._ahead.append(self._thread.submit(self._make, number))
