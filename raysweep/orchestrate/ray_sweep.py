"""A sweep on Ray: gangs train, Tune decides, a pool connects them, and one loop passes on the events."""

from __future__ import annotations

import tempfile
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import GetTimeoutError, OutOfMemoryError, RayError
from ray.tune.search import ConcurrencyLimiter

from raysweep.errors import LostClusterError, RaysweepError, UnfinishedError
from raysweep.orchestrate.cluster import connect
from raysweep.orchestrate.events import (
    Event,
    OnEvent,
    Outcome,
    RecordEnd,
    Train,
    headline,
    record_trial_end,
    train_trial,
)
from raysweep.orchestrate.gangs import Gangs
from raysweep.orchestrate.growth import Growth
from raysweep.orchestrate.health import Watch
from raysweep.orchestrate.loggers import Loggers
from raysweep.orchestrate.measuring import heaviest, measured_shape
from raysweep.orchestrate.nodes import nodes_there, nodes_to_come
from raysweep.orchestrate.packing import Layout, bounded
from raysweep.orchestrate.pool import SILENCE_S, Pool
from raysweep.orchestrate.prometheus import SweepMetrics
from raysweep.orchestrate.ray_private import HEAD
from raysweep.orchestrate.space_searcher import PlanOrder
from raysweep.orchestrate.tuner import run_tuner
from raysweep.process.machine import usable_memory
from raysweep.store.claims import new_owner, release_all
from raysweep.store.files import Files
from raysweep.train.task import TrialTask
from raysweep.train.worker import Gang, GangShape

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler

    from raysweep.orchestrate.nas_searcher import NasSearch
    from raysweep.orchestrate.space_searcher import SpacePoints

PATIENCE_S = 5.0
"""How long idle gangs may take to end at the end of a sweep."""
TUNE_PATIENCE_S = 30.0
MAX_CALLS = 1_000_000
"""Largest number of calls that wait in the pool at once. Each running trial has several, and the calls that end their
wait must never queue behind them. A number that is not reached costs nothing."""


def run_on_ray(
    tasks: Iterable[TrialTask],
    on_event: OnEvent,
    *,
    address: str | None = None,
    train: Train | None = None,
    record_end: RecordEnd | None = None,
    workers: int | None = None,
    cpus_per_worker: int = 1,
    gpus_per_worker: float | None = None,
    workers_per_trial: int = 1,
    max_attempts: int = 2,
    scheduler: TrialScheduler | None = None,
    search: SpacePoints | NasSearch | None = None,
    metadata: Mapping[str, str] | None = None,
    dashboard: bool | None = None,
    share_images: bool = True,
    log_to: Sequence[str] = (),
) -> Outcome:
    """Train every task on the cluster; a trial that fails in all its attempts is recorded and the others continue.

    With a `search` there are no tasks at first: Tune asks it for them. `workers` is the number of trials at once (None:
    as many as fit). With `gpus_per_worker` None a trial gets a GPU if the cluster has any, or
    a measured share of one. With `share_images` trials on the same node share decoded images. Events arrive in this
    thread, in order. `log_to` names tools to log to in addition to the store, see `loggers`.

    Raises:
        RaysweepError: the cluster lacks the resources of one trial, or could not start a single worker.
        ShortOfMemoryError: a shortage of memory has killed the sweep's central process.
        KeyboardInterrupt: stopped by the user; every running trial keeps its last epoch's checkpoint.
    """
    tasks = tuple(tasks)
    if search.is_over() if search else not tasks:
        return Outcome()
    with _naming_shortages(), connect(address, metadata or {}, dashboard) as about:
        shape = GangShape(workers_per_trial, cpus_per_worker, gpus_per_worker or 0.0)
        layout = lay_out(tasks, search, shape, workers, gpus_per_worker is None, on_event)
        layout = bounded(layout, usable_memory().free, partial(_note, on_event))
        for text in _opening(layout, about, (metadata or {}).get("store", "")):
            _note(on_event, text)
        share = share_images and layout.meet
        known = search.tasks if search else {task.trial: task for task in tasks}
        metrics, loggers = SweepMetrics(known, layout.shape), Loggers(log_to, known, on_event)
        title, train = _title((metadata or {}).get("studies", "")), train or train_trial
        whole = _Sweep(tasks, layout, train, max_attempts, scheduler, search, share, title)
        with closing(loggers), whole as sweep:
            record_end = record_end or partial(record_trial_end, owner=sweep.owner)
            sweep.follow((metrics.on_event, loggers.on_event, on_event), record_end)
            return sweep.outcome()


@contextmanager
def _naming_shortages() -> Iterator[None]:
    try:
        yield
    except OutOfMemoryError as error:
        raise ShortOfMemoryError(headline(str(error))) from error


def _opening(layout: Layout, about: Sequence[str], store: str) -> Iterator[str]:
    """Yield the notes to print before anything runs."""
    dashboard, *more = about
    yield f"{layout.text} on Ray, {dashboard}"
    yield from more
    if len(layout.nodes) > 1 and store and "://" not in store:
        yield (
            f"the store {store} is a folder, and this cluster has several nodes: all of them need access to it. If "
            "they do not share it, stop this sweep and pass an s3:// or gs:// URI, or a shared folder, with --store."
        )


def _title(studies: str) -> str:
    if not studies:
        return "raysweep"
    first, *others = studies.split(", ")
    return f"raysweep: {first} and {len(others)} more" if others else f"raysweep: {first}"


def lay_out(
    tasks: Sequence[TrialTask],
    search: SpacePoints | NasSearch | None,
    shape: GangShape,
    at_once: int | None,
    choose_gpus: bool,
    on_event: OnEvent,
) -> Layout:
    """Decide how the sweep uses the cluster: with `choose_gpus` a trial gets a GPU, or a measured share of one.

    Raises:
        RaysweepError: not even one trial fits; nothing has been measured then.
    """
    there = nodes_there()
    layout = Layout(shape, there, nodes_to_come(there), at_once, search.most_left if search else len(tasks))
    if choose_gpus and any(node.get("GPU") for node in layout.nodes):
        layout = replace(layout, shape=replace(shape, gpus=1.0))
    layout.check()
    if shape.workers > 1 or (layout.shape.gpus and not choose_gpus):
        return layout
    recipe = search.example if search else heaviest(task.recipe for task in tasks)
    note = partial(_note, on_event)
    return replace(layout, shape=measured_shape(layout.shape, recipe, layout.nodes, note))


def _note(on_event: OnEvent, text: str) -> None:
    on_event(Event("note", text=text))


def pool_actor() -> Any:
    """Return the class of the actor that a pool is, on the head node."""
    return ray.remote(num_cpus=0, resources=HEAD, max_concurrency=MAX_CALLS)(Pool)


class ShortOfMemoryError(UnfinishedError):
    """Ray has killed the sweep's central process because its node ran out of memory."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}. Every finished epoch is in the store: the same command continues.")


class _Sweep:
    """Everything that lives as long as the sweep: started on entry, and ended on exit whatever happens in between."""

    def __init__(
        self,
        tasks: Sequence[TrialTask],
        layout: Layout,
        train: Train,
        max_attempts: int,
        scheduler: TrialScheduler | None,
        search: SpacePoints | NasSearch | None,
        share_images: bool,
        title: str,
    ) -> None:
        self.search = search
        self.why: Mapping[str, str] = getattr(scheduler, "why", {})
        """Trial -> reason why it was stopped, for schedulers that keep them."""
        self.tasks = search.tasks if search else {task.trial: task for task in tasks}
        self.folder = tempfile.TemporaryDirectory(prefix="raysweep-", ignore_cleanup_errors=True)
        self.stopping = threading.Event()
        self.tune_error = ""
        boot = f"raysweep-{uuid.uuid4().hex[:8]}"
        expected = search.most_left if search else 0
        # The name is only for the dashboard, and unique, since one driver may run several sweeps.
        self.pool = (
            pool_actor()
            .options(name=f"{title} ({boot})")
            .remote(tasks, (), max_attempts, scheduler is not None, expected, SILENCE_S, layout.can_widen)
        )
        self.gangs = Gangs(self.pool, Path(self.folder.name), boot)
        self.layout = layout
        self.owner = new_owner()
        gang = Gang("", layout.shape, self.pool, train, share_images, layout.shape.cpus, self.owner)
        self.ahead = search.ahead if search else 1
        inner = search.make_searcher(self.pool, self.stopping) if search else PlanOrder(self.tasks, self.stopping)
        self.searcher = ConcurrencyLimiter(inner, layout.gangs + self.ahead)
        self.growth = Growth(self.pool, self.gangs, gang, layout.at_once, self._allow)
        self.watch = Watch(self.pool, self.gangs)
        self.tuner = threading.Thread(target=self._tune, args=(scheduler,), daemon=True)

    def __enter__(self) -> _Sweep:
        self.growth.start(self.layout.gangs)
        self.tuner.start()
        self.watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self.growth.stop()
        self.watch.stop()
        if isinstance(error, LostClusterError):
            return  # nothing is left to close, and every call would block
        self._close_pool()
        self.growth.join()
        self.watch.join()
        # After an interruption do not wait for the end of an epoch: the last one's checkpoint is in the store.
        self.gangs.stop(0.0 if kind else PATIENCE_S)
        self._release_claims()
        self.tuner.join(TUNE_PATIENCE_S)
        ray.kill(self.pool)
        self.folder.cleanup()

    def _release_claims(self) -> None:
        """Release the claims of workers that were killed; those that cannot be released expire."""
        for store in {task.store for task in self.tasks.values()}:
            with suppress(RaysweepError):
                release_all(Files.at(store), self.owner)

    def follow(self, listeners: Sequence[OnEvent], record_end: RecordEnd) -> None:
        """Pass on the events until the sweep is over; write the ends that no worker could write."""

        def on_event(event: Event) -> None:
            for listener in listeners:
                listener(event)

        while events := self._next_events():
            for event in events:
                if event.kind == "stopped":
                    event = replace(event, text=self.why.get(event.trial) or f"{event.text}, by Ray Tune")
                if event.kind in ("failed", "stopped"):
                    self._record(event, on_event, record_end)
                on_event(event)

    def _next_events(self) -> Sequence[Event]:
        try:
            asked = self.pool.next_events.remote()
            while not self.watch.lost:
                with suppress(GetTimeoutError):
                    return ray.get(asked, timeout=1.0)  # type: ignore[no-any-return]
        except OutOfMemoryError:
            raise
        except Exception as error:  # the pool is on the head node, and Ray raises many types when it is gone
            raise LostClusterError(f"lost the sweep's process on Ray's head node ({headline(str(error))})") from error
        raise LostClusterError(self.watch.lost)

    def _record(self, event: Event, on_event: OnEvent, record_end: RecordEnd) -> None:
        try:
            why = event.text if event.kind == "stopped" else event.row.get("error")
            record_end(self.tasks[event.trial], event.kind, why)
        except (RaysweepError, OSError) as error:  # the other trials continue
            on_event(Event("note", event.trial, text=f"could not record the trial as {event.kind}: {error}"))

    def outcome(self) -> Outcome:
        """Return how the trials ended.

        Raises:
            UnfinishedError: the sweep was over before all of them had ended.
        """
        ends = ray.get(self.pool.ends.remote())
        missing = [trial for trial, end in ends.items() if not end]
        if self.search and self.tune_error and not missing:
            raise UnfinishedError(
                f"the sweep ended early ({headline(self.tune_error)}): run the same command to continue."
            )
        if missing:
            why = ray.get(self.pool.why_closed.remote()) or self.tune_error or "Tune ended early"
            raise UnfinishedError(
                f"{len(missing)} of {len(ends)} trials have not finished ({headline(why)}): run the same command to "
                "continue."
            )
        return Outcome.of(ends)

    def _allow(self, at_once: int) -> None:
        self.searcher.max_concurrent = at_once + self.ahead

    def _tune(self, scheduler: TrialScheduler | None) -> None:
        try:
            run_tuner(self.pool, self.searcher, self.layout.trials, scheduler, Path(self.folder.name))
            ray.get(self.pool.finish.remote())
        except Exception as error:  # the main thread reports it
            self.tune_error = f"{type(error).__name__}: {error}"
            self._close_pool()

    def _close_pool(self) -> None:
        with suppress(RayError):
            ray.get(self.pool.close.remote())
