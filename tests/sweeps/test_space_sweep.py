"""A small search with real training on generated images: run, killed, continued, shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from raysweep.errors import RaysweepError
from raysweep.orchestrate import inline
from raysweep.proposals import SpaceOptions
from raysweep.request import Request
from raysweep.space import Choice, LogUniform, Parameter, Space
from raysweep.store.store import Store
from raysweep.sweeps.resources import Resources
from raysweep.sweeps.space_sweep import (
    PreparedSpace,
    execute_space,
    prepare_space,
    record_stopped,
    stored_history,
    stored_results,
)
from raysweep.verbs.entry import raysweep

ACTIVATION = Parameter(
    "network.activation",
    Choice({name: {"network.activation": name} if name != "relu" else {} for name in ("relu", "elu", "tanh")}),
    "non-linearity",
)
SMALL = Space("joint", "Which?", "p", "f", (ACTIVATION, Parameter("solver.lr", LogUniform(0.5, 2.0), "rate")))
SETTINGS = {"network.width": 0.0625, "training.epochs": 1.0}
INLINE = Resources(inline=True)


@pytest.fixture(autouse=True)
def _small_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raysweep.sweeps.space_sweep.find_space", lambda name: SMALL)


def prepare(images: Path, store: Path, trials: int, resources: Resources = INLINE, **options: Any) -> PreparedSpace:
    request = Request(("joint",), "demo", SETTINGS, data=images, store=str(store))
    return prepare_space(request, resources, SpaceOptions(trials=trials, **options))


def cli(*words: object) -> str:
    done = CliRunner().invoke(raysweep, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def images(small_images: Path) -> Path:
    return small_images


def test_a_search_is_continued_shown_and_reported(images: Path, tmp_path: Path) -> None:
    store = tmp_path / "results"
    outcome = execute_space(prepare(images, store, 3), INLINE)
    assert len(outcome.finished) == 3
    prepared = prepare(images, store, 5)
    assert [point.variant for point in prepared.finished()] == ["baseline", "s000", "s001"]
    again = execute_space(prepared, INLINE)
    assert len(again.finished) == 2
    assert set(again.finished).isdisjoint(outcome.finished)
    rows = json.loads(cli("results", "joint", "--store", store, "--json"))
    assert [row["variant"] for row in rows] == ["baseline", "s000", "s001", "s002", "s003"]
    assert {row["status"] for row in rows} == {"finished"}
    assert not execute_space(prepare(images, store, 5), INLINE).finished
    page = Path(cli("report", "joint", "--store", store, "--out", tmp_path / "report").strip()).read_text()
    assert "Which combination of all the choices?" in page
    assert "solver.lr x" in page, "what a point is"
    (status,) = json.loads(cli("status", "--store", store, "--json"))
    assert (status["study"], status["trials"], status["finished"]) == ("joint", 5, 5)


def test_a_proposal_is_in_the_store_before_it_is_trained(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*place: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(inline, "train_trial", killed)
    with pytest.raises(KeyboardInterrupt):
        execute_space(prepare(images, tmp_path / "s", 3), INLINE)
    (member,) = Store.open(str(tmp_path / "s")).members().to_pylist()
    assert (member["study"], member["variant"], member["order"]) == ("joint", "baseline", 0)
    assert json.loads(member["assignment"]) == {"network.activation": "relu", "solver.lr": 1.0}


def test_what_the_store_knows_is_told_to_the_searcher(images: Path, tmp_path: Path) -> None:
    execute_space(prepare(images, tmp_path / "s", 2), INLINE)
    store = Store.open(str(tmp_path / "s"))
    first, second = (row["trial"] for row in store.members().to_pylist())
    store.write_trial((store.trial(first) or {}) | {"status": "stopped"})
    results = stored_results(prepare(images, tmp_path / "s", 2, Resources(), scheduler="asha"))
    assert {trial: result.end for trial, result in results.items()} == {first: "stopped", second: "finished"}
    assert results[second].curve == ((1, results[second].top1),)
    assert stored_results(prepare(images, tmp_path / "s", 2, Resources())).keys() == {second}


def test_a_stop_that_a_killed_sweep_could_not_write_is_written(images: Path, tmp_path: Path) -> None:
    execute_space(prepare(images, tmp_path / "s", 3), INLINE)
    store = Store.open(str(tmp_path / "s"))
    baseline, cut, lost = (row["trial"] for row in store.members().sort_by("order").to_pylist())
    store.write_trial((store.trial(cut) or {}) | {"status": "running"})
    prepared = prepare(images, tmp_path / "s", 3, Resources(), scheduler="asha")
    assert [seen.trial for seen in stored_history(prepared)] == [baseline, cut, lost]
    told: list[tuple[str, str, str]] = []
    record_stopped(prepared, {cut: "asha: why", lost: "it has ended"}, lambda e: told.append((e.kind, e.trial, e.text)))
    assert told == [("stopped", cut, "asha: why")]
    row = store.trial(cut) or {}
    assert (row["status"], row["stopped_why"], row["error"]) == ("stopped", "asha: why", None)
    assert (store.trial(lost) or {})["status"] == "finished"
    assert stored_results(prepared).keys() == {baseline, cut, lost}


def test_a_grid_is_planned_and_trained_without_ray(images: Path, tmp_path: Path) -> None:
    prepared = prepare(images, tmp_path / "s", 9, searcher="grid", over=("network.activation",))
    assert prepared.options.trials == 3
    assert len(execute_space(prepared, INLINE).finished) == 3
    with pytest.raises(RaysweepError, match="joint.*3"):
        prepare(images, tmp_path / "s", 3, searcher="grid")


def test_a_grid_on_a_used_store_trains_its_own_points(images: Path, tmp_path: Path) -> None:
    execute_space(prepare(images, tmp_path / "s", 3), INLINE)
    grid = {"searcher": "grid", "over": ("network.activation",)}
    assert len(execute_space(prepare(images, tmp_path / "s", 9, **grid), INLINE).finished) == 2, "all but the baseline"
    assert not execute_space(prepare(images, tmp_path / "s", 9, **grid), INLINE).finished


@pytest.mark.parametrize(("option", "value"), [("searcher", "optuna"), ("scheduler", "asha")])
def test_what_needs_tune_is_refused_without_ray(option: str, value: str, images: Path, tmp_path: Path) -> None:
    with pytest.raises(RaysweepError, match=f"--{option} {value}.*--inline"):
        prepare(images, tmp_path / "s", 2, **{option: value})


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # Ray's own, as in tests/orchestrate
def test_optuna_and_asha_on_ray_train_for_real(images: Path, tmp_path: Path) -> None:
    settings = SETTINGS | {"training.epochs": 4.0}
    request = Request(("joint",), "demo", settings, data=images, store=str(tmp_path / "s"))
    options = SpaceOptions("optuna", "asha", trials=6, reduction_factor=2.0)
    resources = Resources(workers=1, address="local")
    outcome = execute_space(prepare_space(request, resources, options), resources)
    rows = {row["trial"]: row for row in Store.open(str(tmp_path / "s")).trials().to_pylist()}
    assert {rows[trial]["status"] for trial in outcome.finished} == {"finished"}
    assert {rows[trial]["status"] for trial in outcome.stopped} == {"stopped"}
    assert len(rows) == len(outcome.finished) + len(outcome.stopped) == 6
    over = prepare_space(request, resources, options)
    assert len(over.finished()) == 6
    assert not execute_space(over, resources).finished
