"""Calls of an actor that wait for a condition; in a large sweep there are thousands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

Ready = Callable[[], bool]


class Waits:
    """The calls that wait. Only those whose condition holds are woken; one lock for all would wake all each time."""

    def __init__(self) -> None:
        self._calls: dict[asyncio.Future[None], Ready] = {}

    def wake(self) -> None:
        """Wake the calls whose condition holds; to be called after every change."""
        for call in [call for call, ready in self._calls.items() if not call.done() and ready()]:
            call.set_result(None)

    async def until(self, ready: Ready, timeout_s: float | None = None) -> None:
        """Wait until a condition holds, or until the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not ready():
                    await self._wait(ready)

    async def _wait(self, ready: Ready) -> None:
        call = asyncio.get_running_loop().create_future()
        self._calls[call] = ready
        try:
            await call
        finally:
            del self._calls[call]
