"""A race whose runs are trials of Tune."""

from __future__ import annotations

from pathlib import Path

import pytest

import raysweep
from raysweep.errors import RaysweepError

VARIANTS = ["baseline", "better", "fails"]


def measure(variant: str, seed: int) -> float | None:
    if variant == "fails":
        return None
    return {"baseline": 50.0, "better": 70.0}[variant] + (seed * 7919 % 13) / 13


@pytest.mark.long
def test_runs_go_to_workers_and_a_measurement_that_raises_loses_nothing(tmp_path: Path) -> None:
    log = tmp_path / "race.jsonl"

    def crash_late(variant: str, seed: int) -> float | None:
        if variant == "better" and seed == 1:
            raise ValueError("no such layer")
        return measure(variant, seed)

    with pytest.raises(RaysweepError, match="better.*seed 1"):
        raysweep.race(VARIANTS, crash_late, "baseline", workers=2, log=log, budget=40)
    kept = len(log.read_text().splitlines()) - 1
    assert kept
    found = raysweep.race(VARIANTS, measure, "baseline", workers=2, log=log, budget=40)
    assert found.verdicts == {"better": "better", "fails": "did not train"}
    assert len(found.trials) > kept
    assert len({(variant, seed) for variant, seed, _ in found.trials}) == len(found.trials)
    assert all(value == measure(variant, seed) for variant, seed, value in found.trials)
