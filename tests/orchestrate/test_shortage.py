"""Shortages of memory: what Ray's reports say, and sweeps that wait until they are over."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError, OutOfMemoryError

from raysweep.errors import RaysweepError
from raysweep.orchestrate import outlasting, tuner
from raysweep.orchestrate.events import Event, OnEvent, Outcome, headline
from raysweep.orchestrate.outlasting import outlast_shortages
from raysweep.orchestrate.ray_sweep import ShortOfMemoryError, run_on_ray
from raysweep.orchestrate.restarts import CALM_S, SHORTAGE_S
from raysweep.orchestrate.shortage import find_shortage, starved
from raysweep.process.machine import Memory, usable_memory
from tests.orchestrate.clusters import cluster_of
from tests.orchestrate.conftest import RAYS_OWN_WARNINGS
from tests.orchestrate.fakes import Listener, make_row, make_tasks, train_slowly
from tests.orchestrate.test_pool import OTHERS, OURS, Clock, out_of_memory

pytestmark = RAYS_OWN_WARNINGS
GIB = 2**30


def test_a_report_names_the_node_its_memory_and_who_has_it() -> None:
    shortage = find_shortage(OTHERS)
    assert shortage is not None
    assert (shortage.node, shortage.used, shortage.total) == ("10.0.0.7", 23.1, 23.54)
    assert shortage.victims == (1.24,)
    assert shortage.users == ((20.1, "python hog.py"), (1.24, "ray::RayTrainWorker"))
    assert headline(OTHERS) == shortage.text


@pytest.mark.parametrize(
    ("error", "others"),
    [
        (OTHERS, True),
        (OURS, False),
        (out_of_memory((9.0, "firefox"), *[(4.0, "ray::RayTrainWorker")] * 3), False),
        ("Traceback\ntorch.OutOfMemoryError: tried to allocate 2 GiB", False),
        ("ValueError: the node is running low on memory", False),
    ],
)
def test_who_is_to_blame(error: str, others: bool) -> None:
    assert starved(error) == others


class Sweeps:
    """Stands for sweeps that one after another lose their central process."""

    def __init__(self, clock: Clock, *runs: Callable[[OnEvent], Outcome]) -> None:
        self.clock = clock
        self.runs = iter(runs)
        self.ended: list[Collection[str]] = []

    def __call__(self, ended: Collection[str], listen: OnEvent) -> Outcome:
        self.ended.append(sorted(ended))
        return next(self.runs)(listen)


def killed(listen: OnEvent) -> Outcome:
    raise ShortOfMemoryError("no memory on node 10.0.0.7")


def ends_one_and_is_killed(listen: OnEvent) -> Outcome:
    listen(Event("epoch", "a", make_row("a", 1, 1)))
    listen(Event("finished", "a"))
    raise ShortOfMemoryError("no memory on node 10.0.0.7")


def ends_the_rest(listen: OnEvent) -> Outcome:
    return Outcome(finished=("b",), failed=("c",))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time, which only pauses move."""
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(outlasting, "time", SimpleNamespace(monotonic=clock, sleep=sleep))
    monkeypatch.setattr(outlasting, "usable_memory", lambda: Memory(10 * GIB, 5 * GIB))
    return clock


def test_what_has_ended_is_not_trained_again_and_everything_is_in_the_outcome(clock: Clock, listener: Listener) -> None:
    sweeps = Sweeps(clock, killed, ends_one_and_is_killed, killed, ends_the_rest)
    assert outlast_shortages(sweeps, listener.on_event) == Outcome(finished=("a", "b"), failed=("c",))
    assert sweeps.ended == [[], [], ["a"], ["a"]]
    notes = [event.text for event in listener.events if event.kind == "note"]
    assert len(notes) == 3
    assert all("10.0.0.7" in text for text in notes)
    assert clock.now == 5 + 5 + 10, "the second pause comes after an epoch: the shortage was over"


def test_it_waits_until_the_machine_has_memory(
    clock: Clock, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([0.1, 0.5, 2.0])
    monkeypatch.setattr(outlasting, "usable_memory", lambda: Memory(10 * GIB, next(found) * GIB))
    outlast_shortages(Sweeps(clock, killed, ends_the_rest), listener.on_event)
    assert clock.now == 5 + 10 + 20


def test_only_a_long_shortage_ends_the_sweep(clock: Clock, listener: Listener) -> None:
    with pytest.raises(ShortOfMemoryError, match=r"10\.0\.0\.7"):
        outlast_shortages(Sweeps(clock, *[killed] * 1000), listener.on_event)
    assert SHORTAGE_S < clock.now < 2 * SHORTAGE_S


def test_a_sweep_that_trained_for_long_between_two_shortages_goes_on(clock: Clock, listener: Listener) -> None:
    def trains_for_long(listen: OnEvent) -> Outcome:
        clock.now += CALM_S + 1
        raise ShortOfMemoryError("no memory")

    outlast_shortages(Sweeps(clock, *[trains_for_long] * 10, ends_the_rest), listener.on_event)
    assert clock.now > 2 * SHORTAGE_S


def test_other_errors_end_the_sweep_unless_memory_is_short(clock: Clock, listener: Listener) -> None:
    def cannot_start(listen: OnEvent) -> Outcome:
        raise RaysweepError("Ray cannot start on this machine")

    def trains_and_cannot_start(listen: OnEvent) -> Outcome:
        listen(Event("epoch", "a", make_row("a", 1)))
        return cannot_start(listen)

    assert outlast_shortages(Sweeps(clock, killed, cannot_start, ends_the_rest), listener.on_event).finished == ("b",)
    with pytest.raises(RaysweepError, match="cannot start"):
        outlast_shortages(Sweeps(clock, cannot_start), listener.on_event)
    with pytest.raises(RaysweepError, match="cannot start"):
        outlast_shortages(Sweeps(clock, killed, trains_and_cannot_start), listener.on_event)


@pytest.mark.parametrize("gone", [ActorDiedError(), OutOfMemoryError("killed")])
def test_what_follows_a_trial_ends_with_the_pool(gone: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another attempt of Tune would find no pool either, and keep the sweep from ending for minutes."""

    def get(answer: object) -> None:
        raise gone

    monkeypatch.setattr(tuner.ray, "get", get)
    pool = SimpleNamespace(submit=SimpleNamespace(remote=lambda trial: None))
    tuner.follow_trial({"trial": "a"}, pool)


@contextmanager
def hog(gib: float) -> Iterator[None]:
    """Another program that takes memory."""
    code = f"import time; taken = bytearray({int(gib * GIB)}); print(flush=True); time.sleep(3600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            yield
        finally:
            process.kill()


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.skipif(usable_memory().free < 14 * GIB, reason="takes 8 GiB for a while")
def test_a_sweep_goes_on_when_another_program_has_given_the_memory_back(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray kills every process of the sweep: what it may use is less than the other program alone takes."""
    memory = usable_memory()
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{(memory.total - memory.free + 5 * GIB) / memory.total:.4f}")
    tasks, stack = make_tasks(tmp_path, "long", "a"), ExitStack()

    def take_and_give_back(event: Event) -> None:
        listener.on_event(event)
        if event.trial == "long" and event.row.get("epoch") == 1 and event.kind == "epoch":
            stack.enter_context(hog(8))
        if "waits for memory" in event.text:
            stack.close()

    def sweep(ended: Collection[str], listen: OnEvent) -> Outcome:
        left = [task for task in tasks if task.trial not in ended]
        return run_on_ray(left, listen, workers=2, train=train_slowly, max_attempts=1)

    with stack:
        outcome = outlast_shortages(sweep, take_and_give_back)
    assert sorted(outcome.finished) == ["a", "long"]
    assert any("waits for memory" in event.text for event in listener.events)
    trained = (tmp_path / "long").read_text().split()
    assert list(dict.fromkeys(trained)) == ["1", "2", "3", "4", "5", "6"]
    assert len(trained) <= 7, "at most one epoch is repeated"


@pytest.mark.long
def test_a_node_short_of_memory_costs_no_attempt(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one node Ray kills every worker at once; another node joins, and the trial ends there."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    notes: list[str] = []
    with cluster_of(0) as nodes:
        short = nodes.add(env_vars={"RAY_memory_usage_threshold": "0.0001"})

        def mend(event: Event) -> None:
            listener.on_event(event)
            if "ran out of memory" in event.text:
                notes.append(event.text)
                if len(notes) == 2:
                    nodes.add()
                    nodes.remove(short)

        tasks = make_tasks(tmp_path, "a")
        outcome = run_on_ray(tasks, mend, address=nodes.address, train=train_slowly, max_attempts=1)
    assert outcome.finished == ("a",)
    assert len(notes) >= 2
