"""Logs of questions, as `raysweep decide` writes them, from the results that a store has or from none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from raysweep.deciding.race import Question, Race
from raysweep.store.decision_log import DecisionLog
from raysweep.store.files import Files

EMPTY: Mapping[str, Any] = MappingProxyType({})
Result = tuple[str, int, str, float | None]
"""Variant, seed, trial, and top-1 in points; None if it did not train."""


def ask(
    files: Files,
    results: Iterable[Result],
    variants: Sequence[str],
    baseline: str = "relu",
    *,
    study: str = "activation",
    steps: Iterable[Mapping[str, Any]] = (),
    stop: str = "",
    margin: float = 1.0,
    settings: Mapping[str, Any] = EMPTY,
    name: str = "question",
) -> Race:
    """Write the log of a question about these results, with the verdicts that a race gives; returns the race."""
    asked = {"variants": [baseline, *variants], "baseline": baseline, "margin": margin, "level": 0.05}
    log = DecisionLog(files, f"{study}-{name}", {"study": study, **asked, "settings": dict(settings), "trials": {}})
    log.add({"fit": {"training.epochs": 4.0}, "why": ["4 epochs: two runs of each variant fit into 60 % of 2 h"]})
    race = Race(Question((baseline, *variants), baseline, margin))
    for number, (variant, seed, trial, value) in enumerate(results, 1):
        log.add(
            {"variant": variant, "seed": seed, "trial": trial, "value": value, "seconds": 9.0, "clock_s": number * 9}
        )
        before = dict(race.verdicts)
        race.tell(variant, seed, value)
        for name, verdict in race.verdicts.items():
            if verdict.runs != before[name].runs:
                limits = {key: _plain(getattr(verdict, key)) for key in ("gain", "low", "high")}
                counts = {"runs": verdict.runs, "did_not_train": verdict.failed, "level": 0.05}
                log.add({"verdict": str(verdict.outcome), "variant": name, **limits, **counts})
    for step in steps:
        log.add(step)
    if stop:
        log.add({"stop": stop, "clock_s": 3600.0})
    return race


def _plain(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
