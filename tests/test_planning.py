from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.errors import RaysweepError
from raysweep.identity import trial_id
from raysweep.pace import Pace, keep
from raysweep.patch import patch
from raysweep.planning import Found, decide, make_plan, needing, planned_studies, possible, shared_and_own, to_run
from raysweep.protocols import find_protocol
from raysweep.recipe import Length, Recipe
from raysweep.request import Request, found_in
from raysweep.store.store import Store
from raysweep.study import Study, Variant, find_study
from raysweep.validate import check_recipe

STUDY = find_study("activation").only(["elu", "tanh"])
OTHER = Study("rates", "Which rate?", "p", "f", "base", (Variant("base"), Variant("fast", {"solver.lr": 0.1})))


def test_more_seeds_keep_the_trials_of_fewer() -> None:
    few = [planned.trial for planned in make_plan([STUDY], Recipe(), range(2))]
    more = [planned.trial for planned in make_plan([STUDY], Recipe(), range(3))]
    assert more[: len(few)] == few
    assert len(set(more)) == len(more) == 9


def test_a_baseline_that_two_studies_share_is_one_trial() -> None:
    plan = make_plan([STUDY, OTHER], Recipe(), [0])
    assert len(plan) == 4
    shared = plan[0]
    assert [(member.study, member.variant) for member in shared.members] == [("activation", "relu"), ("rates", "base")]
    assert shared.reason.startswith("not in the store")
    assert "rates" in shared.reason
    assert planned_studies(plan) == ["activation", "rates"]


@pytest.mark.parametrize(
    ("found", "action", "reason"),
    [
        (None, "run", "not in the store"),
        (Found("finished", 64), "skip", "finished"),
        (Found("diverged", 3, 1, 3), "skip", "diverged .*3"),
        (Found("running", 7, 1), "resume", "7 of 64"),
        (Found("stopped", 7, 1), "resume", "7 of 64"),
        (Found("running", 0, 1), "run", "no epoch"),
        (Found("running", 7, 1, elsewhere="node7, since noon"), "wait", r"elsewhere \(node7, since noon\)"),
        (Found("failed", 7, 1, elsewhere="node7, since noon"), "wait", "node7"),
        (Found("finished", 64, 1, elsewhere="node7, since noon"), "skip", "finished"),
        (Found("failed", 2, 2, error="Traceback\nValueError: bad"), "retry", "failed.*twice.*: ValueError: bad$"),
        (Found("failed", 0, 5), "retry", "failed.* 5 times"),
        (Found("failed", 0, 5, error=" \n"), "retry", "no message"),
    ],
)
def test_action_and_reason(found: Found | None, action: str, reason: str) -> None:
    decision, why = decide(Recipe(), found)
    assert decision == action
    assert re.search(reason, why)


def test_variants_keep_their_place_in_the_study() -> None:
    """A later run of two variants does not change the order of the figures."""
    whole = {
        planned.trial: planned.members[0].order for planned in make_plan([find_study("activation")], Recipe(), [0])
    }
    assert list(whole.values()) == list(range(26))
    for planned in make_plan([STUDY], Recipe(), [0]):
        assert planned.members[0].order == whole[planned.trial]


def test_a_finished_trial_is_not_run_and_costs_nothing() -> None:
    found = {trial_id(Recipe()): Found("finished", 64)}
    plan = make_plan([STUDY], Recipe(), [0], found=found)
    assert [planned.members[0].variant for planned in to_run(plan)] == ["tanh", "elu"]
    assert plan[0].estimated_gpu_h == 0 < plan[1].estimated_gpu_h


def test_images_are_bound_once_the_variant_has_been_applied() -> None:
    sizes = Study("sizes", "?", "p", "f", "base", (Variant("base"), Variant("small", {"data.short_side": 80})))

    def bind(recipe: Recipe) -> Recipe:
        return patch(recipe, {"data.digest": f"images of {recipe.data.short_side} px"})

    plan = make_plan([sizes], Recipe(), [0, 1], bind=bind)
    assert [planned.recipe.data.digest for planned in plan] == ["images of 144 px", "images of 80 px"] * 2
    assert [planned.trial for planned in plan] == [trial_id(planned.recipe) for planned in plan]
    assert {planned.members[0].line for planned in plan} == {plan[0].trial}


def test_a_trial_that_needs_images_names_the_command_and_all_its_studies() -> None:
    shared = make_plan([STUDY, OTHER], Recipe(), [0])[0]
    reason = needing(shared, "write them").reason
    assert "write them" in reason
    assert "rates" in reason


def test_variants_that_do_not_apply_to_the_network_are_omitted_with_the_reason() -> None:
    vgg = patch(find_protocol("cifar10"), {"network.name": "vgg11"})
    plan = make_plan([find_study("conv1_depth")], vgg, [0])
    assert [planned.action for planned in plan] == ["run"] + ["omit"] * 9
    assert all(word in plan[1].reason for word in ("network.stem_layers", "vgg11"))
    assert possible(plan) == to_run(plan) == plan[:1]
    assert plan[1].estimated_gpu_h == 0


def test_a_baseline_that_cannot_be_built_is_an_error() -> None:
    with pytest.raises(RaysweepError, match=r"vgg11.*network\.lrn"):
        make_plan([STUDY], patch(Recipe(), {"network.name": "vgg11", "network.lrn": True}), [0])


def test_diff_is_against_the_protocol_as_it_ships() -> None:
    protocol = find_protocol("cifar10")
    baseline = patch(protocol, {"training.epochs": 3.0})
    plan = make_plan([STUDY], baseline, [1], protocol=protocol)
    assert plan[0].diff == {"seed": 1, "training.epochs": 3.0}
    assert plan[1].diff == {"seed": 1, "training.epochs": 3.0, "network.activation": "tanh"}


def test_settings_that_all_entries_share_are_separated_from_their_own() -> None:
    common = {"network.name": "resnet18", "network.stem_kernel": 7}
    diffs = {"relu": common, "elu": common | {"network.activation": "elu"}, "tanh": {"solver.lr": 0.1} | common}
    assert shared_and_own(diffs) == (
        common,
        {"relu": {}, "elu": {"network.activation": "elu"}, "tanh": {"solver.lr": 0.1}},
    )
    assert shared_and_own({"a": {"x": 1}, "b": {"x": 2}, "c": {}}) == ({}, {"a": {"x": 1}, "b": {"x": 2}, "c": {}})
    assert shared_and_own({"a": {"x": None}, "b": {}}) == ({}, {"a": {"x": None}, "b": {}})
    assert shared_and_own({}) == ({}, {})


def test_a_line_is_the_baseline_under_the_same_settings() -> None:
    first = make_plan([STUDY], Recipe(), range(2))
    other = make_plan([STUDY], patch(Recipe(), {"solver.lr": 0.1}), [0])
    assert {planned.members[0].line for planned in first} == {first[0].trial}
    assert other[0].members[0].line == other[0].trial != first[0].trial


def test_the_keys_of_the_json_form() -> None:
    entry = make_plan([STUDY], Recipe(), [0])[0].to_json()
    assert list(entry) == [
        *("trial", "studies", "seed", "action", "reason", "diff"),
        *("params", "macs", "epochs", "estimated_gpu_h"),
    ]
    assert entry["studies"] == [{"study": "activation", "variant": "relu"}]
    assert entry["params"] == 13_300_072
    assert entry["epochs"] == pytest.approx(63.94, abs=0.01)


def test_values_out_of_range_are_refused_by_name() -> None:
    values: list[tuple[str, object]] = [
        ("training.batch_size", 0),
        ("training.epochs", 0.0),
        ("solver.lr", -0.1),
        ("solver.momentum", 1.0),
        ("network.dropout", 1.0),
        ("training.precision", "float8"),
        ("data.train_fraction", 1.5),
        ("solver.lr", float("nan")),
        ("data.mean", (1.0, 2.0)),
        ("data.label_noise", 1.0),
        ("data.rescale", "bicubic"),
        ("solver.decay_norm", "l3"),
    ]
    for path, value in values:
        with pytest.raises(RaysweepError) as caught:
            make_plan([STUDY], patch(Recipe(), {path: value}), [0])
        assert path in str(caught.value)
        assert path == "data.mean" or str(value) in str(caught.value)
    with pytest.raises(RaysweepError, match=r"training\.batch_size.*256.*training\.accumulate.*multiple of 3"):
        make_plan([STUDY], patch(Recipe(), {"training.accumulate": 3}), [0])


@pytest.mark.parametrize(
    ("preprocess", "mean", "fits"),
    [
        ("rgb", (1.0, 2.0, 3.0), True),
        ("rgb", (1.0,), True),
        ("gray", (1.0,), True),
        ("gray", (124.0, 117.0, 104.0), False),
    ],
)
def test_the_mean_has_one_number_or_one_for_each_channel(preprocess: str, mean: tuple[float, ...], fits: bool) -> None:
    recipe = patch(Recipe(), {"data.preprocess": preprocess, "data.mean": mean})
    if fits:
        check_recipe(recipe)
    else:
        with pytest.raises(RaysweepError, match=r"data\.mean.*124, 117, 104.*data\.preprocess.*gray"):
            check_recipe(recipe)


@given(st.integers(1, 5000), st.integers(1, 300), st.floats(0.1, 20))
def test_epochs_cover_every_update_once(images: int, batch_size: int, epochs: float) -> None:
    length = Length(images, batch_size, epochs)
    ends = [length.end(epoch) for epoch in range(length.num_epochs + 1)]
    assert ends[0] == 0
    assert ends[-1] == length.iterations
    assert ends == sorted(ends)
    assert length.num_epochs == 1 or ends[-2] < ends[-1]


@given(st.integers(1, 5000), st.integers(1, 300), st.integers(1, 20))
def test_whole_epochs_are_as_many_as_asked(images: int, batch_size: int, epochs: int) -> None:
    assert Length(images, batch_size, float(epochs)).num_epochs <= epochs


def test_the_length_of_the_papers_training() -> None:
    assert Recipe().length.iterations == 320_000
    assert Recipe().length.num_epochs == 64
    assert patch(Recipe(), {"training.batch_size": 128}).length.iterations == 640_000


def test_planning_loads_neither_torch_nor_ray() -> None:
    keep(Recipe(), 1, Pace(1.0, 1.0, 1.0, 1, 1, "2026-11-30"))
    code = (
        "import sys; from raysweep.verbs.entry import raysweep\n"
        "try: raysweep(['plan', 'all', '--protocol', 'imagenet128', '--json'])\n"
        "except SystemExit: pass\n"
        "sys.exit(bool({'torch', 'ray', 'pandas', 'matplotlib', 'rich'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert all(row["estimated_here_s"] for row in json.loads(done.stdout) if row["action"] == "run")


def test_a_store_below_the_home_folder_is_found_by_its_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell does not expand it in `--store=~/x`, nor does Python in a notebook."""
    monkeypatch.setenv("HOME", str(tmp_path))
    trial = trial_id(Recipe())
    Store.open("~/x", create=True).write_trial({"trial": trial, "status": "finished", "epochs": 64})
    assert found_in("~/x")[trial].status == "finished"
    plan = Request(("activation",), variants=("elu",), store="~/x").plan()
    assert [planned.action for planned in plan] == ["skip", "run"]
    assert found_in("~/none") == {}
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("status", ["running", "failed"])
def test_a_trial_that_resumes_costs_what_is_left(status: str) -> None:
    baseline = patch(Recipe(), {"training.epochs": 4.0})
    (fresh,) = make_plan([STUDY.only([])], baseline, [0])
    (resumed,) = make_plan([STUDY.only([])], baseline, [0], found={fresh.trial: Found(status, 3)})
    assert resumed.share_left == pytest.approx(0.25, rel=0.01)
    assert resumed.estimated_gpu_h == pytest.approx(fresh.estimated_gpu_h / 4, rel=0.01)


def test_a_home_that_does_not_exist_is_refused() -> None:
    with pytest.raises(RaysweepError, match="~nobody-of-this-name"):
        found_in("~nobody-of-this-name/results")
