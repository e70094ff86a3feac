"""The progress of a running sweep: bars on a terminal, plain lines in a pipe or a log."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from raysweep.orchestrate.events import ENDS, Event
from raysweep.planning import PlannedTrial
from raysweep.safe import printable
from raysweep.store.waiting import NEXT_STEP, is_bottleneck, wait_share
from raysweep.terminal.eta import Work
from raysweep.terminal.notes import console, note
from raysweep.units import duration, percent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


LINE_EVERY_S = 10.0
"""Seconds between the lines of one trial's epochs, so that the log of a long sweep stays readable."""


class View(Protocol):
    """A way to show a sweep."""

    def expect(self, planned: PlannedTrial) -> None:
        """Add a trial that was not known at the start."""

    def show(self, event: Event, work: Work) -> None:
        """Show an event."""

    def close(self) -> None:
        """Restore the terminal."""


class SweepProgress:
    """Shows the events of a sweep. Use it as a context manager."""

    def __init__(
        self,
        trials: Sequence[PlannedTrial],
        find: Callable[[str], PlannedTrial] | None = None,
        more: Mapping[str, int] = MappingProxyType({}),
        left: Callable[[], int] | None = None,
    ) -> None:
        """Show a sweep.

        Args:
            trials: the trials to run that are known at the start.
            find: returns a trial at its first event, for sweeps that propose their trials.
            more: study -> number of trials that will be proposed.
            left: returns the number of trials that have not ended, if it changes during the sweep.
        """
        self.planned = {planned.trial: planned for planned in trials}
        self.find = find
        self.left = left
        self.work = Work(self.planned, unknown=sum(more.values()))
        self.warned = False
        self.view: View = (Bars if sys.stderr.isatty() else Lines)(trials, more)

    def __enter__(self) -> SweepProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.view.close()

    def on_event(self, event: Event) -> None:
        """Show an event and update the ETA."""
        if self.find and event.trial and event.trial not in self.planned:
            planned = self.planned[event.trial] = self.find(event.trial)
            self.work.expect(planned)
            self.work.unknown -= 1
            self.view.expect(planned)
        if event.kind in ENDS:
            self.work.end(event.trial)
        if self.left:
            self.work.unknown = max(0, self.left() - (len(self.planned) - self.work.num_ended))
        if event.kind == "started":
            self.work.start(event.trial)
        if event.kind == "epoch":
            self.work.add(event.trial, event.row)
            self._warn_of_waiting(event.row)
        if event.kind in ("retried", "elsewhere"):
            self.work.running.discard(event.trial)
        self._show(event)

    def _show(self, event: Event) -> None:
        with suppress(OSError):  # a terminal that is gone ends no training
            self.view.show(event, self.work)

    def _warn_of_waiting(self, row: Mapping[str, Any]) -> None:
        """Warn once if the sweep waits for data. First epochs do not count: they fill caches."""
        share = wait_share(row["data_wait_s"], row["wall_s"])
        if row["epoch"] > 1 and is_bottleneck(share) and not self.warned:
            self.warned = True
            text = f"data is a bottleneck: trials wait for images {share:.0%} of the time. Next step: {NEXT_STEP}."
            self._show(Event("note", text=text))


def label(planned: PlannedTrial) -> str:
    """The name of a trial on the screen: study/variant and seed."""
    first = planned.members[0]
    return printable(f"{first.study}/{first.variant} seed {planned.recipe.seed}")


def numbers(row: Mapping[str, Any]) -> str:
    """The numbers of an epoch in one line."""
    share = wait_share(row["data_wait_s"], row["wall_s"])
    return (
        f"epoch {row['epoch']}/{row['planned_epochs']}  top-1 {percent(row['top1'])} %  loss {row['train_loss']:.3f}  "
        f"{row['images_per_s']:,.0f} images/s  data wait {row['data_wait_s']:.1f} s, {share:.0%} of the time"
    )


class Lines:
    """Plain lines on standard error."""

    def __init__(self, trials: Sequence[PlannedTrial], more: Mapping[str, int]) -> None:
        self.names: dict[str, str] = {}
        self.ended = 0
        self.last_line: dict[str, float] = {}
        for planned in trials:
            self.expect(planned)

    def expect(self, planned: PlannedTrial) -> None:
        """Add a trial; its first epoch is printed at once."""
        self.names[planned.trial] = f"{planned.trial} {label(planned)}"
        self.last_line[planned.trial] = 0.0

    def show(self, event: Event, work: Work) -> None:
        """Print ends and notes at once, and an epoch of each trial at most every `LINE_EVERY_S`."""
        name = self.names.get(event.trial, event.trial)
        if event.kind == "epoch":
            if time.monotonic() - self.last_line[event.trial] >= LINE_EVERY_S:
                self.last_line[event.trial] = time.monotonic()
                note(f"{name}  {numbers(event.row)}  ETA {duration(work.eta_s())}")
        elif event.kind in ENDS:
            self.ended += 1
            top1 = f"  top-1 {percent(event.row['top1'])} %" if event.row.get("top1") is not None else ""
            text = f"  {event.text}" if event.text else ""
            note(f"[{self.ended}/{work.total}] {name}  {event.kind}{top1}{text}  ETA {duration(work.eta_s())}")
        else:
            note(printable("  ".join(part for part in (name, event.kind, event.text) if part)))

    def close(self) -> None:
        """Do nothing: lines change nothing on a terminal."""


class Bars:
    """One bar for each study and each running trial (Rich)."""

    def __init__(self, trials: Sequence[PlannedTrial], more: Mapping[str, int]) -> None:
        self.names: dict[str, str] = {}
        self.studies: dict[str, str] = {}
        for planned in trials:
            self.expect(planned)
        self.progress = _rich_progress()
        counts = Counter(self.studies.values()) + Counter(more)
        self.study_bars = {
            study: self.progress.add_task(printable(study), total=count, note="") for study, count in counts.items()
        }
        self.trial_bars: dict[str, TaskID] = {}
        self.progress.start()

    def expect(self, planned: PlannedTrial) -> None:
        """Add a trial; its bar appears with its first epoch."""
        self.names[planned.trial] = label(planned)
        self.studies[planned.trial] = planned.members[0].study

    def show(self, event: Event, work: Work) -> None:
        """Move the bars; print unusual ends above them."""
        if event.kind == "epoch":
            self._epoch(event, work)
        elif event.kind in ENDS:
            self._end(event)
        elif event.text:
            self._print(f"{self.names.get(event.trial, event.trial)}  {event.kind}  {event.text}")
        note = f"ETA {duration(work.eta_s())}"
        total = work.total if len(self.study_bars) == 1 else None
        for bar in self.study_bars.values():
            self.progress.update(bar, note=note, total=total)

    def _epoch(self, event: Event, work: Work) -> None:
        if event.trial not in self.trial_bars:
            total = event.row["planned_epochs"]
            self.trial_bars[event.trial] = self.progress.add_task(f"  {self.names[event.trial]}", total=total, note="")
        note = f"{numbers(event.row)}  ETA {duration(work.eta_s(event.trial))}"
        self.progress.update(self.trial_bars[event.trial], completed=event.row["epoch"], note=note)

    def _end(self, event: Event) -> None:
        if event.trial in self.trial_bars:
            self.progress.remove_task(self.trial_bars.pop(event.trial))
        self.progress.advance(self.study_bars[self.studies[event.trial]])
        if event.kind != "finished":
            self._print(f"{self.names[event.trial]} ({event.trial})  {event.kind}  {event.text}")

    def _print(self, line: str) -> None:
        self.progress.console.print(printable(line))

    def close(self) -> None:
        """Stop updating the bars."""
        self.progress.stop()


def _rich_progress() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    return Progress(*columns, console=console(stderr=True))


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int], None]]:
    """A function of (done, total) that shows progress: a bar with ETA, or in a pipe a line for every tenth.

    The first call gives the number that was done earlier, which does not count for the speed.
    """
    if not sys.stderr.isatty():
        yield _tenths(what)
        return
    from rich.progress import Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), *Progress.get_default_columns()[1:])
    with Progress(*columns, console=console(stderr=True)) as progress:
        bar = progress.add_task(printable(what))
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def _tenths(what: str) -> Callable[[int, int], None]:
    begun: list[tuple[float, int]] = []
    said = [0]

    def show(done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if begun and tenth > said[0]:
            start, before = begun[0]
            left = (time.monotonic() - start) * (total - done) / (done - before)
            note(f"{printable(what)}  {done:,}/{total:,}  ETA {duration(left)}")
        if not begun:
            begun.append((time.monotonic(), done))
        said[0] = max(said[0], tenth)

    return show
