"""Proposals without training: which points come in which order, which are continued, which options are refused."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import RaysweepError
from raysweep.patch import patch
from raysweep.planning import Found
from raysweep.proposals import (
    Proposal,
    Proposals,
    SpaceOptions,
    check_settings,
    decide_proposal,
    fit_to_grid,
    known_points,
    proposal_row,
    random_point,
    random_points,
    read_proposals,
    searcher_tag,
)
from raysweep.recipe import Recipe
from raysweep.space import Choice, LogUniform, Parameter, Space, find_space
from raysweep.store.store import Store
from raysweep.study import Times

JOINT = find_space("joint")
NORM = Parameter("norm", Choice({"none": {}, "batch": {"network.norm": "batch"}}), "norm")
GROUPS = Parameter("network.groups", Choice({"True": {}, "False": {"network.groups": False}}), "groups")
TINY = Space("tiny", "Which?", "p", "f", (NORM, GROUPS))
RATES = Space("rates", "Which?", "p", "f", (NORM, Parameter("solver.lr", LogUniform(0.1, 10.0), "rate")))


def proposed(space: Space, limit: int, seed: int = 0) -> list[Proposal]:
    return list(Proposals(space, Recipe()).take(random_points(space, seed), limit))


def rows_of(folder: Path, *all_proposals: Proposals) -> list[dict[str, Any]]:
    store = Store.open(str(folder), create=True)
    for proposals in all_proposals:
        for point in proposals.points.values():
            store.write_members([proposal_row(proposals, point, "imagenet128", Recipe())])
    rows: list[dict[str, Any]] = store.members(each_searcher=True).to_pylist()
    return rows


def test_the_baseline_comes_first_and_the_others_are_numbered() -> None:
    points = proposed(JOINT, 4)
    assert [point.variant for point in points] == ["baseline", "s000", "s001", "s002"]
    assert points[0].recipe == Recipe()
    assert len({point.trial for point in points}) == 4


def test_a_sample_depends_on_seed_and_number_alone() -> None:
    sequence = list(islice(random_points(JOINT, 5), 1, 6))
    assert sequence == [random_point(JOINT, 5, k) for k in range(5)]
    assert sequence[3] != random_point(JOINT, 6, 3)
    known = "from raysweep.proposals import *; print(sorted(random_point(find_space('joint'), 5, 3).items()))"
    command = [sys.executable, "-c", f"from raysweep.space import find_space; {known}"]
    other = subprocess.run(command, check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": "7"}).stdout
    assert other.strip() == str(sorted(sequence[3].items()))


def test_more_trials_begin_with_those_of_fewer() -> None:
    assert proposed(JOINT, 20)[:7] == proposed(JOINT, 7)


def test_a_space_with_few_points_ends_early() -> None:
    points = proposed(TINY, 50)
    assert len(points) == 4
    assert [point.order for point in points] == [0, 1, 2, 3]


def test_a_point_is_recorded_once_and_before_it_is_used() -> None:
    recorded: list[tuple[str, int]] = []
    proposals = Proposals(TINY, Recipe())
    proposals.note = lambda point: recorded.append((point.variant, len(proposals)))
    point, new = proposals.propose({"norm": "batch", "network.groups": "True"})
    again, fresh = proposals.propose({"norm": "batch", "network.groups": "True"})
    assert (point, new, fresh) == (again, True, False)
    assert recorded == [("baseline", 0)]


def test_a_stored_search_is_continued(tmp_path: Path) -> None:
    first = Proposals(RATES, Recipe())
    list(first.take(random_points(RATES, 0), 5))
    again = Proposals(RATES, Recipe())
    read_proposals(rows_of(tmp_path, first), again, SpaceOptions(trials=7))
    assert again.points == first.points
    assert [p.variant for p in again.take(random_points(RATES, 0), 7)][5:] == ["s004", "s005"]
    assert list(again.points) == [point.trial for point in proposed(RATES, 7)]


def test_only_points_under_the_same_settings_are_continued(tmp_path: Path) -> None:
    first = Proposals(RATES, Recipe())
    list(first.take(random_points(RATES, 0), 5))
    other = Proposals(RATES, patch(Recipe(), {"training.epochs": 3.0}))
    read_proposals(rows_of(tmp_path, first), other, SpaceOptions())
    assert not other.points


def test_a_grid_on_a_used_store_takes_its_own_points_only(tmp_path: Path) -> None:
    options = fit_to_grid(RATES, SpaceOptions("grid", grid_points=3))
    assert options.trials == 6
    stored = Proposals(RATES, Recipe())
    list(stored.take(random_points(RATES, 0), 7))
    stored.propose({"norm": "batch", "solver.lr": 10.0})
    grid = Proposals(RATES, Recipe())
    read_proposals(rows_of(tmp_path, stored), grid, options)
    assert [point.variant for point in grid.first(options.trials)] == ["baseline", "s006"], "one that another proposed"
    points = list(grid.take(known_points(RATES, options), options.trials))
    rates = {(point.assignment["norm"], point.assignment["solver.lr"]) for point in points}
    assert rates == {(norm, rate) for norm in ("none", "batch") for rate in (0.1, 1.0, 10.0)}
    assert len(points) == 6
    assert [point.variant for point in points[2:]] == ["s007", "s008", "s009", "s010"]
    assert len(grid.others) == 6, "the baseline is in both"


@pytest.mark.parametrize(
    "options",
    [SpaceOptions("random", trials=6, seed=1), SpaceOptions("optuna", trials=6), SpaceOptions("grid", trials=6)],
)
def test_points_of_another_searcher_or_seed_do_not_count(options: SpaceOptions, tmp_path: Path) -> None:
    stored = Proposals(RATES, Recipe(), searcher=searcher_tag(SpaceOptions("random")))
    list(stored.take(random_points(RATES, 0), 6))
    mine = Proposals(RATES, Recipe())
    read_proposals(rows_of(tmp_path, stored), mine, options)
    assert [point.variant for point in mine.points.values()] == ["baseline"] * (options.searcher != "optuna")
    assert not mine.unrecorded
    again, new = mine.propose(stored.first(3)[2].assignment)
    assert (again.variant, new) == ("s001", True), "a trial has one name, whoever proposes it"
    assert mine.propose({"norm": "batch", "solver.lr": 7.7})[0].variant == "s005"


def test_optuna_continues_its_own_points_and_those_of_an_unknown_searcher(tmp_path: Path) -> None:
    tags = {0: searcher_tag(SpaceOptions("optuna")), 1: searcher_tag(SpaceOptions("optuna", seed=1)), 2: ""}
    first, other, old = (Proposals(RATES, Recipe(), searcher=tag) for tag in tags.values())
    shared = first.propose({"norm": "none", "solver.lr": 2.0})[0]
    first.propose({"norm": "none", "solver.lr": 3.0})
    read_proposals(rows_of(tmp_path, first), other, SpaceOptions("optuna", seed=1))
    assert not other.points
    assert other.propose(shared.assignment) == (shared, True)
    other.propose({"norm": "none", "solver.lr": 4.0})
    old.next_order = 9
    old.propose({"norm": "none", "solver.lr": 5.0})
    rows = rows_of(tmp_path, first, other, old)
    for tag, seed, expected in ((tags[0], 0, {2.0, 3.0, 5.0}), (tags[1], 1, {2.0, 4.0, 5.0})):
        again = Proposals(RATES, Recipe(), searcher=tag)
        read_proposals(rows, again, SpaceOptions("optuna", seed=seed))
        assert {point.assignment["solver.lr"] for point in again.points.values()} == expected
        assert again.unrecorded == 1
    assert len(Store.open(str(tmp_path)).members()) == 4, "each point once for who does not ask for the searcher"


def test_points_of_an_older_space_keep_their_names(tmp_path: Path) -> None:
    old = Proposals(Space("tiny", "Which?", "p", "f", (NORM,)), Recipe())
    list(old.take(random_points(old.space, 0), 2))
    new = Proposals(TINY, Recipe())
    read_proposals(rows_of(tmp_path, old), new, SpaceOptions())
    assert not new.points
    assert new.propose({"norm": "batch", "network.groups": "False"})[0].variant == "s001"


def test_a_row_of_the_store_describes_the_point() -> None:
    proposals = Proposals(RATES, Recipe())
    point, _ = proposals.propose({"norm": "batch", "solver.lr": 2.0})
    row = proposal_row(proposals, point, "imagenet128", Recipe())
    assert row["summary"] == "norm batch, solver.lr x2"
    assert row["assignment"] == '{"norm":"batch","solver.lr":2.0}'
    assert (row["study"], row["variant"], row["baseline"], row["seed"]) == ("rates", "baseline", "baseline", 0)
    assert row["diff"] == '{"network.norm":"batch","solver.lr":0.02}'


@pytest.mark.parametrize(
    ("found", "scheduler", "action"),
    [
        (None, "asha", "run"),
        (Found("stopped", 2), "asha", "skip"),
        (Found("stopped", 2), "none", "resume"),
        (Found("running", 2), "asha", "resume"),
        (Found("finished", 9), "asha", "skip"),
        (Found("failed", 1, 2), "asha", "retry"),
    ],
)
def test_a_trial_that_a_scheduler_stopped_is_not_trained_again_under_one(
    found: Found | None, scheduler: str, action: str
) -> None:
    assert decide_proposal(Recipe(), found, scheduler)[0] == action


def test_a_setting_of_a_searched_field_is_refused() -> None:
    with pytest.raises(RaysweepError, match=r"tiny.*--set network\.groups"):
        check_settings(TINY, ["network.groups"])
    relative = Parameter("training.batch_size", Choice({"x1": {}, "x2": {"training.batch_size": Times(2.0)}}), "b")
    check_settings(Space("s", "?", "p", "f", (relative,)), ["training.batch_size", "network.groups"])


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ({"searcher": "randm"}, "'randm'.*random"),
        ({"scheduler": "pbt"}, "scheduler 'pbt'"),
        ({"trials": 0}, "--trials.*0"),
        ({"grace_epochs": 0}, "--grace-epochs.*0"),
        ({"reduction_factor": 1.0}, "--reduction-factor.*1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], values: str) -> None:
    with pytest.raises(RaysweepError, match=values):
        SpaceOptions(**options)  # type: ignore[arg-type]


def test_planning_a_search_loads_neither_torch_nor_ray() -> None:
    code = (
        "import sys; from raysweep.verbs.entry import raysweep\n"
        "try: raysweep(['plan', 'joint', '--protocol', 'cifar10', '--json'])\n"
        "except SystemExit: pass\n"
        "sys.exit(bool({'torch', 'ray', 'optuna', 'pandas', 'matplotlib', 'rich'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_grid_is_as_long_as_its_points_and_no_longer_than_allowed() -> None:
    space = find_space("joint")
    options = SpaceOptions("grid", trials=30, over=("network.activation",))
    fitted = fit_to_grid(space, options)
    size = len(space.parameter("network.activation").domain.points)
    assert fitted.trials == size
    proposals = Proposals(space, Recipe())
    assert len(list(proposals.take(known_points(space, fitted), 99))) == size
    with pytest.raises(RaysweepError, match="joint.*30.*--over"):
        fit_to_grid(space, SpaceOptions("grid", trials=30))
    with pytest.raises(RaysweepError, match="--grid-points.*--searcher grid.*random"):
        SpaceOptions(grid_points=3)
    with pytest.raises(RaysweepError, match="--grid-points.*1"):
        SpaceOptions("grid", grid_points=1)
