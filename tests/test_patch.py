from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.errors import RaysweepError
from raysweep.patch import Times, coerce, diff, flatten, get, parse, patch, recipe_fields, set_fields
from raysweep.recipe import Recipe

FIELDS = sorted(recipe_fields())
VALUES = {
    int: st.integers(1, 10**6),
    float: st.floats(1e-6, 1e6),
    bool: st.booleans(),
    str: st.text(max_size=8),
    tuple[int, ...]: st.lists(st.integers(1, 4096), max_size=7).map(tuple),
    tuple[float, ...]: st.lists(st.floats(0, 255), max_size=3).map(tuple),
}


@st.composite
def patches(draw: st.DrawFn) -> dict[str, object]:
    paths = draw(st.lists(st.sampled_from(FIELDS), unique=True, max_size=6))
    return {path: draw(VALUES[recipe_fields()[path].type]) for path in paths}


def test_every_field_has_a_sentence_and_a_known_type() -> None:
    for info in recipe_fields().values():
        assert info.doc, info.path
        assert info.type in VALUES, info.path


@given(patches())
def test_only_the_named_fields_are_set(changes: dict[str, object]) -> None:
    before = Recipe()
    after = set_fields(before, changes)
    for path in FIELDS:
        assert get(after, path) == changes.get(path, get(before, path))
    assert before == Recipe()


def test_a_patch_without_a_new_network_sets_only_the_named_fields() -> None:
    changes = {"network.norm": "batch", "solver.lr": 0.5, "data.side": 64}
    assert patch(Recipe(), changes) == set_fields(Recipe(), changes)


@given(patches(), patches())
def test_diff_is_the_patch_between_two_recipes(first: dict[str, object], second: dict[str, object]) -> None:
    one, other = set_fields(Recipe(), first), set_fields(Recipe(), second)
    assert set_fields(one, diff(other, one)) == other
    assert diff(one, one) == {}


@given(patches())
def test_a_field_parses_from_its_own_text(changes: dict[str, object]) -> None:
    for path, value in changes.items():
        if isinstance(value, str):
            continue
        text = ",".join(map(repr, value)) if isinstance(value, tuple) else repr(value)
        assert parse(path, text) == value


def test_times_is_relative_and_keeps_whole_numbers_whole() -> None:
    recipe = patch(Recipe(), {"training.batch_size": Times(0.5), "solver.lr": Times(4)})
    assert recipe.training.batch_size == 128
    assert isinstance(recipe.training.batch_size, int)
    assert recipe.solver.lr == 0.04
    assert patch(Recipe(), {"training.batch_size": Times(1e-9)}).training.batch_size == 1


def test_times_stays_below_another_field() -> None:
    larger = {"data.side": Times(136 / 128, at_most="data.short_side")}
    assert patch(Recipe(), larger).data.side == 136
    assert patch(patch(Recipe(), {"data.short_side": 130}), larger).data.side == 130


def test_times_of_text_is_refused() -> None:
    with pytest.raises(RaysweepError, match=r"network\.name.*'caffenet'.* 2"):
        patch(Recipe(), {"network.name": Times(2)})
    with pytest.raises(RaysweepError, match=r"network\.lrn.*False.* 2"):
        patch(Recipe(), {"network.lrn": Times(2)})


@pytest.mark.parametrize("path", ["solver.learning_rate", "sovler.lr", "solver", "solver.lr.x", ""])
def test_unknown_field_is_named_with_its_neighbours(path: str) -> None:
    with pytest.raises(RaysweepError, match=f"'{re.escape(path)}'") as caught:
        patch(Recipe(), {path: 1})
    assert "raysweep list fields" in str(caught.value)


def test_a_near_miss_names_the_right_field() -> None:
    with pytest.raises(RaysweepError, match=r"'training\.batchsize'.*training\.batch_size"):
        patch(Recipe(), {"training.batchsize": 1})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training.batch_size", 0.5),
        ("training.batch_size", True),
        ("training.batch_size", "12"),
        ("network.lrn", 1),
        ("solver.lr", "fast"),
        ("network.widths", 5),
        ("network.widths", (1, 2.5)),
        ("network.activation", None),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(path: str, value: object) -> None:
    with pytest.raises(RaysweepError, match=path):
        patch(Recipe(), {path: value})


@pytest.mark.parametrize(
    ("path", "text"),
    [("solver.lr", "fast"), ("training.batch_size", "1.5"), ("network.lrn", "yes"), ("data.mean", "1,x")],
)
def test_text_of_the_wrong_type_is_refused_by_name(path: str, text: str) -> None:
    with pytest.raises(RaysweepError, match=path):
        parse(path, text)


def test_whole_numbers_become_floats_in_float_fields() -> None:
    value = coerce(recipe_fields()["solver.lr"], 1)
    assert value == 1.0
    assert isinstance(value, float)


def test_flatten_holds_every_field_once() -> None:
    assert list(flatten(Recipe())) == list(recipe_fields())


def test_times_is_relative_to_the_own_factor_of_a_new_network() -> None:
    assert patch(Recipe(), {"network.stem_stride": Times(2), "network.name": "resnet18"}).network.stem_stride == 4
    assert patch(Recipe(), {"network.stem_stride": Times(2)}).network.stem_stride == 8
