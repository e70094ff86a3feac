"""Search spaces: every point of the joint one can be trained, and what a space promises holds on small ones."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.errors import RaysweepError
from raysweep.identity import trial_id
from raysweep.patch import patch
from raysweep.protocols import PROTOCOLS
from raysweep.recipe import Recipe
from raysweep.space import Choice, Like, LogUniform, Parameter, Space, Uniform, find_space
from raysweep.study import Times, find_studies, study_names
from raysweep.validate import check_recipe

JOINT = find_space("joint")
RECIPES = {entry.name: entry.make() for entry in PROTOCOLS}
NORM = Parameter("norm", Choice({"none": {}, "batch": {"network.norm": "batch"}}), "norm")
PLACE = Parameter(
    "network.norm_position",
    Choice({"after": {}, "before": {"network.norm_position": "before"}}),
    "where",
    when={"norm": ("batch",)},
)
RATE = Parameter("solver.lr", LogUniform(0.1, 10.0), "rate")


def space(*parameters: Parameter) -> Space:
    return Space("small", "Which?", "p", "f", parameters)


@pytest.mark.parametrize("protocol", RECIPES)
@settings(max_examples=600)
@given(st.integers(0, 2**32))
def test_every_point_of_the_joint_space_can_be_trained(protocol: str, seed: int) -> None:
    baseline = RECIPES[protocol]
    assignment = JOINT.sample(Random(seed))
    recipe = patch(baseline, JOINT.patch(assignment))
    check_recipe(recipe)
    assert JOINT.contains(assignment)
    assert len(trial_id(recipe)) == 12
    if recipe.network.pooling == "stochastic":
        assert recipe.network.activation in ("relu", "sigmoid")
        assert recipe.network.norm == "none"
    if recipe.data.preprocess in ("hsv", "ycrcb", "lab", "clahe"):
        assert (recipe.data.mean, recipe.data.scale) == ((0.0, 0.0, 0.0), 1.0)
        assert recipe.network.input_net == "batch_norm"
    if "log" in recipe.network.input_net:
        assert (recipe.data.mean, recipe.data.scale) == ((0.0, 0.0, 0.0), 1.0)


@pytest.mark.parametrize("protocol", RECIPES)
def test_the_baseline_is_a_point_of_the_joint_space(protocol: str) -> None:
    assert JOINT.contains(JOINT.baseline())
    assert patch(RECIPES[protocol], JOINT.patch(JOINT.baseline())) == RECIPES[protocol]
    assert not JOINT.changed(JOINT.baseline())


def test_every_option_of_the_joint_space_is_drawn() -> None:
    seen: dict[str, set[object]] = {}
    for k in range(3000):
        for name, value in JOINT.sample(Random(k)).items():
            seen.setdefault(name, set()).add(value)
    for parameter in JOINT.parameters:
        if isinstance(parameter.domain, Choice):
            assert seen[parameter.name] == set(parameter.domain.options)
        else:
            drawn = [float(str(value)) for value in seen[parameter.name]]
            assert parameter.domain.low <= min(drawn) < 1 < max(drawn) <= parameter.domain.high


def test_the_joint_space_covers_the_table() -> None:
    changed = {path for k in range(2000) for path in JOINT.patch(JOINT.sample(Random(k)))}
    network = (
        "activation",
        "norm",
        "norm_position",
        "pooling",
        "pool_kernel",
        "pool_pad",
        "input_net",
        "head",
        "width",
    )
    data = ("preprocess", "mean", "scale", "train_fraction", "label_noise")
    assert changed >= {f"network.{name}" for name in (*network, "bias", "dropout", "conv_pad", "stem_layers", "groups")}
    assert changed >= {f"data.{name}" for name in data}
    assert changed >= {"schedule.name", "schedule.power", "training.batch_size", "init.method"}
    assert changed >= {"solver.lr", "solver.weight_decay", "solver.bias_lr_mult"}
    assert "data.side" not in changed


@pytest.mark.parametrize("parameter", JOINT.parameters, ids=lambda parameter: str(parameter.name))
def test_every_value_changes_something(parameter: Parameter) -> None:
    samples = (JOINT.sample(Random(k)) for k in range(10_000))
    found = next(sample for sample in samples if parameter.name in sample)
    ids = set()
    for value in parameter.domain.points:
        wanted = found | {parameter.name: value}
        point = JOINT.walk(lambda other, wanted=wanted: wanted.get(other.name, other.domain.baseline))
        ids.add(trial_id(patch(Recipe(), JOINT.patch(point))))
    assert len(ids) == len(parameter.domain.points) > 1


@given(st.integers())
def test_a_parameter_is_active_exactly_if_its_condition_is_met(seed: int) -> None:
    assignment = space(NORM, PLACE).sample(Random(seed))
    assert (PLACE.name in assignment) == (assignment["norm"] == "batch")


@given(st.integers())
def test_a_new_parameter_leaves_the_others_as_they_were(seed: int) -> None:
    few, more = space(NORM, PLACE, RATE), space(NORM, Parameter("network.width", Uniform(0.5, 2), "w"), PLACE, RATE)
    assert more.sample(Random(seed)).items() >= few.sample(Random(seed)).items()


def test_factors_on_one_field_multiply_and_like_follows_another_field() -> None:
    batch = Parameter("batch", Choice({"x1": {}, "x4": {"training.batch_size": Times(4.0)}}), "batch")
    scaled = Parameter("scaled", Choice({"no": {}, "yes": {"solver.lr": Like("training.batch_size")}}), "lr too")
    both = space(RATE, scaled, batch)
    assert both.patch({"solver.lr": 0.5, "scaled": "yes", "batch": "x4"}) == {
        "solver.lr": Times(2.0),
        "training.batch_size": Times(4.0),
    }
    assert both.patch({"solver.lr": 0.5, "scaled": "yes", "batch": "x1"}) == {"solver.lr": Times(0.5)}


def test_two_parameters_cannot_set_one_field_together() -> None:
    twice = space(NORM, Parameter("again", Choice({"none": {}, "affine": {"network.norm": "batch_affine"}}), "again"))
    with pytest.raises(ValueError, match=r"network\.norm.*'batch'.*'batch_affine'"):
        twice.patch({"norm": "batch", "again": "affine"})


def test_weights_make_an_option_more_frequent() -> None:
    often = space(Parameter("norm", Choice(NORM.domain.options, {"none": 9.0}), "norm"))  # type: ignore[union-attr]
    drawn = [often.sample(Random(seed))["norm"] for seed in range(1000)]
    assert 860 < drawn.count("none") < 940


def test_an_assignment_of_another_space_is_recognised() -> None:
    own = space(NORM, PLACE, RATE)
    assert own.contains({"norm": "none", "solver.lr": 2.0})
    for other in (
        {"norm": "none"},
        {"norm": "layer", "solver.lr": 2.0},
        {"norm": "none", "solver.lr": 20.0},
        {"norm": "none", "network.norm_position": "after", "solver.lr": 2.0},
        {"norm": "none", "solver.lr": "fast"},
    ):
        assert not own.contains(other)


@pytest.mark.parametrize(
    ("parameters", "values"),
    [
        ((NORM, NORM), "norm.*twice"),
        ((PLACE, NORM), r"network\.norm_position.*norm.*batch"),
        ((Parameter("x", Choice({"a": {"network.norm": "batch"}}), "x"),), "x.*a.*nothing"),
        ((Parameter("x", Choice({"a": {}}, {"b": 2.0}), "x"),), "x.*weights.*b"),
        ((Parameter("solver.lr", LogUniform(2.0, 4.0), "x"),), r"solver\.lr.*1.*2.*4"),
    ],
)
def test_a_space_that_contradicts_itself_is_refused(parameters: tuple[Parameter, ...], values: str) -> None:
    with pytest.raises(ValueError, match=values):
        space(*parameters)


def test_fields_that_do_not_exist_are_refused() -> None:
    with pytest.raises(RaysweepError, match=r"solver\.lr"):
        space(Parameter("solver.lrr", LogUniform(0.5, 2.0), "x"))


def test_a_space_is_no_study() -> None:
    assert "joint" not in study_names()
    assert all(study.name != "joint" for study in find_studies(["all"]))
    with pytest.raises(RaysweepError, match="joint.*raysweep run joint"):
        find_studies(["activation", "joint"])
    with pytest.raises(RaysweepError, match="'activation'"):
        find_space("activation")


def test_a_grid_is_every_combination_once_after_the_baseline() -> None:
    space = Space("s", "q", "p", "f", (NORM, PLACE, Parameter("solver.lr", LogUniform(0.1, 10.0), "rate")))
    grid = list(space.grid((), 3))
    assert grid[0] == space.baseline()
    rates = (0.1, 1.0, 10.0)
    expected = [{"norm": "none", "solver.lr": rate} for rate in rates]
    expected += [
        {"norm": "batch", "network.norm_position": place, "solver.lr": rate}
        for place in ("after", "before")
        for rate in rates
    ]
    assert grid[1:] == expected
    assert all(space.contains(point) for point in grid)
    over = list(space.grid(("norm",), 3))
    assert over[1:] == [
        {"norm": "none", "solver.lr": 1.0},
        {"norm": "batch", "network.norm_position": "after", "solver.lr": 1.0},
    ]
    with pytest.raises(RaysweepError, match="'nrom'.*norm"):
        list(space.grid(("nrom",), 3))
