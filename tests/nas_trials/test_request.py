"""What a user asks of a search, as words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raysweep.cost import find_cost
from raysweep.errors import RaysweepError
from raysweep.nas.budget import Budget
from raysweep.nas.limits import Limits
from raysweep.nas.nasbench201_space import NASBench201
from raysweep.nas.space import randomness
from raysweep.nas_trials.method_options import label, make_named
from raysweep.nas_trials.nas_request import NasRequest, parse_budget, search_name
from raysweep.nas_trials.preview import evaluations_left, mean_epochs
from raysweep.nas_trials.trial_spaces import SPACES, find_trial_space
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.request import Request
from tests.nas_trials.trained import ask_for


def test_budgets_are_parsed() -> None:
    assert parse_budget(["60"]) == Budget(evaluations=60)
    assert parse_budget(["200epochs", "12 h"]) == Budget(epochs=200.0, hours=12.0)
    assert parse_budget(["5e15macs"]) == Budget(macs=5e15)
    assert parse_budget([".5h", "1e2"]) == Budget(hours=0.5, evaluations=100)
    assert isinstance(parse_budget(["60"]).evaluations, int)


@pytest.mark.parametrize(
    ("texts", "pattern"),
    [
        (["0"], "0 evaluations"),
        (["60 trials"], "--budget 60 trials.*200epochs"),
        (["1.5"], "--budget 1.5"),
        (["1.2.3h"], "--budget 1.2.3h"),
        (["1e999"], "--budget 1e999"),
        ([".h"], "--budget .h"),
        (["5", "6evaluations"], "--budget 6evaluations"),
        ([], "budget"),
    ],
)
def test_invalid_budgets_are_errors(texts: list[str], pattern: str) -> None:
    with pytest.raises(RaysweepError, match=pattern):
        parse_budget(texts)


def test_options_are_for_the_methods_that_have_them() -> None:
    asked = ask_for(Path("s"), "evolution", "random")
    assert list(asked.named_methods(Recipe())) == ["evolution+population=4+sample=2", "random"]
    made: Any = make_named("evolution", {"aging": "false", "age": "proposal"}, 9.0)
    assert (made.aging, made.age) == (False, "proposal")
    assert label("evolution", made) == "evolution+aging=false+age=proposal"
    made = make_named("reinforce", {"lr": "0.5", "aggregate": "3"}, 9.0)
    assert (made.lr, made.aggregate) == (0.5, 3)


def test_rungs_lead_to_the_length_of_the_settings() -> None:
    made: Any = make_named("successive_halving", {"inner": "evolution"}, 18.0)
    assert made.fidelities == (2.0, 6.0, 18.0)
    made = make_named("successive_halving", {"eta": "2", "highest": "8"}, 18.0)
    assert made.fidelities == (2.0, 4.0, 8.0)
    assert make_named("successive_halving", {}, 0.5).fidelities == (0.5,)  # type: ignore[attr-defined]
    recipe = patch(Recipe(), {"training.epochs": 18.0})
    assert mean_epochs(make_named("successive_halving", {}, 18.0), recipe) == pytest.approx(
        (2 + 6 / 3 + 18 / 9) / (1 + 1 / 3 + 1 / 9)
    )


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"methods": ("evolutoin",)}, "evolutoin.*evolution"),
        ({"methods": ("enas",)}, "--space nasnet.* enas"),
        ({"methods": ("enas",), "budget": Budget(macs=1e9)}, r"--budget 1e\+09macs.*enas"),
        ({"methods": ("enas",), "options": {"preset": "smal"}, "space": "enas"}, "smal.*small"),
        (
            {"methods": ("enas",), "options": {"cells": "x"}, "space": "enas"},
            "--option cells=x",
        ),
        ({"methods": ("enas",), "options": {"bn": "none"}, "space": "enas"}, "bn.*none"),
        ({"methods": ("enas",), "limits": Limits(max_macs=1)}, "--max-params.*enas"),
        ({"budget": None}, "--budget.*evolution"),
        ({"space": "nasnett"}, "nasnett.*nasnet"),
        ({"options": {"populaton": "3"}}, "populaton.*population"),
        ({"options": {"population": "many"}}, "--option population=many"),
        ({"options": {"aging": "yes"}}, "--option aging=yes.*true or false"),
        ({"seeds": 0}, "--seeds.*0"),
        ({"holdout": 0.0}, "--holdout.*0"),
        ({"methods": ("random", "random")}, "random random"),
        ({"settings": {"network.name": "vgg16"}}, "network.name.*nasnet"),
        ({"space": "joint", "settings": {"network.norm": "batch"}}, "joint.*network.norm"),
    ],
)
def test_invalid_requests_are_errors_that_name_the_value(changes: dict[str, Any], pattern: str) -> None:
    settings = changes.pop("settings", {})
    words = {"space": "nasnet", "methods": ("evolution",), "budget": Budget(5)} | changes
    with pytest.raises(RaysweepError, match=pattern):
        _use(words, Request((), "demo", settings))


def _use(words: dict[str, Any], request: Request) -> None:
    asked = NasRequest(request=request, **words)
    asked.training_request()
    asked.named(Recipe())


def test_the_name_of_a_search_follows_from_what_determines_its_proposals() -> None:
    space, plain = find_trial_space("nasnet"), make_named("evolution", {}, 9.0)
    name = search_name(space, "line", plain, "evolution", 0)
    assert name.startswith("nas-nasnet-evolution-s0-")
    others = [
        search_name(space, "other", plain, "evolution", 0),
        search_name(space, "line", make_named("evolution", {"sample": "3"}, 9.0), "evolution+sample=3", 0),
        search_name(find_trial_space("darts"), "line", plain, "evolution", 0),
    ]
    assert len({name, *others}) == 4


def test_limits_are_of_networks_as_the_settings_build_them(small_images: Path) -> None:
    def ask(limits: Limits) -> NasRequest:
        request = Request((), "demo", {"network.width": 0.25}, data=small_images)
        return NasRequest("nasbench201", ("random",), Budget(5), request, limits=limits)

    free, tight = ask(Limits()), ask(Limits(max_params=20_000))
    baseline = free.training_request().baseline()
    assert free.searched_space(baseline) == free.trial_space()
    assert free.named(baseline)[0].name != tight.named(baseline)[0].name
    space = tight.searched_space(baseline)
    costs = [find_cost(space.recipe(baseline, space.space.sample(randomness(0, at)))).params for at in range(6)]
    free_costs = [find_cost(space.recipe(baseline, NASBench201().sample(randomness(0, at)))).params for at in range(6)]
    assert max(costs) <= 20_000 < max(free_costs)


@pytest.mark.parametrize("name", [entry.name for entry in SPACES])
def test_an_architecture_is_a_recipe_whose_network_can_be_built(name: str) -> None:
    space = find_trial_space(name)
    short = {"network.cell_repeats": 1} if space.network.endswith("cells") else {}
    baseline = patch(find_protocol("cifar10"), space.settings(short))
    one, other = (space.recipe(baseline, space.space.sample(randomness(0, number)), 3) for number in (0, 1))
    assert one != other
    assert one.training.epochs == 3
    assert find_cost(one).params > 0


def test_the_rest_of_a_budget_follows_from_its_tightest_limit() -> None:
    assert evaluations_left(Budget(evaluations=60), 10, 3.0, 1e9) == 50
    assert evaluations_left(Budget(evaluations=60, epochs=90), 10, 3.0, 1e9) == 20
    assert evaluations_left(Budget(macs=5e9), 10, 3.0, 1e9) == 0
    assert evaluations_left(Budget(hours=5), 10, 3.0, 1e9) is None
