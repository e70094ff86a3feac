"""What tests of searches share: every method with options that make it short, and a value for every architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raysweep.nas import Evaluation
from raysweep.nas.ask_tell import AskTell
from raysweep.nas.budget import as_budget
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
    return AskTell(space, made, budget=as_budget(budget), seed=seed, log=log)
