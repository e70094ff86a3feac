"""Rows of a store as a sweep would write them."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from raysweep.store.claims import Holder
from raysweep.store.store import Store


def write_members(store: Store, *trials: str, study: str = "activation") -> None:
    common = {
        "study": study,
        "protocol": "demo",
        "line": "l",
        "baseline": "relu",
        "seed": 0,
        "order": 0,
        "recipe": "{}",
    }
    store.write_members([{"trial": trial, "variant": f"v{trial}", **common} for trial in trials])


def write_trial(store: Store, trial: str, status: str = "running", epochs: int = 0, **more: Any) -> None:
    """A trial of ten epochs, each of two seconds, claimed while it runs; `age_s`: how long ago the row was written."""
    updated_at = datetime.now(UTC) - timedelta(seconds=more.pop("age_s", 0))
    measured = {"top1": 0.05 * epochs, "images_per_s": 1000.0} if epochs else {}
    row = {"trial": trial, "status": status, "seed": 0, "epochs": epochs, "planned_epochs": 10, "wall_s": 2.0 * epochs}
    store.write_trial(row | measured | {"updated_at": updated_at} | more)
    claim = f"claims/{trial}.sweep.1.abc.json"
    if status == "running":
        store.files.write(claim, json.dumps(asdict(Holder())).encode())
    else:
        store.files.delete(claim)
