"""How many gangs of workers fit on a cluster, and which share of a device each one gets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from raysweep.errors import RaysweepError
from raysweep.orchestrate.nodes import COUNTED, Node
from raysweep.train.memory import GIB
from raysweep.train.worker import GangShape

HELPERS_GIB = 0.5
"""Memory that each trial at once takes on the node of the driver, wherever it trains: measured, 0.45 GiB of private
memory for Train's controller, its barrier, and the process with which Tune follows the trial."""
HELPERS_SHARE = 0.8
"""Largest share of that node's free memory for them."""


@dataclass(frozen=True)
class Layout:
    """The way a sweep uses its cluster."""

    shape: GangShape
    there: Sequence[Node]
    coming: Sequence[Node]
    at_once: int | None
    """Trials at once; None: as many as fit."""
    trials: int

    def check(self) -> None:
        """Refuse a sweep that cannot start.

        Raises:
            RaysweepError: not even one gang fits, or none is allowed.
        """
        if fitting(self.nodes, self.shape) < 1:
            raise RaysweepError(_refusal(self.there, self.shape))
        if self.at_once is not None and self.at_once < 1:
            raise RaysweepError(f"--workers is {self.at_once}: it must be at least 1.")

    @property
    def nodes(self) -> list[Node]:
        """Running nodes, and nodes that the autoscaler may add."""
        return [*self.there, *self.coming]

    @property
    def gangs(self) -> int:
        """Number of gangs to start with; those that wait for a node make the cluster grow."""
        return places(fitting(self.nodes, self.shape), self.at_once, self.trials)

    @property
    def can_widen(self) -> bool:
        """Whether a trial that runs out of memory could get more."""
        return self.shape.workers == 1 and widest(self.nodes, self.shape) != replace(self.shape, memory_gib=0.0)

    @property
    def meet(self) -> bool:
        """Whether two trials may run on one node."""
        return self.gangs > 1 and any(_workers_on(node, self.shape) >= 2 * self.shape.workers for node in self.nodes)

    @property
    def text(self) -> str:
        """The number of trials at once, in words."""
        now = min(self.gangs, fitting(self.there, self.shape))
        grown = f", {self.gangs} once the cluster has grown" if self.gangs > now else ""
        return f"{now} trial(s) at a time{grown}"


def places(room: int, at_once: int | None, trials: int) -> int:
    """Limit the gangs that fit to the number of trials, and to how many may run at once."""
    return min(room, trials, at_once or room)


def bounded(layout: Layout, free_bytes: float, note: Callable[[str], None]) -> Layout:
    """Return the layout with no more trials at once than the driver's node has memory for; 0 bytes: unknown.

    A number that the user chose stays.
    """
    if layout.at_once is not None or not free_bytes:
        return layout
    most = max(1, int(HELPERS_SHARE * free_bytes / (HELPERS_GIB * GIB)))
    if most < layout.gangs:
        note(
            f"{most} instead of {layout.gangs} trial(s) at a time: each takes {HELPERS_GIB:g} GiB on the node from "
            f"which the sweep runs, and {free_bytes / GIB:.1f} GiB are free there. Pass --workers to choose otherwise."
        )
    return replace(layout, at_once=most)


def fitting(nodes: Iterable[Node], shape: GangShape) -> int:
    """Return how many gangs of a shape fit on empty nodes."""
    return sum(_workers_on(node, shape) for node in nodes) // shape.workers


def widest(nodes: Sequence[Node], shape: GangShape) -> GangShape:
    """Return the shape of a gang with a whole GPU, or without GPUs with the largest node."""
    if shape.gpus:
        return replace(shape, gpus=max(1.0, shape.gpus))
    return replace(shape, cpus=max(shape.cpus, int(max(node.get("CPU", 0.0) for node in nodes))), memory_gib=0.0)


def _workers_on(node: Node, shape: GangShape) -> int:
    # A worker never spans nodes, so the remainders of several nodes cannot be added up.
    return min(_times(node.get(name, 0.0), need) for name, need in shape.resources.items())


def waiting_text(shape: GangShape, waiting: int, there: Sequence[Node], free: Node, coming: int) -> str:
    """Explain why this many gangs have no room yet: what each needs, what is in use, and what may be added."""
    needs = [f"{amount:g} {name}" for name, amount in shape.resources.items() if name in COUNTED]
    used = [
        f"{_total(there, name) - free.get(name, 0.0):g} of {_total(there, name):g} {name}s"
        for name in COUNTED
        if shape.resources.get(name)
    ]
    who = f"{waiting} trial{'s are' if waiting > 1 else ' is'} waiting for"
    workers = f" {shape.workers} workers with" if shape.workers > 1 else ""
    each = " each" if waiting > 1 or workers else ""
    more = f"the cluster may add {coming} node(s)" if coming else "the cluster will not add nodes"
    return f"{who}{workers} {' and '.join(needs)}{each}; {', '.join(used)} in use; {more}"


def _times(amount: float, need: float) -> int:
    # 1 / (1/3) must be 3 in spite of rounding.
    return math.floor(amount / need + 1e-6)


def _refusal(nodes: Sequence[Node], shape: GangShape) -> str:
    needs = {"GPU": shape.gpus, "CPU": shape.cpus}
    asked = [f"{shape.workers * amount:g} {name}s" for name, amount in needs.items() if amount]
    there = f"{_total(nodes, 'GPU'):g} GPUs and {_total(nodes, 'CPU'):g} CPUs on {len(nodes)} node(s)"
    advice = "run with --gpus 0, or add nodes with GPUs" if shape.gpus else "request fewer, or add nodes"
    spread = f" ({shape.workers} workers, each on a single node)" if shape.workers > 1 else ""
    return f"each trial requests {' and '.join(asked)}{spread}, but this cluster has {there}: {advice}."


def _total(nodes: Iterable[Node], name: str) -> float:
    return sum(node.get(name, 0.0) for node in nodes)
