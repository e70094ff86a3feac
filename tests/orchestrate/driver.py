"""A sweep in a process of its own, to be interrupted: `python -m tests.orchestrate.driver FOLDER TRIAL...`.

On the cluster that RAY_ADDRESS names, else on a Ray of its own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from raysweep.orchestrate.events import Event
from raysweep.orchestrate.ray_sweep import run_on_ray
from tests.orchestrate.fakes import make_tasks, train_patiently


def _print(event: Event) -> None:
    print(event.kind, event.trial, event.row.get("epoch", ""), flush=True)


if __name__ == "__main__":
    folder, *trials = sys.argv[1:]
    address = os.environ.get("RAY_ADDRESS", "local")
    print(
        run_on_ray(make_tasks(Path(folder), *trials), _print, train=train_patiently, address=address, dashboard=False)
    )
