"""Every variant of every study: what it changes, that it can be planned, built and trained."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import analysis
from raysweep.cost import cost_key
from raysweep.networks import build_network, own_factors
from raysweep.optim.schedules import learning_rate
from raysweep.optim.solvers import make_solver
from raysweep.patch import Times, diff, get, patch
from raysweep.planning import make_plan
from raysweep.protocols import PROTOCOLS, find_protocol
from raysweep.recipe import Recipe, SolverRecipe
from raysweep.study import CLEAN, Study, find_studies, find_study, study_names
from raysweep.train.loop import check_trial
from raysweep.train.update import loss_of
from raysweep.validate import check_recipe

PUBLISHED = Path(analysis.__file__).parent / "published.csv"
IMAGES = 4


def published_networks() -> Iterator[tuple[str, str]]:
    """Study and variant of every published ImageNet row but one, which is a difference and no network."""
    with PUBLISHED.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["dataset"].startswith("imagenet") and row["variant"] != "caffenet128_all_gain":
                yield row["study"], row["variant"]


def test_every_published_network_has_its_variant() -> None:
    rows = list(published_networks())
    assert len(rows) > 240
    missing = [(study, name) for study, name in rows if name not in {v.name for v in find_study(study).variants}]
    assert not missing


@pytest.mark.parametrize("name", study_names())
def test_a_study_file_opens_with_question_finding_and_cost(name: str) -> None:
    module = __import__(f"search_spaces.{name}", fromlist=["STUDY"])
    head = module.__doc__ or ""
    study = find_study(name)
    assert study.name == name
    assert head.splitlines()[0].endswith("?")
    for word in ("Paper:", "Published finding:", f"Cost: {len(study.variants)} trials a seed"):
        assert word in head, word
    assert study.question.endswith("?")
    assert study.finding
    assert study.paper
    assert all(variant.summary for variant in study.variants)


@pytest.mark.parametrize("protocol", [entry.name for entry in PROTOCOLS])
@pytest.mark.parametrize("study", find_studies(["all"]), ids=lambda study: study.name)
def test_the_diff_is_what_the_patch_says(study: Study, protocol: str) -> None:
    baseline = find_protocol(protocol)
    for variant in study.variants:
        found = diff(variant.apply(baseline), baseline)
        name = variant.patch.get("network.name", baseline.network.name)
        assert found.keys() <= variant.patch.keys() | own_factors(baseline.network, name).keys()
        for path in variant.patch.keys() - found.keys():
            # Unchanged where the protocol has that value already, or cannot have it: a stride of 1 has no half.
            wanted, value = variant.patch[path], get(baseline, path)
            own = patch(baseline, {"network.name": name})
            assert (wanted.of(own, path) if isinstance(wanted, Times) else wanted) == value


@pytest.mark.parametrize("study", find_studies(["all"]), ids=lambda study: study.name)
def test_on_the_papers_protocol_variants_are_different_trials(study: Study) -> None:
    plan = make_plan([study], Recipe(), [0])
    assert len(plan) == len(study.variants)
    unchanged = [variant.name for variant in study.variants if not diff(variant.apply(Recipe()), Recipe())]
    assert unchanged in ([], [study.baseline])


def test_where_the_published_run_was_another_the_clean_form_stands_beside_it() -> None:
    found = {(s.name, v.name) for s in find_studies(["all"]) for v in s.variants if v.name.endswith(CLEAN)}
    told = {(s.name, f"{v.name}{CLEAN}") for s in find_studies(["all"]) for v in s.variants if v.as_published}
    assert found == told
    assert len(found) >= 18


@pytest.mark.parametrize("protocol", [entry.name for entry in PROTOCOLS])
def test_no_recipe_of_a_study_is_refused(protocol: str) -> None:
    for study in find_studies(["all"]):
        for _, recipe in study.recipes(find_protocol(protocol), [0]):
            check_recipe(recipe)
            check_trial(recipe)


def stepped(study: Study) -> Any:
    """The study as a parameter; the one of many networks at many sides takes half a minute."""
    return pytest.param(study, id=study.name, marks=[pytest.mark.long] * (study.name == "image_size_networks"))


@pytest.mark.usefixtures("one_thread")
def test_every_solver_and_schedule_of_a_study_trains() -> None:
    """A small network changes and stays finite, and the learning rate is finite from the first update to the last."""
    recipes = [recipe for study in find_studies(["all"]) for _, recipe in study.recipes(Recipe(), [0])]
    for recipe in {(recipe.solver, recipe.schedule): recipe for recipe in recipes}.values():
        step(patch(find_protocol("demo"), {"network.width": 1 / 32, "network.outputs": 5}), recipe.solver)
        last = recipe.length.iterations - 1
        rates = [learning_rate(recipe.schedule, recipe.solver.lr, at, last + 1) for at in (0, last // 2, last)]
        assert all(math.isfinite(rate) and rate >= 0 for rate in rates)
        assert max(rates) > 0


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("protocol", ["imagenet128", "cifar10"])
@pytest.mark.parametrize("study", [stepped(study) for study in find_studies(["all"])])
def test_every_network_of_a_study_trains(study: Study, protocol: str) -> None:
    """At an eighth of the width or less; networks that differ only in data or solver count as one."""
    small = patch(find_protocol(protocol), {"network.outputs": 5})
    recipes = [recipe for _, recipe in study.recipes(small, [0])]
    for recipe in {cost_key(recipe): recipe for recipe in recipes}.values():
        step(replace(recipe, network=replace(recipe.network, width=min(0.0625, recipe.network.width / 32))))


def step(recipe: Recipe, solver: SolverRecipe | None = None) -> None:
    """One update has a finite loss and finite gradients, and changes weights, which stay finite."""
    torch.manual_seed(0)
    net = build_network(recipe.network, recipe.data.shape).train()
    pixels = torch.randint(0, 256, (IMAGES, *recipe.data.shape)).float()
    images = (pixels - torch.tensor(recipe.data.mean).view(-1, 1, 1)) * recipe.data.scale
    loss = loss_of(net(images), torch.tensor([0, 1, 2, 4]), recipe.network.aux_weight)
    assert torch.isfinite(loss)
    loss.backward()  # type: ignore[no-untyped-call]
    before = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    for name, weight in net.named_parameters():
        if weight.grad is None:
            assert recipe.network.survival < 1, name  # a block left out has none
            continue
        assert torch.isfinite(weight.grad).all(), name
    make_solver(net, solver or recipe.solver).step()
    assert any(not torch.equal(weight, before[name]) for name, weight in net.named_parameters())
    assert all(torch.isfinite(weight).all() for weight in net.parameters())


def test_the_readme_names_every_study_and_how_many_runs_were_not_as_described() -> None:
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    assert all(f"`{name}`" in text for name in study_names())
    told = sum(bool(variant.as_published) for study in find_studies(["all"]) for variant in study.variants)
    assert f"another classifier: {told}\nvariants" in text
