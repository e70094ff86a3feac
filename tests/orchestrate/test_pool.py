"""The pool's logic without Ray: gangs and Tune are played by calls."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from raysweep.orchestrate import pool as pool_module
from raysweep.orchestrate import restarts
from raysweep.orchestrate.leases import MAX_LOSSES, Offer
from raysweep.orchestrate.ledger import LOOK_S
from raysweep.orchestrate.pool import Pool
from raysweep.orchestrate.restarts import AVOID_S, MAX_CRASHES, SHORTAGE_S
from tests.orchestrate.fakes import make_row, make_tasks

Play = Callable[[Pool], Coroutine[Any, Any, None]]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "PAUSE_S", 0.0)


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def others_run() -> None:
    """Let all other tasks run until they wait for something."""
    for _ in range(50):
        await asyncio.sleep(0)


def play(scene: Play, *trials: str, gangs: int = 1, **options: Any) -> Pool:
    async def run() -> Pool:
        pool = Pool(make_tasks(Path(), *trials), [f"gang-{number}" for number in range(gangs)], **options)
        await asyncio.wait_for(scene(pool), timeout=10)
        return pool

    return asyncio.run(run())


async def take(pool: Pool, gang: str = "gang-0") -> tuple[str, int]:
    offer = await pool.take(gang)
    assert offer is not None
    assert offer.task is not None
    return offer.task.trial, offer.attempt


def kinds(pool: Pool, trial: str) -> list[str]:
    return [event.kind for event in pool.events if event.trial == trial]


def test_a_trial_goes_from_tune_to_a_gang_and_its_rows_back() -> None:
    async def scene(pool: Pool) -> None:
        assert await pool.submit("a") == 0
        assert await take(pool) == ("a", 1)
        assert await pool.report("gang-0", "a", 1, make_row("a", 1))
        assert await pool.fetch("a", 0) == ([make_row("a", 1)], False)
        assert await pool.report("gang-0", "a", 1, make_row("a", 2))
        assert await pool.report("gang-0", "a", 1, make_row("a", 3))
        assert await pool.fetch("a", 1) == ([make_row("a", 2), make_row("a", 3)], True)
        await pool.release("gang-0", "a", 1)

    pool = play(scene, "a")
    assert kinds(pool, "a") == ["started", "epoch", "epoch", "epoch", "finished"]
    assert asyncio.run(pool.ends()) == {"a": "finished"}


def test_trials_are_lent_once_each_in_the_plans_order() -> None:
    async def scene(pool: Pool) -> None:
        for trial in ("c", "b", "a", "b"):
            await pool.submit(trial)
        assert [await take(pool, f"gang-{number}") for number in range(3)] == [("a", 1), ("b", 1), ("c", 1)]

    assert not play(scene, "a", "b", "c", gangs=3).waiting.any(alone=False)


def test_an_epoch_trained_again_is_reported_once() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool)
        await pool.report("gang-0", "a", 1, make_row("a", 1))
        await pool.crashed("gang-0", "killed")
        assert await take(pool) == ("a", 2)
        await pool.report("gang-0", "a", 2, make_row("a", 1))
        await pool.report("gang-0", "a", 2, make_row("a", 2))

    pool = play(scene, "a")
    assert [row["epoch"] for row in pool.leases["a"].rows] == [1, 2]
    assert kinds(pool, "a") == ["started", "epoch", "retried", "epoch"]


def test_a_final_row_reported_again_still_ends_the_trial() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool)
        await pool.report("gang-0", "a", 1, make_row("a", 2))
        await pool.crashed("gang-0", "killed")
        await take(pool)
        await pool.report("gang-0", "a", 2, make_row("a", 2, 2))

    assert play(scene, "a").leases["a"].end == "finished"


def test_a_crash_with_no_attempt_left_fails_the_trial_and_keeps_the_reason() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        for _ in range(2):
            await take(pool)
            assert await pool.crashed("gang-0", "Traceback\nMemoryError: no more")

    pool = play(scene, "a", max_attempts=2)
    assert pool.leases["a"].end == "failed"
    assert pool.events[-1].text == "MemoryError: no more"
    assert pool.events[-1].row["error"].startswith("Traceback")


def test_a_gang_that_comes_back_unannounced_has_crashed() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool)
        assert await take(pool) == ("a", 2)

    assert kinds(play(scene, "a"), "a") == ["started", "retried"]


def test_another_gang_takes_over_and_the_old_one_is_not_heard_any_more() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool, "gang-0")
        await pool.crashed("gang-0", "lost its node")
        assert await take(pool, "gang-1") == ("a", 2)
        assert not await pool.report("gang-0", "a", 1, make_row("a", 1))
        await pool.release("gang-0", "a", 1, "too late")

    pool = play(scene, "a", gangs=2)
    assert pool.held == {"gang-1": "a"}
    assert not pool.leases["a"].rows


def test_an_error_is_tried_again_unless_it_is_hopeless() -> None:
    async def scene(pool: Pool) -> None:
        for trial in ("a", "b"):
            await pool.submit(trial)
            await take(pool)
            await pool.release("gang-0", trial, 1, "ValueError: no", trial == "b")
            await pool.fetch(trial, 0) if trial == "b" else await pool.release("gang-0", *await take(pool), "again")

    pool = play(scene, "a", "b")
    assert kinds(pool, "a") == ["started", "retried", "failed"]
    assert kinds(pool, "b") == ["started", "failed"]


def test_a_trial_without_a_final_status_has_failed() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool)
        await pool.release("gang-0", "a", 1)

    assert play(scene, "a").leases["a"].end == "failed"


def test_a_stopped_trial_ends_at_its_next_report() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool)
        assert await pool.report("gang-0", "a", 1, make_row("a", 1))
        stop = asyncio.create_task(pool.stop("a"))
        await others_run()
        assert not await pool.report("gang-0", "a", 1, make_row("a", 2))
        assert not stop.done(), "Tune must not take the trial for over before it is"
        await pool.release("gang-0", "a", 1)
        await stop

    pool = play(scene, "a")
    assert pool.leases["a"].end == "stopped"
    assert pool.events[-1].text == "after epoch 2"


def test_a_stopped_trial_that_waits_for_another_attempt_does_not_get_it() -> None:
    async def scene(pool: Pool) -> None:
        for trial in ("a", "b"):
            await pool.submit(trial)
        await take(pool)
        await pool.crashed("gang-0", "killed")
        await pool.stop("a")
        assert await take(pool) == ("b", 1)

    assert kinds(play(scene, "a", "b"), "a") == ["started", "retried", "stopped"]


def test_what_tune_has_left_when_it_is_done_is_stopped_before_the_pool_closes() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool)
        report = asyncio.create_task(pool.report("gang-0", "a", 1, make_row("a", 1)))
        await others_run()
        finish = asyncio.create_task(pool.finish())
        assert not await report
        assert not pool.closed
        await pool.release("gang-0", "a", 1)
        await finish
        assert [event.kind for event in await pool.next_events()] == ["started", "epoch", "stopped"]

    assert play(scene, "a", patient=True).closed


def test_a_stop_that_comes_with_the_last_epoch_changes_nothing() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool)
        assert await pool.report("gang-0", "a", 1, make_row("a", 3))
        await pool.stop("a")
        await pool.release("gang-0", "a", 1)

    assert play(scene, "a").leases["a"].end == "finished"


def test_a_patient_pool_lets_tune_judge_each_epoch_before_the_next() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool)
        report = asyncio.create_task(pool.report("gang-0", "a", 1, make_row("a", 1)))
        assert await pool.fetch("a", 0) == ([make_row("a", 1)], False)
        await others_run()
        assert not report.done()
        stop = asyncio.create_task(pool.stop("a"))
        assert not await report
        await pool.release("gang-0", "a", 1)
        await stop

    play(scene, "a", patient=True)


def test_a_new_tune_actor_takes_up_where_the_old_one_was() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool)
        await pool.report("gang-0", "a", 1, make_row("a", 1))
        await pool.report("gang-0", "a", 1, make_row("a", 2))
        asyncio.create_task(pool.fetch("a", 1)).cancel()
        waiting = asyncio.create_task(pool.fetch("a", 2))
        await others_run()
        waiting.cancel()
        assert await pool.submit("a") == 2

    play(scene, "a")


def test_an_idle_gang_is_sent_back_to_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "IDLE_S", 0.01)

    async def scene(pool: Pool) -> None:
        assert await pool.take("gang-0") == Offer()

    play(scene, "a")


def test_closing_ends_every_wait() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool, "gang-0")
        waits = [pool.take("gang-1"), pool.fetch("a", 0), pool.next_events()]
        tasks = [asyncio.create_task(wait) for wait in waits]
        await others_run()
        await pool.close()
        idle, (rows, over), events = [await task for task in tasks]
        assert (idle, rows, over) == (None, [], True)
        assert [event.kind for event in events] == ["started"]
        assert not await pool.report("gang-0", "a", 1, make_row("a", 1))
        assert not await pool.crashed("gang-0", "killed")
        assert not await pool.is_wanted("gang-0")
        assert await pool.next_events() == []

    assert play(scene, "a", gangs=2).leases["a"].end == ""


def test_a_gang_that_never_gets_to_work_is_given_up_and_the_last_one_ends_the_sweep() -> None:
    async def scene(pool: Pool) -> None:
        for _ in range(MAX_CRASHES):
            assert await pool.crashed("gang-0", "ImportError: no torch")
        assert not await pool.crashed("gang-0", "ImportError: no torch")
        assert not pool.closed
        assert await pool.take("gang-0") is None
        for _ in range(MAX_CRASHES):
            assert await pool.crashed("gang-1", "ImportError: no torch")
        assert not await pool.crashed("gang-1", "ImportError: no torch")
        assert pool.closed
        assert await pool.why_closed() == "ImportError: no torch"

    pool = play(scene, "a", gangs=2)
    given_up, restarts = (event.text for event in pool.events[3:5])
    assert re.match("gang-0 is given up", given_up)
    assert re.match("gang-1 restarts", restarts)


def test_crashes_between_trials_are_not_added_up() -> None:
    async def scene(pool: Pool) -> None:
        for trial in ("a", "b", "c", "d", "e"):
            await pool.submit(trial)
            await take(pool)
            assert await pool.crashed("gang-0", "killed")

    assert not play(scene, "a", "b", "c", "d", "e", max_attempts=1).closed


def test_a_trial_that_was_not_known_at_the_start_comes_after_the_others() -> None:
    async def scene(pool: Pool) -> None:
        (late,) = make_tasks(Path(), "late")
        await pool.add(late)
        await pool.submit("late")
        await pool.submit("a")
        assert await take(pool) == ("a", 1)
        await pool.report("gang-0", "a", 1, make_row("a", 1, 1))
        await pool.release("gang-0", "a", 1)
        await pool.add(late)
        assert await take(pool) == ("late", 1)
        await pool.report("gang-0", "late", 1, make_row("late", 1))
        assert await pool.result("late") == ("", [make_row("late", 1)])
        assert await pool.result("a") == ("finished", [make_row("a", 1, 1)])

    pool = play(scene, "a")
    assert asyncio.run(pool.ends()) == {"a": "finished", "late": ""}


def test_a_trial_that_gets_on_between_its_faults_has_all_its_attempts_again() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        for epoch in (1, 2, 3):
            assert await take(pool) == ("a", epoch)
            await pool.report("gang-0", "a", epoch, make_row("a", epoch, 9))
            assert await pool.crashed("gang-0", "killed")

    assert kinds(play(scene, "a", max_attempts=2), "a").count("retried") == 3


def test_a_lost_node_does_not_count_as_an_attempt_but_a_trial_that_takes_down_every_node_fails() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        for _ in range(MAX_LOSSES + 1):
            assert not pool.leases["a"].end
            await take(pool)
            assert await pool.crashed("gang-0", "the node has died", loss=True)

    pool = play(scene, "a", max_attempts=1)
    assert pool.leases["a"].end == "failed"
    assert "attempt" not in pool.events[1].text
    assert "the node has died" in pool.events[1].text


def test_a_stopped_trial_whose_gang_dies_is_not_retried() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool)
        stop = asyncio.create_task(pool.stop("a"))
        await others_run()
        await pool.crashed("gang-0", "killed")
        await stop

    assert kinds(play(scene, "a"), "a") == ["started", "stopped"]


def test_gangs_close_when_there_are_more_than_trials_left() -> None:
    async def scene(pool: Pool) -> None:
        for trial in ("a", "b"):
            await pool.submit(trial)
        assert await take(pool, "gang-0") == ("a", 1)
        assert await take(pool, "gang-1") == ("b", 1)
        idle = asyncio.create_task(pool.take("gang-2"))
        assert await idle is None, "two are left for two trials"
        await pool.report("gang-1", "b", 1, make_row("b", 1, 1))
        await pool.release("gang-1", "b", 1)
        assert await pool.take("gang-1") is None
        await pool.crashed("gang-0", "killed")
        assert await take(pool, "gang-0") == ("a", 2)
        await pool.enlist("gang-3")
        assert await pool.take("gang-3") is None

    assert not play(scene, "a", "b", gangs=3).closed


def test_a_worker_of_an_earlier_life_gets_nothing_and_takes_nothing_away() -> None:
    async def scene(pool: Pool) -> None:
        for trial in ("a", "b"):
            await pool.submit(trial)
        first = await pool.settle("gang-0", "node")
        assert await pool.take("gang-0", first) == Offer(pool.leases["a"].task, 1)
        assert await pool.crashed("gang-0", "the node has died", loss=True)
        second = await pool.settle("gang-0", "other")
        assert await pool.settle("gang-0", "other", rank=1) == second
        assert await pool.take("gang-0", second) == Offer(pool.leases["a"].task, 2)
        assert not await pool.report("gang-0", "a", 1, make_row("a", 1))
        assert await pool.take("gang-0", first) is None
        assert await pool.report("gang-0", "a", 2, make_row("a", 1))

    play(scene, "a", "b")


def test_where_a_search_may_propose_more_gangs_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "IDLE_S", 0.01)

    async def scene(pool: Pool) -> None:
        assert await pool.take("gang-1") == Offer()

    play(scene, gangs=2, expected=2)


def test_a_gang_closes_once_the_search_proposes_no_more_and_frees_its_device_for_a_wide_one() -> None:
    async def scene(pool: Pool) -> None:
        await pool.add(make_tasks(Path(), "a")[0])
        await pool.submit("a")
        assert await take(pool) == ("a", 1)
        await pool.release("gang-0", "a", 1, "no memory beside others", short=True)
        waiting = asyncio.ensure_future(pool.take("gang-0"))
        await others_run()
        assert not waiting.done(), "more trials may come"
        await pool.expect(0)
        assert await waiting is None
        assert (await pool.demand()).alone == 1
        await pool.enlist("wide", wide=True)
        assert await take(pool, "wide") == ("a", 2)

    play(scene, expected=9, can_widen=True)


def test_a_gang_on_a_node_that_goes_lets_go_after_the_epoch_and_leaves() -> None:
    async def scene(pool: Pool) -> None:
        await pool.settle("gang-0", "node")
        await pool.submit("a")
        await take(pool)
        assert await pool.report("gang-0", "a", 1, make_row("a", 1))
        assert not await pool.beat("gang-0")
        await pool.tend(["node", "another"])
        assert await pool.beat("gang-0")
        assert not await pool.report("gang-0", "a", 1, make_row("a", 2))
        await pool.release("gang-0", "a", 1)
        assert await pool.take("gang-0") == Offer(leave=True)
        await pool.crashed("gang-0", "the node is about to be taken away", loss=True)
        assert await take(pool) == ("a", 2)

    pool = play(scene, "a", max_attempts=1)
    assert kinds(pool, "a") == ["started", "epoch", "epoch", "retried"]


def test_a_silent_gang_loses_its_trial_and_is_reported_once() -> None:
    clock = Clock()

    async def scene(pool: Pool) -> None:
        assert await pool.tend([]) == [], "one that has nothing owes no sign"
        await pool.submit("a")
        await take(pool)
        for _ in range(3):
            clock.now += 60.0
            await pool.beat("gang-0", "for the store")
            assert await pool.tend([]) == []
        clock.now += 101.0
        assert await pool.tend([]) == ["gang-0"]
        assert await pool.tend([]) == []
        assert await take(pool) == ("a", 2)

    pool = play(scene, "a", silence_s=100.0, clock=clock)
    assert "hangs" in next(event.text for event in pool.events if event.kind == "retried")


def test_a_gang_that_waits_for_tunes_decision_does_not_hang() -> None:
    clock = Clock()

    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool)
        report = asyncio.create_task(pool.report("gang-0", "a", 1, make_row("a", 1)))
        await others_run()
        clock.now += 1000.0
        assert await pool.tend([]) == []
        judged = asyncio.create_task(pool.fetch("a", 1))
        assert await report
        judged.cancel()

    play(scene, "a", patient=True, silence_s=100.0, clock=clock)


def test_the_task_that_shows_an_attempt_lasts_as_long_and_fails_with_it() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        assert await take(pool) == ("a", 1)
        first = asyncio.create_task(pool.show("gang-0", "a", 1))
        await pool.report("gang-0", "a", 1, make_row("a", 1))
        await others_run()
        assert not first.done()
        await pool.release("gang-0", "a", 1, "Traceback\nValueError: bad luck")
        with pytest.raises(RuntimeError, match="^ValueError: bad luck$"):
            await first
        assert await take(pool) == ("a", 2)
        second = asyncio.create_task(pool.show("gang-0", "a", 2))
        await pool.report("gang-0", "a", 2, make_row("a", 3))
        await pool.release("gang-0", "a", 2)
        assert await second is None

    play(scene, "a")


HEAD = "Traceback ...\nray.exceptions.OutOfMemoryError: 1 worker(s) were killed due to the node running low on memory. "


def out_of_memory(*users: tuple[float, str], used: float = 23.1) -> str:
    """The error of a worker that Ray has killed for memory, shortened."""
    lines = "\n".join(f"{100 + number}\t{memory}\t{command}" for number, (memory, command) in enumerate(users))
    return (
        f"{HEAD}Memory on the node (IP: 10.0.0.7, ID: f6ee73) was {used}GB used / 23.54GB limit (0.98)\n"
        "Selected to kill: (Actor(61): task name=RayTrainWorker.__init__, pid=487, actual memory used=1.24GB, worker)\n"
        f"Top 10 memory users: PID\tMEM(GB)\tCOMMAND\n{lines}\nRefer to the documentation on how to address the issue"
    )


OTHERS = out_of_memory((20.1, "python hog.py"), (1.24, "ray::RayTrainWorker"))
OURS = out_of_memory((18.0, "ray::RayTrainWorker"), (1.2, "firefox"))


def test_a_trial_killed_for_memory_that_others_took_is_tried_again_whatever_its_attempts() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        for attempt in range(1, 2 * MAX_LOSSES):
            assert await take(pool) == ("a", attempt)
            assert await pool.crashed("gang-0", OTHERS)
        await take(pool)
        await pool.report("gang-0", "a", attempt + 1, make_row("a", 1, 1))

    pool = play(scene, "a", max_attempts=1, can_widen=True, clock=Clock())
    assert pool.leases["a"].end == "finished"
    assert not pool.leases["a"].alone, "it waits for the memory, not for a node of its own"
    text = next(event.text for event in pool.events if event.kind == "retried")
    for fact in ("10.0.0.7", "0.4 of 23.5 GB free", "`python hog.py`: 20.1 GB", "1.2 GB"):
        assert fact in text
    assert "attempt" not in text


def test_a_trial_killed_for_memory_that_trials_took_gets_a_device_of_its_own() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool)
        assert await pool.crashed("gang-0", OURS)
        assert (await pool.demand()).alone == 1

    play(scene, "a", max_attempts=1, can_widen=True)


def test_pauses_grow_while_memory_is_short_and_only_a_long_shortage_ends_the_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(restarts, "PAUSE_S", 5.0)
    clock, pauses = Clock(), list[float | None]()

    class Hasty(Pool):
        """Its pauses take no time but on the clock."""

        async def _until(self, ready: Callable[[], bool], timeout_s: float | None = None) -> None:
            pauses.append(timeout_s)
            clock.now += timeout_s or 0.0

    async def scene() -> Pool:
        pool = Hasty(make_tasks(Path(), "a"), ["gang-0"], max_attempts=1, clock=clock)
        await pool.submit("a")
        for _ in range(100):
            pool._lend(pool.gangs["gang-0"])  # its `take` would wait
            if not await pool.crashed("gang-0", OTHERS):
                break
        return pool

    pool = asyncio.run(scene())
    assert pauses[:7] == [5, 10, 20, 40, 80, 120, 120]
    assert SHORTAGE_S < clock.now < 2 * SHORTAGE_S
    assert pool.closed
    assert asyncio.run(pool.ends()) == {"a": ""}
    assert "hog.py" in asyncio.run(pool.why_closed())


def test_a_shortage_is_over_when_something_was_trained() -> None:
    clock = Clock()

    async def scene(pool: Pool) -> None:
        for trial in ("a", "b"):
            await pool.submit(trial)
        await take(pool, "gang-0")
        await take(pool, "gang-1")
        for _ in range(3):  # another gang trains: the sweep goes on
            assert await pool.crashed("gang-0", OTHERS)
            clock.now += SHORTAGE_S
            await pool.take("gang-0")
        await pool.report("gang-1", "b", 1, make_row("b", 1))
        await pool.crashed("gang-1", "killed")
        assert await pool.crashed("gang-0", OTHERS), "an epoch has ended since the last kill"
        await take(pool, "gang-0")
        clock.now += SHORTAGE_S + 1
        assert await pool.crashed("gang-0", OTHERS), "it has trained all the time since the last kill"

    assert not play(scene, "a", "b", gangs=2, max_attempts=9, clock=clock).closed


def test_a_node_where_a_gang_was_given_up_is_left_alone_for_longer_each_time_and_named() -> None:
    clock = Clock()

    async def fail_on(pool: Pool, gang: str) -> None:
        for again in (True,) * MAX_CRASHES + (False,):
            await pool.place(gang, {"id7": "10.0.0.7"})
            assert await pool.crashed(gang, "ImportError: no torch") == again

    async def scene(pool: Pool) -> None:
        for times, gang in ((1, "gang-1"), (2, "gang-2"), (4, "gang-3")):
            await pool.enlist(gang)
            assert (await pool.demand()).avoid == frozenset()
            await fail_on(pool, gang)
            assert "10.0.0.7" in pool.events[-1].text
            clock.now += times * AVOID_S - 1
            assert (await pool.demand()).avoid == {"id7"}
            clock.now += 1
        await pool.enlist("gang-4")
        await pool.place("gang-4", {"id7": "10.0.0.7"})
        await pool.submit("a")
        await take(pool, "gang-4")
        await pool.enlist("gang-5")
        await fail_on(pool, "gang-5")
        clock.now += AVOID_S
        assert (await pool.demand()).avoid == frozenset(), "a gang has taken a trial there: the count starts again"

    assert not play(scene, "a", clock=clock).closed


def test_a_trial_of_another_sweep_is_looked_at_again_while_gangs_take_others() -> None:
    clock = Clock()

    async def scene(pool: Pool) -> None:
        for trial in ("a", "b"):
            await pool.submit(trial)
        assert await take(pool, "gang-0") == ("a", 1)
        await pool.release("gang-0", "a", 1, elsewhere="node7")
        assert await take(pool, "gang-0") == ("b", 1), "a waits"
        for _ in range(2):
            await pool.tend([])
            assert (await pool.demand()).elsewhere == 1
            clock.now += LOOK_S
            await pool.tend([])
            assert await take(pool, "gang-1") == ("a", 1)
            await pool.release("gang-1", "a", 1, elsewhere="node7")
        clock.now += LOOK_S
        await pool.tend([])
        assert await take(pool, "gang-1") == ("a", 1)
        await pool.report("gang-1", "a", 1, make_row("a", 3))
        assert (await pool.demand()).elsewhere == 0

    pool = play(scene, "a", "b", gangs=2, clock=clock)
    assert kinds(pool, "a") == ["started", "elsewhere", "epoch", "finished"]


def test_a_trial_of_another_sweep_can_be_stopped() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool)
        await pool.release("gang-0", "a", 1, elsewhere="node7")
        await others_run()
        await pool.stop("a")

    assert play(scene, "a").leases["a"].end == "stopped"


def test_a_trial_that_is_stopped_while_a_gang_looks_at_it_ends() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool)
        stop = asyncio.create_task(pool.stop("a"))
        await others_run()
        await pool.release("gang-0", "a", 1, elsewhere="node7")
        await stop

    assert play(scene, "a").leases["a"].end == "stopped"


def test_a_trial_lost_to_another_sweep_has_another_attempt_here() -> None:
    async def scene(pool: Pool) -> None:
        await pool.submit("a")
        await take(pool)
        await pool.release("gang-0", "a", 7, elsewhere="node7")
        assert pool.held == {"gang-0": "a"}, "another attempt cannot give it back"
        await pool.report("gang-0", "a", 1, make_row("a", 1))
        await pool.release("gang-0", "a", 1, elsewhere="node7")
        assert pool.held == {}

    assert kinds(play(scene, "a"), "a") == ["started", "epoch", "elsewhere"]
