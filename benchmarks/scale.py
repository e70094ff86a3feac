"""The overhead of raysweep as a sweep grows: plan, bookkeeping, store and report at 300 to 10,000 trials.

The trials train nothing. Everything else is real: recipes of all studies, rows with every column, Ray, Tune, gangs and
the pool. For each figure the slope of time over trials in log-log axes is printed: 1 is linear, 2 quadratic.

    python benchmarks/scale.py [stored | ray | proposals]...
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from benchmarks._harness import Row, command_seconds, report, seconds
from raysweep.analysis.load import ALL, load_lines
from raysweep.analysis.page.html_page import HtmlPage, numbers
from raysweep.analysis.statistics.comparisons import on_one_page
from raysweep.identity import recipe_json
from raysweep.orchestrate.events import Event
from raysweep.planning import PlannedTrial, planned_studies, possible, to_run
from raysweep.request import Request
from raysweep.space import find_space
from raysweep.store.compaction import compact
from raysweep.store.schema import EPOCHS, TRIAL
from raysweep.store.store import Store
from raysweep.sweeps.study_sweep import member_rows
from raysweep.terminal.progress import SweepProgress
from raysweep.train.task import Placement, TrialTask

STORED = (300, 1000, 3000, 10_000)
ON_RAY = (100, 300, 600)
PROPOSED = (300, 1000, 3000)
NUM_EPOCHS = 20
"""Number of epochs of a stored trial."""
NUM_REPORTS = 2
"""Number of epochs that a trial on Ray reports."""
Figures = dict[str, float]
"""Step -> seconds, or MiB if its name says so."""


def planned(trials: int) -> list[PlannedTrial]:
    """Plan N trials of all studies."""
    per_seed = len(possible(Request(("all",)).plan()))
    return possible(Request(("all",), seeds=math.ceil(trials / per_seed)).plan())[:trials]


def epoch_row(trial: str, epoch: int) -> dict[str, Any]:
    """Make an epoch's row with a value in every column."""
    # Digits that do not repeat: a file of equal numbers would compress to almost nothing.
    digits = Random(f"{trial}/{epoch}")
    measured = {field.name: digits.random() for field in EPOCHS if field.type == "double"}
    counted = {field.name: 1 + epoch for field in EPOCHS if field.type in ("int32", "int64")}
    return measured | counted | {"trial": trial, "epoch": epoch, "attempt": 1, "finished_at": datetime.now(UTC)}


def trial_row(one: PlannedTrial, recipe: str, epochs: int, status: str) -> dict[str, Any]:
    """Make a trial's row with a value in every column."""
    texts = {field.name: "x" * 12 for field in TRIAL if field.type == "string"}
    digits = Random(one.trial)
    numbers = {field.name: digits.randrange(10**6) for field in TRIAL if field.type in ("int32", "int64", "double")}
    times = dict.fromkeys(("started_at", "updated_at"), datetime.now(UTC))
    own = {"trial": one.trial, "status": status, "seed": one.recipe.seed, "recipe": recipe, "protocol": "imagenet128"}
    rest = {"top1": epochs / 100 + one.recipe.seed / 1000, "epochs": epochs, "error": None, "git_dirty": False}
    return texts | numbers | times | own | rest


def fill(store: Store, plan: Sequence[PlannedTrial]) -> None:
    """Write what a finished sweep leaves in the store."""
    for study in planned_studies(plan):
        store.write_members(member_rows(plan, study, "imagenet128"))
    for one in plan:
        store.write_epochs(one.trial, [epoch_row(one.trial, epoch) for epoch in range(1, NUM_EPOCHS + 1)])
        store.write_trial(trial_row(one, recipe_json(one.recipe), NUM_EPOCHS, "finished"))


def follow(plan: Sequence[PlannedTrial]) -> None:
    """Send all events of a sweep to the driver's progress display."""
    with contextlib.redirect_stderr(Path(os.devnull).open("w")), SweepProgress(plan) as progress:
        for one in plan:
            for epoch in range(1, NUM_EPOCHS + 1):
                row = epoch_row(one.trial, epoch) | {"planned_epochs": NUM_EPOCHS, "status": "running"}
                progress.on_event(Event("epoch", one.trial, row))
            progress.on_event(Event("finished", one.trial, row))


def stored(trials: int, folder: str) -> Figures:
    """Measure everything that needs no Ray."""
    found: Figures = {}
    plan: list[PlannedTrial] = []
    found["plan"] = seconds(lambda: plan.extend(planned(trials)))
    found["driver's progress"] = seconds(lambda: follow(to_run(plan)))
    store = Store.open(f"{folder}/{trials}", create=True)
    found["writing"] = seconds(lambda: fill(store, plan))
    words = ("--store", store.uri, "--json")
    found["status, small files"] = command_seconds("status", *words)
    found["compaction"] = seconds(lambda: compact(store))
    found["status"] = command_seconds("status", *words)
    found["results of a study"] = command_seconds("results", "activation", *words)
    found["found again by run"] = seconds(lambda: Store.open(store.uri).trials(["trial", "status", "epochs"]))
    found["look-up of a trial"] = statistics.median(seconds(lambda: store.trial("none")) for _ in range(20))
    found["loading all for a report"] = seconds(lambda: load_lines(Store.open(store.uri), planned_studies(plan)))
    found["statistics and page of all studies, without pictures"] = seconds(lambda: words_of_all(store.uri, folder))
    report_words = ("activation", "--store", store.uri, "--out", f"{folder}/report")
    found["report of a study"] = command_seconds("report", *report_words)
    found["memory, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found["store, MiB"] = sum(file.stat().st_size for file in Path(store.uri).rglob("*.parquet")) / 2**20
    return found


def words_of_all(store: str, folder: str) -> None:
    """Load every study and write the page of all of them, without figures, which take a second or two each."""
    opened = Store.open(store)
    lines = load_lines(opened, [ALL])
    page = HtmlPage(opened, Path(folder) / "all")
    keys = [(line, numbers(one)) for line, one in zip(lines, on_one_page(lines), strict=True)]
    page.drawn = {key: [] for key in keys}
    page.across_of = (keys, 0, 0)
    page.write(lines)


def train_at_once(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """Write the store's rows as a real trial does, without training."""
    store, rows = Store.open(task.store), []
    one = PlannedTrial(task.trial, task.recipe, (), "run", "", {}, cost=None)  # type: ignore[arg-type]
    store.trial(task.trial)
    store.write_trial(trial_row(one, "{}", 0, "running"))
    for epoch in range(1, NUM_REPORTS + 1):
        rows.append(epoch_row(task.trial, epoch))
        store.write_epochs(task.trial, rows)
        status = "finished" if epoch == NUM_REPORTS else "running"
        store.write_trial(trial_row(one, "{}", epoch, status))
        yield rows[-1] | {"planned_epochs": NUM_REPORTS, "status": status}


class Watch:
    """Records the memory of this driver and of its pool actor, by the number of finished trials."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.ended = 0
        self.pool_pid = 0
        self.driver: dict[int, float] = {}
        self.pool: dict[int, float] = {}

    def on_event(self, event: Event) -> None:
        """Record the memory once every N trials."""
        self.ended += event.kind == "finished"
        if event.kind == "finished" and self.ended % self.every == 0:
            self.driver[self.ended] = resident_mib(os.getpid())
            self.pool_pid = self.pool_pid or pid_of_pool()
            self.pool[self.ended] = resident_mib(self.pool_pid)


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def pid_of_pool() -> int:
    """Return the process of the sweep's pool from Ray's list of actors: its title is that of the task it runs."""
    from raysweep.orchestrate.ray_private import actors

    alive = (actor for actor in actors().values() if actor["State"] == "ALIVE")
    return next(int(actor["Pid"]) for actor in alive if actor["ActorClassName"] == "Pool")


def per_trial_kib(memory: Mapping[int, float]) -> float:
    """Return the growth in KiB per trial after the first fifth, when everything has been loaded."""
    points = sorted(memory.items())[len(memory) // 5 :]
    return statistics.linear_regression(*zip(*points, strict=True)).slope * 1024


def on_ray(trials: int, folder: str) -> Figures:
    """Measure a sweep of trials that train nothing, from a running cluster to the outcome."""
    import ray

    from raysweep.orchestrate.ray_sweep import run_on_ray

    store = Store.open(f"{folder}/ray{trials}", create=True)
    recipe = planned(1)[0].recipe
    tasks = [TrialTask(f"{k:012x}", replace(recipe, seed=k), "", store.uri) for k in range(trials)]
    watch = Watch(max(1, trials // 50))
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        wall = seconds(lambda: run_on_ray(tasks, watch.on_event, train=train_at_once))
    finally:
        ray.shutdown()
    return {
        "on Ray": wall,
        "driver, KiB a trial": per_trial_kib(watch.driver),
        "pool actor, KiB a trial": per_trial_kib(watch.pool),
    }


def proposals(trials: int, folder: str) -> Figures:
    """Measure the seconds that TPE takes to propose one point after N results."""
    from raysweep.orchestrate.space_searcher import optuna_search

    space = find_space("joint")
    points = [space.sample(Random(k)) for k in range(trials)]
    search = optuna_search(space, 0, points, trials)
    for k in range(trials):
        search.suggest(str(k))
        search.on_trial_complete(str(k), {"top1": k % 97 / 97})
    return {"TPE, one proposal": statistics.median(seconds(partial(search.suggest, f"n{k}")) for k in range(5))}


def in_own_process(step: str, trials: int, folder: str) -> Figures:
    """Measure one step at one size in a new process, so that its memory is not that of an earlier one."""
    call = [sys.executable, __file__, step, str(trials), folder]
    done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


STEPS: dict[str, tuple[Callable[[int, str], Figures], Sequence[int]]] = {
    "stored": (stored, STORED),
    "ray": (on_ray, ON_RAY),
    "proposals": (proposals, PROPOSED),
}


def main(step: str) -> None:
    """Measure a step at every size, each once: the sizes are the repeats."""
    found: dict[str, dict[int, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for trials in STEPS[step][1]:
            for name, figure in in_own_process(step, trials, folder).items():
                found.setdefault(name, {})[trials] = figure
    rows = [Row.of(f"{name}, {n:,} trials", [figure]) for name, at in found.items() for n, figure in at.items()]
    report(f"scale_{step}", "s", rows, {f"slope of {name}": slope(at) for name, at in found.items()})


def slope(at: Mapping[int, float]) -> float:
    """Return the slope between the last two sizes in log-log axes, where fixed costs matter least."""
    (n1, t1), (n2, t2) = sorted(at.items())[-2:]
    return math.log(max(t2, 1e-9) / max(t1, 1e-9)) / math.log(n2 / n1)


if __name__ == "__main__":
    if sys.argv[2:3] and sys.argv[2].isdigit():
        print(json.dumps(STEPS[sys.argv[1]][0](int(sys.argv[2]), sys.argv[3])))
    else:
        for step in sys.argv[1:] or STEPS:
            main(step)
