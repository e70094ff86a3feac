from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given

from raysweep.errors import RaysweepError
from raysweep.identity import canonical_json, changes, digest, line_id, recipe_from_json, recipe_json, trial_id
from raysweep.patch import flatten, patch, set_fields
from raysweep.protocols import PROTOCOLS, find_protocol
from raysweep.recipe import DataRecipe, Recipe, SolverRecipe
from raysweep.study import find_studies, find_study
from tests.test_patch import patches

GOLDEN = Path(__file__).parent / "goldens" / "trial_ids.json"


def test_ids_are_those_of_every_release_before() -> None:
    """Changing one of these loses every result ever stored under it."""
    golden = json.loads(GOLDEN.read_text())
    assert len(golden) >= 20
    study = find_study("activation")
    for key, expected in golden.items():
        protocol, variant, seed = key.split("/")
        recipe = study.variant(variant).apply(PROTOCOLS[protocol]())
        assert trial_id(replace(recipe, seed=int(seed))) == expected, key


def test_protocols_are_those_of_every_release_before() -> None:
    """Their values, and the defaults they start from, are part of every id: only new fields and protocols may come."""
    golden = json.loads((GOLDEN.parent / "protocols.json").read_text())
    defaults = golden.pop("defaults")
    now = json.loads(json.dumps(flatten(Recipe())))
    assert {path: now.get(path) for path in defaults} == defaults
    for name, expected in golden.items():
        assert changes(find_protocol(name)) == expected, name
    assert golden.keys() == {entry.name for entry in PROTOCOLS}, "add the new protocol to the golden file"


def test_no_trial_has_the_id_of_one_with_another_network() -> None:
    """Ids on imagenet128 of variants whose networks were not yet those of the published files."""
    retired = json.loads((GOLDEN.parent / "retired_ids.json").read_text())
    given = {trial_id(variant.apply(Recipe())) for study in find_studies(["all"]) for variant in study.variants}
    assert len(retired) >= 20
    assert given.isdisjoint(retired.values())


@given(patches())
def test_a_recipe_comes_back_from_its_json(changes: dict[str, object]) -> None:
    recipe = set_fields(Recipe(), changes)
    assert recipe_from_json(recipe_json(recipe)) == recipe


@given(patches(), patches())
def test_ids_are_equal_exactly_where_recipes_are(first: dict[str, object], second: dict[str, object]) -> None:
    one, other = set_fields(Recipe(), first), set_fields(Recipe(), second)
    assert (trial_id(one) == trial_id(other)) == (one == other)


def test_ids_do_not_depend_on_how_the_recipe_was_made() -> None:
    by_hand = replace(Recipe(), solver=SolverRecipe(lr=1))
    assert trial_id(by_hand) == trial_id(patch(Recipe(), {"solver.lr": 1.0}))


def test_ids_do_not_depend_on_the_process() -> None:
    code = "from raysweep.identity import trial_id; from raysweep.recipe import Recipe; print(trial_id(Recipe()))"
    for salt in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": salt}, capture_output=True, check=True
        )
        assert done.stdout.decode().strip() == trial_id(Recipe())


def test_shipped_variants_differ_from_each_other() -> None:
    for protocol, study in product(PROTOCOLS, find_studies(["all"])):
        ids = {trial_id(recipe) for _, recipe in study.recipes(protocol.make(), [0])}
        assert len(ids) == len(study.variants), (protocol.name, study.name)


def test_seed_is_in_the_id_and_not_in_the_line() -> None:
    first, second = Recipe(), replace(Recipe(), seed=1)
    assert trial_id(first) != trial_id(second)
    assert line_id(first) == line_id(second) == trial_id(first)


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1: 2}, {"a": {3}}, b"x"])
def test_a_value_without_a_stable_form_is_refused(value: object) -> None:
    with pytest.raises(RaysweepError):
        canonical_json({"field": value})


def test_a_recipe_with_an_unstable_value_is_refused_by_field() -> None:
    with pytest.raises(RaysweepError, match=r"solver\.lr"):
        trial_id(replace(Recipe(), solver=SolverRecipe(lr=math.nan)))
    with pytest.raises(RaysweepError, match=r"data\.side"):
        trial_id(replace(Recipe(), data=DataRecipe(side="128")))  # type: ignore[arg-type]


def test_canonical_json_ignores_order_and_the_sign_of_zero() -> None:
    assert canonical_json({"b": 1, "a": [0.0]}) == canonical_json({"a": [-0.0], "b": 1})
    assert len(digest({"a": 1})) == 12


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"version": 1}', "null", '{"version": 1, "changes": 3}', "[" * 10**5]
)
def test_text_that_is_not_a_recipe_is_refused(text: str) -> None:
    with pytest.raises(RaysweepError, match=re.escape(repr(text[:80]))):
        recipe_from_json(text)


def test_a_recipe_of_a_newer_version_is_refused() -> None:
    with pytest.raises(RaysweepError, match="99.*upgrade"):
        recipe_from_json('{"version": 99, "changes": {}}')
