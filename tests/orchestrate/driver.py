"""A sweep in a process of its own, to be interrupted: `python -m tests.orchestrate.driver FOLDER TRIAL...`.

On the cluster that RAY_ADDRESS names, else on a Ray of its own. It starts and ends as the command line does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from raysweep.orchestrate.events import Event
from raysweep.orchestrate.ray_sweep import run_on_ray
from raysweep.process.stopping import stoppable
from raysweep.verbs.entry import call
from tests.orchestrate.fakes import make_tasks, train_patiently


def _print(event: Event) -> None:
    print(event.kind, event.trial, event.row.get("epoch", ""), flush=True)


@click.command()
@click.argument("folder")
@click.argument("trials", nargs=-1)
def _sweep(folder: str, trials: tuple[str, ...]) -> None:
    tasks = make_tasks(Path(folder), *trials)
    address = os.environ.get("RAY_ADDRESS")
    print(run_on_ray(tasks, _print, train=train_patiently, address=address, dashboard=False))


if __name__ == "__main__":
    with stoppable(["driver", *sys.argv[1:]]):
        call(_sweep)
