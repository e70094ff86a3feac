"""How many gangs of workers a cluster holds, and how much of a device each is given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from raysweep.errors import RaysweepError
from raysweep.orchestrate.nodes import COUNTED, Node
from raysweep.train.worker import GangShape


@dataclass(frozen=True)
class Layout:
    """How a sweep uses its cluster."""

    shape: GangShape
    there: Sequence[Node]
    coming: Sequence[Node]
    at_once: int | None
    """Trials at once, none: as many as fit."""
    trials: int

    def check(self) -> None:
        """Refuse what cannot begin.

        Raises:
            RaysweepError: not even one gang fits, or none is allowed.
        """
        count_gangs(self.there, self.shape, self.at_once, self.trials, self.coming)

    @property
    def nodes(self) -> list[Node]:
        """Those that are there, and those that may come."""
        return [*self.there, *self.coming]

    @property
    def gangs(self) -> int:
        """Gangs to begin with: those that wait for a node are what makes a cluster grow."""
        return count_gangs(self.there, self.shape, self.at_once, self.trials, self.coming)

    @property
    def can_widen(self) -> bool:
        """Whether a trial that runs out of memory could be given more."""
        return can_widen(self.nodes, self.shape)

    @property
    def meet(self) -> bool:
        """Whether two trials may find themselves on one node."""
        return meet_on_a_node(self.nodes, self.shape, self.gangs)

    @property
    def text(self) -> str:
        """How many trials run at once."""
        now = min(self.gangs, fitting(self.there, self.shape))
        grown = f", {self.gangs} when the cluster has grown" if self.gangs > now else ""
        return f"{now} trial(s) at once{grown}"


def count_gangs(
    nodes: Sequence[Node], shape: GangShape, at_once: int | None, trials: int, coming: Sequence[Node] = ()
) -> int:
    """How many gangs to run: as many as fit, no more than there are trials or than are allowed to run at once.

    Nodes that are still to come count: gangs that wait are what makes a cluster grow.

    Raises:
        RaysweepError: not even one fits, or none is allowed.
    """
    room = fitting([*nodes, *coming], shape)
    if room < 1:
        raise RaysweepError(_refusal(nodes, shape))
    if at_once is not None and at_once < 1:
        raise RaysweepError(f"{at_once} trials at once: at least 1 is needed.")
    return places(room, at_once, trials)


def places(room: int, at_once: int | None, trials: int) -> int:
    """Of the gangs that have room as many as there are trials and as are allowed to run at once."""
    return min(room, trials, at_once or room)


def fitting(nodes: Iterable[Node], shape: GangShape) -> int:
    """How many gangs of a shape fit on nodes that are empty."""
    return sum(_workers_on(node, shape) for node in nodes) // shape.workers


def widest(nodes: Sequence[Node], shape: GangShape) -> GangShape:
    """The shape of a gang that has a GPU to itself, or, where it has none, the largest node."""
    if shape.gpus:
        return replace(shape, gpus=max(1.0, shape.gpus))
    return replace(shape, cpus=max(shape.cpus, int(max(node.get("CPU", 0.0) for node in nodes))), memory_gib=0.0)


def can_widen(nodes: Sequence[Node], shape: GangShape) -> bool:
    """Whether a trial that runs out of memory could be given more."""
    return shape.workers == 1 and widest(nodes, shape) != replace(shape, memory_gib=0.0)


def meet_on_a_node(nodes: Iterable[Node], shape: GangShape, gangs: int) -> bool:
    """Whether two of the gangs may find themselves on one node."""
    return gangs > 1 and any(_workers_on(node, shape) >= 2 * shape.workers for node in nodes)


def _workers_on(node: Node, shape: GangShape) -> int:
    # A worker never spans nodes, so what is left over on each cannot be added up.
    return min(_times(node.get(name, 0.0), need) for name, need in shape.resources.items())


def waiting_text(shape: GangShape, waiting: int, there: Sequence[Node], free: Node, coming: int) -> str:
    """Why so many gangs have no place yet: what each asks for, what is in use, and what may come."""
    needs = [f"{amount:g} {name}" for name, amount in shape.resources.items() if name in COUNTED]
    used = [
        f"{_total(there, name) - free.get(name, 0.0):g} of {_total(there, name):g} {name}s"
        for name in COUNTED
        if shape.resources.get(name)
    ]
    who = f"{waiting} place{'s' if waiting > 1 else ''} for trials wait{'' if waiting > 1 else 's'}"
    more = f"the cluster may add {coming} node(s)" if coming else "no node is to come"
    times = f"{shape.workers} times " if shape.workers > 1 else ""
    return f"{who} for {times}{' and '.join(needs)}{' each' if waiting > 1 else ''}; {', '.join(used)} in use; {more}"


def _times(amount: float, need: float) -> int:
    # Ten thirds of a GPU are three times 1/3 in spite of rounding.
    return math.floor(amount / need + 1e-6)


def _refusal(nodes: Sequence[Node], shape: GangShape) -> str:
    needs = {"GPU": shape.gpus, "CPU": shape.cpus}
    asked = [f"{shape.workers * amount:g} {name}s" for name, amount in needs.items() if amount]
    there = f"{_total(nodes, 'GPU'):g} GPUs and {_total(nodes, 'CPU'):g} CPUs on {len(nodes)} node(s)"
    advice = "run with --gpus 0, or add nodes with GPUs" if shape.gpus else "ask for less, or add nodes"
    spread = f" ({shape.workers} workers, each on one node)" if shape.workers > 1 else ""
    return f"asked for {' and '.join(asked)} per trial{spread}; this cluster has {there}: {advice}."


def _total(nodes: Iterable[Node], name: str) -> float:
    return sum(node.get(name, 0.0) for node in nodes)
