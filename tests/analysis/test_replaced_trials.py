"""Several trials of one variant and seed: the one that the study gives now counts, the others are named."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from raysweep import notebook
from raysweep.analysis.load import load_lines
from raysweep.analysis.our_networks import OTHER
from raysweep.analysis.page.gain_tables import summary
from raysweep.analysis.page.live import LiveReport
from raysweep.analysis.statistics.comparisons import gains, tops
from raysweep.identity import recipe_from_json, recipe_json, trial_id
from raysweep.patch import set_fields
from raysweep.request import Request
from raysweep.store.query import results_table
from raysweep.store.store import Store
from raysweep.sweeps.study_sweep import member_rows
from raysweep.verbs.entry import raysweep
from raysweep.verbs.status import status_rows

SETTINGS = {"solver.lr": 0.02, "training.epochs": 4.0}
DAY = {day: datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)}
Rows = dict[str, dict[str, Any]]


def fill(store: Store, study: str, variant: str) -> Rows:
    """A study with one trial for each variant; returns the members by variant."""
    request = Request((study,), "cifar10", SETTINGS, variants=(variant,))
    rows = member_rows(request.plan(), study, request.protocol)
    store.write_members(rows)
    for row in rows:
        end(store, row["trial"], 0.5, 2)
    return {row["variant"]: row for row in rows}


def end(store: Store, trial: str, top1: float, day: int) -> None:
    row = {"trial": trial, "status": "finished", "top1": top1, "epochs": 4, "updated_at": DAY[day], "seed": 0}
    store.write_trial(row)
    store.write_epochs(trial, [{"trial": trial, "epoch": 4, "iteration": 9, "top1": top1}])


def twin(store: Store, row: dict[str, Any], changes: dict[str, Any], day: int, **more: Any) -> str:
    """A trial of the same variant and seed with another recipe."""
    recipe = set_fields(recipe_from_json(row["recipe"]), changes)
    other = row | {"trial": trial_id(recipe), "recipe": recipe_json(recipe)} | more
    store.write_members([other])
    end(store, str(other["trial"]), 0.3, day)
    return str(other["trial"])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"), create=True)


@pytest.mark.parametrize(("study", "variant"), [("activation", "elu"), ("lr_policy", "square"), ("depth", "vgg16")])
@pytest.mark.parametrize("day", [1, 3])
def test_the_trial_that_the_study_gives_now_counts(store: Store, study: str, variant: str, day: int) -> None:
    members = fill(store, study, variant)
    old = twin(store, members[variant], {"solver.momentum": 0.5}, day)
    (line,) = load_lines(store, [study])
    assert tops(line)[variant].tolist() == [50.0]
    assert gains(line)[variant].mean == 0
    assert set(line.epochs["trial"]) == {row["trial"] for row in members.values()}
    (problem,) = store.problems
    for value in (f"{study}/{variant}", members[variant]["trial"], old):
        assert value in problem
    table = results_table(Store.open(store.uri), study).to_pylist()
    assert [row["top1"] for row in table] == [0.5] * len(members)


def test_every_reader_names_what_it_left_out(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = twin(store, fill(store, "activation", "elu")["elu"], {"solver.momentum": 0.5}, 3)
    for words in (["results", "activation", "--store", store.uri, "--json"], ["compare", store.uri, store.uri]):
        done = CliRunner().invoke(raysweep, words)
        assert done.exit_code == 0
        assert old in done.stderr
    assert [row["trials"] for row in status_rows(store)] == [2], "the baseline and one elu"
    live = LiveReport(store, ["activation"], tmp_path / "report")
    monkeypatch.setattr(live.page, "write", lambda lines, every_s: tmp_path)
    live.update(live.following.refresh(), None)
    assert old not in set(live.lines["activation"][0].trials["trial"])
    assert old in store.problems[0]
    with pytest.warns(UserWarning, match=old):
        notebook.results("activation", store.uri)


def test_images_that_were_written_again_the_later_trial_counts(store: Store) -> None:
    members = fill(store, "activation", "elu")
    later = twin(store, members["elu"], {"data.digest": "0123456789abcdef"}, 3)
    (line,) = load_lines(store, ["activation"])
    assert tops(line)["elu"].tolist() == [30.0]
    assert later in store.problems[0]


def test_a_study_of_a_notebook_the_later_trial_counts(store: Store) -> None:
    members = fill(store, "activation", "elu")
    rows = [row | {"study": "mine"} for row in members.values()]
    store.write_members(rows)
    twin(store, members["elu"], {"solver.momentum": 0.5}, 1, study="mine")
    assert tops(load_lines(store, ["mine"])[0])["elu"].tolist() == [50.0]


def test_points_that_two_drivers_named_alike_are_both_kept(store: Store) -> None:
    row = fill(store, "activation", "elu")["elu"] | {"study": "joint", "variant": "s000", "assignment": "{}"}
    store.write_members([row])
    other = twin(store, row, {"solver.momentum": 0.5}, 1)
    (line,) = load_lines(store, ["joint"])
    found = dict(zip(line.trials["variant"], line.trials["top1"], strict=True))
    assert sorted(found.values()) == [0.3, 0.5]
    assert len(found) == 2
    assert not store.problems
    assert {row["trial"] for row in results_table(store, "joint").to_pylist()} == {row["trial"], other}


@pytest.mark.parametrize("day", [1, 3])
def test_trials_of_another_network_are_left_out_at_every_seed(store: Store, day: int) -> None:
    """The networks of resnet/ror were reconstructions under another name, which no longer exists."""
    row = fill(store, "resnet", "ror")["ror"]
    before = {"network.name": "vgglike50_ror", "network.stem_activation": ""}
    old = [twin(store, row, before | {"seed": seed}, day, seed=seed) for seed in (0, 1)]
    (line,) = load_lines(store, ["resnet"])
    assert tops(line)["ror"].tolist() == [50.0]
    (problem,) = store.problems
    for value in ("resnet/ror", row["trial"], *old):
        assert value in problem
    found = results_table(Store.open(store.uri), "resnet").to_pylist()
    assert not {member["trial"] for member in found} & set(old)


def test_older_trials_alone_are_of_other_layers_than_the_published_number(store: Store) -> None:
    row = fill(store, "resnet", "ror")["ror"] | {"variant": "ror_var"}
    twin(store, row, {"network.name": "vgglike50_ror_var", "network.stem_activation": ""}, 3)
    table = summary(load_lines(store, ["resnet"])[0]).set_index("variant")
    assert table.loc["ror_var", "our_network"] == OTHER
    assert not store.problems
