"""What tests of searches share: every method with options that make it short, and a value for every architecture."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

from raysweep.nas import Budget, Evaluation, LostWorkerError
from raysweep.nas.ask_tell import AskTell, Proposal
from raysweep.nas.log import Event, parse_log
from raysweep.nas.method import make_method
from tests.nas.bits_space import BitString

BITS = BitString(8)
METHODS: list[tuple[str, dict[str, Any]]] = [
    ("random", {}),
    ("random_dedup", {}),
    ("evolution", {"population": 6, "sample": 3}),
    ("evolution", {"population": 6, "sample": 3, "aging": False, "distinct": False}),
    ("evolution", {"population": 6, "sample": 3, "age": "proposal", "replacement": False}),
    ("local_search", {}),
    ("reinforce", {"lr": 0.1}),
    ("successive_halving", {"inner": "evolution", "highest": 9.0}),
]


def ones(bits: str, fidelity: float | None = None) -> Evaluation:
    """The share of ones; each costs its own time, longer at a higher fidelity."""
    return Evaluation(bits.count("1") / len(bits), (1.0 + int(bits, 2) % 7) * (fidelity or 1.0))


def begin(
    method: str, budget: Any = 40, seed: int = 0, log: Path | None = None, space: Any = BITS, **options: Any
) -> AskTell[Any]:
    """A search of the bit strings."""
    made = make_method(method, options)
    limits = budget if isinstance(budget, Budget) else Budget(evaluations=budget)
    return AskTell(space, made, budget=limits, seed=seed, log=log)


def losing(
    search: AskTell[Any], evaluate: Callable[..., Evaluation], lose: Callable[[Proposal[Any]], float | None]
) -> Callable[..., Evaluation]:
    """An `evaluate` that loses the worker of a proposal after the fraction of its run time that `lose` returns."""
    asked: list[Any] = []
    ask = search.ask

    def asking(clock_s: float = 0.0) -> Proposal[Any] | None:
        asked.append(ask(clock_s))
        return asked[-1]

    def evaluated(architecture: Any) -> Evaluation:
        ended = evaluate(architecture)
        if (share := lose(asked[-1])) is not None:
            raise LostWorkerError(cost_s=share * ended.cost_s)
        return ended

    search.ask = asking  # type: ignore[method-assign]
    return evaluated


def run_in_batches(search: AskTell[Any], evaluate: Callable[..., Evaluation], size: int) -> None:
    """Workers that wait for each other: the next batch is handed out once the last one has ended."""
    while batch := [*takewhile(bool, (search.ask(search.clock_s) for _ in range(size)))]:
        ended = [(one.issued_s + (found := evaluate(one.architecture)).cost_s, one.number, found) for one in batch]
        for clock_s, number, found in sorted(ended, key=lambda one: one[:2]):
            search.tell(number, found, clock_s)


def read_log(path: Path) -> list[Event]:
    """The events of a log, even if it is open."""
    content = path.read_bytes()
    return parse_log(content, str(path), json.loads(content.splitlines()[0])["search"]).events
