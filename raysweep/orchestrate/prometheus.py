"""A sweep's metrics on Ray's Prometheus endpoint, for the Grafana dashboard in `cluster/grafana/raysweep.json`.

Each node of a cluster serves the metrics of its own processes; these are on the driver's node, as `ray_raysweep_...`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ray.util.metrics import Gauge

from raysweep.orchestrate.events import ENDS, Event, Row
from raysweep.store.waiting import wait_share
from raysweep.train.task import TrialTask
from raysweep.train.worker import GangShape

STATUSES = ("waiting", "running", *ENDS)
DESCRIPTIONS = {
    "trials": "Trials of this sweep by status",
    "epochs": "Epochs trained in this sweep",
    "retries": "Attempts after a failed one",
    "images_per_s": "Training images per second, all running trials together",
    "data_wait_share": "Share of the running trials' last epochs spent waiting for images (0..1)",
    "top1_latest": "Top-1 accuracy of the last epoch of any trial (0..1)",
    "top1_best": "Best top-1 accuracy of any trial in this sweep (0..1)",
    "worker_hours": "Hours that worker processes spent training and testing",
    "gpu_hours": "The same, times the GPUs of a worker",
}
"""Metric -> description. Each has the label `study`, and `trials` also `status`.

All are gauges, totals too: one of Ray's counters does not exist before its first count, and then has two names.
"""
PREFIX = "raysweep_"


@dataclass
class _Study:
    """The events of one study so far."""

    status: dict[str, str] = field(default_factory=dict)
    """Trial -> status."""
    counts: Counter[str] = field(default_factory=Counter)
    rows: dict[str, Row] = field(default_factory=dict)
    """Running trial -> its last row."""
    totals: Counter[str] = field(default_factory=Counter)
    tops: dict[str, float] = field(default_factory=dict)

    def move(self, trial: str, status: str) -> None:
        """Change a trial's status."""
        if trial in self.status:
            self.counts[self.status[trial]] -= 1
        self.status[trial] = status
        self.counts[status] += 1

    def take(self, event: Event, shape: GangShape) -> None:
        """Process one event of a trial of the study."""
        if event.kind == "started":
            self.move(event.trial, "running")
        elif event.kind == "elsewhere":
            self.move(event.trial, "waiting")
        elif event.kind == "retried":
            self.totals["retries"] += 1
        elif event.kind == "epoch":
            self._epoch(event, shape)
        elif event.kind in ENDS:
            self.move(event.trial, event.kind)
            self.rows.pop(event.trial, None)

    def _epoch(self, event: Event, shape: GangShape) -> None:
        row = event.row
        self.move(event.trial, "running")
        self.rows[event.trial] = row
        hours = row.get("wall_s", 0.0) / 3600 * shape.workers
        for name, amount in (("epochs", 1), ("worker_hours", hours), ("gpu_hours", hours * shape.gpus)):
            self.totals[name] += amount
        if (top1 := row.get("top1")) is not None:
            self.tops = {"top1_latest": top1, "top1_best": max(top1, self.tops.get("top1_best", 0.0))}

    def values(self) -> dict[str, float]:
        """Return every metric except `trials`; accuracies only once there are any."""
        wait_s, wall_s, speed = (self._sum(name) for name in ("data_wait_s", "wall_s", "images_per_s"))
        totals = {name: self.totals[name] for name in ("epochs", "retries", "worker_hours", "gpu_hours")}
        return totals | self.tops | {"images_per_s": speed, "data_wait_share": wait_share(wait_s, wall_s)}

    def _sum(self, name: str) -> float:
        return sum(row.get(name) or 0.0 for row in self.rows.values())


class SweepMetrics:
    """Turns the events of a sweep into metrics; needs a Ray session."""

    def __init__(self, tasks: Mapping[str, TrialTask], shape: GangShape) -> None:
        """`tasks` may grow, as in a sweep of a search space; a trial of several studies counts for the first."""
        self.tasks = tasks
        self.shape = shape
        self.studies: dict[str, _Study] = {}
        self.gauges = {
            name: Gauge(PREFIX + name, text, ("study", "status") if name == "trials" else ("study",))
            for name, text in DESCRIPTIONS.items()
        }
        for task in tasks.values():
            self._study(task).move(task.trial, "waiting")
        for name in self.studies:
            self._publish(name)

    def on_event(self, event: Event) -> None:
        """Process one event of the sweep."""
        if (task := self.tasks.get(event.trial)) is not None:
            self._study(task).take(event, self.shape)
            self._publish(task.study)

    def _study(self, task: TrialTask) -> _Study:
        return self.studies.setdefault(task.study, _Study())

    def _publish(self, name: str) -> None:
        study = self.studies[name]
        for status in STATUSES:
            self.gauges["trials"].set(study.counts[status], {"study": name, "status": status})
        for metric, value in study.values().items():
            self.gauges[metric].set(value, {"study": name})
