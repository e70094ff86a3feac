from __future__ import annotations

import asyncio

from raysweep.orchestrate.waits import Waits


def test_a_call_returns_when_its_condition_holds_and_no_other_is_woken() -> None:
    async def scene() -> None:
        waits, asked, done = Waits(), [0] * 3, [False] * 3

        def ready(number: int) -> bool:
            asked[number] += 1
            return done[number]

        calls = [asyncio.create_task(waits.until(lambda number=number: ready(number))) for number in range(3)]
        await asyncio.sleep(0)
        done[1] = True
        waits.wake()
        await calls[1]
        assert [call.done() for call in calls] == [False, True, False]
        assert asked == [2, 3, 2], "at the start, when woken, and the one that goes on once more"
        done[0] = done[2] = True
        waits.wake()
        await asyncio.gather(*calls)

    asyncio.run(scene())


def test_a_condition_that_no_longer_holds_is_waited_for_again() -> None:
    async def scene() -> None:
        waits, there = Waits(), ["one"]

        async def take() -> str:
            await waits.until(lambda: bool(there))
            return there.pop()

        there.clear()
        calls = [asyncio.create_task(take()) for _ in range(2)]
        await asyncio.sleep(0)
        there.append("first")
        waits.wake()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sum(call.done() for call in calls) == 1
        there.append("second")
        waits.wake()
        assert set(await asyncio.gather(*calls)) == {"first", "second"}

    asyncio.run(scene())


def test_a_call_gives_up_in_the_end_and_leaves_nothing_behind() -> None:
    async def scene() -> None:
        waits = Waits()
        await waits.until(lambda: False, 0.001)
        waiting = asyncio.create_task(waits.until(lambda: False))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert not waits._calls

    asyncio.run(scene())
