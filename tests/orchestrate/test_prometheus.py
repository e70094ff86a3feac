from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from raysweep.orchestrate import prometheus
from raysweep.orchestrate.events import Event
from raysweep.orchestrate.prometheus import DESCRIPTIONS, SweepMetrics
from raysweep.recipe import Recipe
from raysweep.train.task import Placement, TrialTask
from raysweep.train.worker import GangShape
from tests.orchestrate.conftest import RAYS_OWN_WARNINGS

pytestmark = RAYS_OWN_WARNINGS
GRAFANA = Path(__file__).resolve().parents[2] / "cluster/grafana/raysweep.json"


class Recorded:
    """Stands in for a gauge of Ray's."""

    def __init__(self, name: str, text: str, tag_keys: tuple[str, ...]) -> None:
        self.tag_keys = tag_keys
        self.values: dict[tuple[str, ...], float] = {}

    def set(self, value: float, tags: dict[str, str]) -> None:
        self.values[tuple(tags[key] for key in self.tag_keys)] = value


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> SweepMetrics:
    """Two trials of one study and one of another, on two workers of half a GPU."""
    monkeypatch.setattr(prometheus, "Gauge", Recorded)
    tasks = [task("a", "activation"), task("b", "activation"), task("c", "depth")]
    return SweepMetrics({one.trial: one for one in tasks}, GangShape(workers=2, gpus=0.5))


def task(trial: str, study: str) -> TrialTask:
    return TrialTask(trial, Recipe(), data="", store="", study=study, variant=trial)


def value(recorded: SweepMetrics, name: str, *tags: str) -> Any:
    gauge: Any = recorded.gauges[name]
    return gauge.values[tags]


def epoch(number: int, top1: float | None, wall_s: float = 36.0, wait_s: float = 9.0) -> dict[str, Any]:
    row = {"epoch": number, "planned_epochs": 3, "status": "running", "top1": top1, "images_per_s": 100.0}
    return row | {"wall_s": wall_s, "data_wait_s": wait_s, "trial": ""}


def test_every_metric_follows_the_events(recorded: SweepMetrics) -> None:
    assert value(recorded, "trials", "activation", "waiting") == 2
    for event in (
        *(Event("started", "a"), Event("started", "b"), Event("note", text="hm"), Event("note", "elsewhere")),
        *(Event("epoch", "a", epoch(1, 0.25)), Event("epoch", "b", epoch(1, 0.5, wait_s=18.0))),
        *(Event("retried", "b"), Event("epoch", "a", epoch(2, 0.375)), Event("epoch", "a", epoch(3, None))),
    ):
        recorded.on_event(event)
    got = {name: value(recorded, name, "activation") for name in DESCRIPTIONS if name != "trials"}
    assert got == {
        "epochs": 4,
        "retries": 1,
        "images_per_s": 200.0,
        "data_wait_share": 27 / 72,
        "top1_latest": 0.375,
        "top1_best": 0.5,
        "worker_hours": pytest.approx(0.08),
        "gpu_hours": pytest.approx(0.04),
    }
    recorded.on_event(Event("finished", "a"))
    recorded.on_event(Event("diverged", "b"))
    statuses = {tags: count for tags, count in recorded.gauges["trials"].values.items() if count}
    assert statuses == {("activation", "finished"): 1, ("activation", "diverged"): 1, ("depth", "waiting"): 1}
    assert value(recorded, "images_per_s", "activation") == 0, "nothing runs"


def test_a_trial_that_a_search_adds_is_counted(recorded: SweepMetrics) -> None:
    recorded.tasks["d"] = task("d", "joint")
    recorded.on_event(Event("started", "d"))
    assert value(recorded, "trials", "joint", "running") == 1


def test_the_grafana_dashboard_draws_every_metric_and_no_other() -> None:
    dashboard = json.loads(GRAFANA.read_text())
    drawn = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries = [
        variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"
    ]
    asked = drawn + queries
    names = {name for text in asked for name in re.findall(r"ray_raysweep_(\w+)", text)}
    assert all("ray_raysweep_" in text for text in asked)
    assert names == DESCRIPTIONS.keys()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_documentation_explains_every_metric_and_no_other() -> None:
    text = (GRAFANA.parents[2] / "docs/watching.md").read_text()
    assert set(re.findall(r"`ray_raysweep_(\w+)`", text)) == DESCRIPTIONS.keys()


def train_measured(task: TrialTask, place: Placement, attempt: int) -> Iterator[dict[str, Any]]:
    """Three epochs with all that metrics read; the trial b fails once, and each waits to be looked at."""
    for number in (1, 2, 3):
        if number == 2 and task.trial == "b" and attempt == 1:
            raise ValueError("bad luck")
        yield epoch(number, number / 4) | {"trial": task.trial, "status": "finished" if number == 3 else "running"}


@pytest.mark.long
def test_the_prometheus_endpoint_serves_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    from raysweep.orchestrate.ray_sweep import run_on_ray

    pages: list[str] = []

    def look(event: Event) -> None:
        if event.kind == "finished" and event.trial == "b":
            pages.append(wait_for("retries", served))

    def served() -> str:
        nodes = [node for node in ray.nodes() if node["Alive"]]
        return "".join(
            urlopen(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics").read().decode()
            for node in nodes
        )

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        tasks = [task("a", "activation"), task("b", "activation")]
        run_on_ray(tasks, look, train=train_measured, record_end=lambda *words: None)
    finally:
        ray.shutdown()
    served_labels = dict(re.findall(r"^ray_raysweep_(\w+)\{(.*)\} \S+$", pages[0], re.M))
    assert served_labels.keys() == DESCRIPTIONS.keys()
    assert all('study="activation"' in labels for labels in served_labels.values())


def wait_for(name: str, served: Any) -> str:
    """The page once it has the metric with a value; the agent of a node collects every few seconds."""
    deadline = time.monotonic() + 60
    while not re.search(rf"^ray_raysweep_{name}\{{.*\}} 1.0$", page := served(), re.M):
        assert time.monotonic() < deadline, page
        time.sleep(0.5)
    return page
