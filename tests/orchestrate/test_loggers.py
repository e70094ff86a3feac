"""Real tools, fed with events as a sweep has them; those that are not installed are skipped by name."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import RaysweepError
from raysweep.orchestrate import loggers
from raysweep.orchestrate.events import Event
from raysweep.orchestrate.loggers import Loggers, parse_place
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.sweeps.resources import Resources, check_logging
from raysweep.train.task import TrialTask
from tests.orchestrate.conftest import RAYS_OWN_WARNINGS

pytestmark = RAYS_OWN_WARNINGS


def make_task(trial: str, activation: str) -> TrialTask:
    recipe = patch(find_protocol("demo"), {"network.activation": activation})
    return TrialTask(trial, recipe, data="", store="", protocol="demo", study="activation", variant=activation)


TASKS = {"a": make_task("a", "elu"), "b": make_task("b", "tanh"), "c": make_task("c", "maxout")}


def epoch(trial: str, number: int, top1: float) -> Event:
    row = {"trial": trial, "epoch": number, "planned_epochs": 2, "status": "running", "top1": top1, "attempt": 1}
    return Event("epoch", trial, row | {"logloss": None, "train_loss": float("nan") if trial == "b" else 2.0})


EVENTS = (
    *(Event("started", "a"), Event("started", "b"), epoch("a", 1, 0.25), Event("note", text="two at once")),
    *(epoch("b", 1, 0.1), Event("diverged", "b"), epoch("a", 2, 0.5), Event("finished", "a"), Event("note", "a")),
    *(Event("started", "c"), Event("retried", "c", text="again"), Event("failed", "c", {"error": "bad"}, "bad")),
)


def log(*places: str) -> list[Event]:
    """Log the events; returns what the user is told."""
    told: list[Event] = []
    tools = Loggers(places, TASKS, told.append)
    for event in EVENTS:
        tools.on_event(event)
    tools.close()
    return told


def read_events(folder: Path) -> Iterator[Any]:
    """What tensorboardX has written: records of length, checksum, message, checksum."""
    from tensorboardX.proto.event_pb2 import Event as Written

    (path,) = folder.glob("events.out.tfevents.*")
    content, place = path.read_bytes(), 0
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        yield Written.FromString(content[place + 12 : place + 12 + length])
        place += length + 16


def test_tensorboard_has_every_epoch_the_recipe_and_the_end(tmp_path: Path) -> None:
    assert log(f"tensorboard:{tmp_path}/tb") == []
    folder = tmp_path / "tb/activation"
    written = list(read_events(folder / "elu/seed0-a"))
    scalars = [(event.step, value.tag, value.simple_value) for event in written for value in event.summary.value]
    assert (1, "ray/tune/top1", 0.25) in scalars
    assert (2, "ray/tune/top1", 0.5) in scalars
    assert (2, "ray/tune/finished", 1.0) in scalars
    assert any(b"network.activation" in event.SerializeToString() for event in written), "the table of parameters"
    tags = {value.tag for event in read_events(folder / "tanh/seed0-b") for value in event.summary.value}
    assert "ray/tune/diverged" in tags
    assert "ray/tune/train_loss" not in tags, "which is not finite"
    (failed,) = (
        v for event in read_events(folder / "maxout/seed0-c") for v in event.summary.value if "failed" in v.tag
    )
    assert failed.simple_value == 1.0


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # of MLflow and of what it stands on
def test_mlflow_has_every_epoch_the_recipe_and_the_end(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="pip install 'raysweep[mlflow]'")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert log(f"mlflow:{uri}") == []
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("raysweep")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert runs.keys() == {"activation/elu seed 0", "activation/tanh seed 0", "activation/maxout seed 0"}
    first = runs["activation/elu seed 0"]
    assert [(one.step, one.value) for one in client.get_metric_history(first.info.run_id, "top1")] == [
        (1, 0.25),
        (2, 0.5),
    ]
    assert first.data.params["network.activation"] == "elu"
    assert (first.info.status, first.data.metrics["finished"]) == ("FINISHED", 1)
    assert runs["activation/tanh seed 0"].data.metrics["diverged"] == 1
    last = runs["activation/maxout seed 0"]
    assert (last.info.status, last.data.metrics["failed"]) == ("FAILED", 1)


@pytest.mark.long
def test_wandb_gets_every_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="pip install 'raysweep[wandb]'")
    import ray

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        assert log("wandb:study") == []
    finally:
        ray.shutdown()
    written = {path.name.rpartition("-")[2]: path for path in Path("wandb").glob("offline-run-*")}
    assert written.keys() == TASKS.keys()
    content = next(written["a"].glob("run-*.wandb")).read_bytes()
    for text in (b"network.activation", b"activation/elu seed 0", b"top1", b"finished"):
        assert text in content


def test_a_tool_that_fails_is_left_and_the_sweep_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def setup(self) -> None: ...

        def log_trial_start(self, trial: Any) -> None:
            raise ConnectionError("no server")

    kind = loggers.Kind("json", "there", lambda place: Failing())
    monkeypatch.setitem(loggers.KINDS, "failing", kind)
    (told,) = log("failing", f"tensorboard:{tmp_path}/tb")
    assert re.search("failing at there: .*ConnectionError: no server", told.text)
    assert len(list((tmp_path / "tb").rglob("events.out.*"))) == 3


def test_places_that_cannot_be_logged_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_place("tensorboard") == ("tensorboard", "tensorboard")
    with pytest.raises(RaysweepError, match=r"'tensorbord'.*tensorboard"):
        parse_place("tensorbord")
    monkeypatch.setitem(loggers.KINDS, "mlflow", loggers.Kind("no_such_package", "there", print))
    with pytest.raises(RaysweepError, match=r"--log-to mlflow.*no_such_package.*pip install 'raysweep\[mlflow\]'"):
        parse_place("mlflow:there")


def test_logging_without_ray_is_refused() -> None:
    with pytest.raises(RaysweepError, match="--log-to tensorboard.*--inline"):
        check_logging(Resources(inline=True, log_to=("tensorboard",)))
    check_logging(Resources(inline=True))
