"""Every variant of every study changes what it says and can be planned, built and trained."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from raysweep import analysis
from raysweep.cost import cost_key, goldens
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

PUBLISHED = Path(analysis.__file__).parent / "published.csv"
IMAGES = 4


def published_networks() -> Iterator[tuple[str, str]]:
    """Study and variant of every published ImageNet row except one, which is a difference, not a network."""
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
    module = __import__(f"raysweep.search_spaces.{name}", fromlist=["STUDY"])
    head = module.__doc__ or ""
    study = find_study(name)
    assert study.name == name
    assert head.splitlines()[0].endswith("?")
    for word in ("Paper:", "Published finding:", f"Cost: {len(study.variants)} trials per seed"):
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
            # Unchanged if the protocol already has that value, or cannot have it: a stride of 1 has no half.
            changed, value = variant.patch[path], get(baseline, path)
            own = patch(baseline, {"network.name": name})
            assert (changed.of(own, path) if isinstance(changed, Times) else changed) == value


@pytest.mark.parametrize("study", find_studies(["all"]), ids=lambda study: study.name)
def test_on_the_papers_protocol_variants_are_different_trials(study: Study) -> None:
    plan = make_plan([study], Recipe(), [0])
    assert len(plan) == len(study.variants)
    unchanged = [variant.name for variant in study.variants if not diff(variant.apply(Recipe()), Recipe())]
    assert unchanged in ([], [study.baseline])


def test_every_run_that_differs_from_its_description_has_a_clean_form() -> None:
    found = {(s.name, v.name) for s in find_studies(["all"]) for v in s.variants if v.name.endswith(CLEAN)}
    published = {(s.name, f"{v.name}{CLEAN}") for s in find_studies(["all"]) for v in s.variants if v.as_published}
    assert found == published
    assert len(found) >= 18


@pytest.mark.parametrize("protocol", [entry.name for entry in PROTOCOLS])
def test_no_recipe_of_a_study_is_refused(protocol: str) -> None:
    for study in find_studies(["all"]):
        for variant, recipe in study.recipes(find_protocol(protocol), [0]):
            check_trial(recipe)
            updates, base = recipe.length.iterations, recipe.solver.lr
            rates = [learning_rate(recipe.schedule, base, update, updates) for update in (0, updates // 2, updates - 1)]
            assert updates >= recipe.length.num_epochs >= 1, variant.name
            assert all(0 < rate <= 1.01 * base for rate in rates), variant.name
            assert len(recipe.data.mean) in (1, recipe.data.shape[0]), variant.name
            assert goldens()[cost_key(recipe)].macs > 0, variant.name


def stepped(study: Study) -> Any:
    """The study as a test parameter; the one with many networks at many sides takes half a minute."""
    return pytest.param(study, id=study.name, marks=[pytest.mark.long] * (study.name == "image_size_networks"))


def test_every_solver_of_a_study_trains() -> None:
    small = patch(find_protocol("demo"), {"network.width": 1 / 32, "network.outputs": 5})
    solvers = {recipe.solver for study in find_studies(["all"]) for _, recipe in study.recipes(Recipe(), [0])}
    for solver in solvers:
        step(small, solver)


@pytest.mark.parametrize("protocol", ["imagenet128", "cifar10"])
@pytest.mark.parametrize("study", [stepped(study) for study in find_studies(["all"])])
def test_every_network_of_a_study_trains(study: Study, protocol: str) -> None:
    """At a sixteenth of the width or less; recipes that differ only in data or solver have one network."""
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


def test_the_readme_lists_every_study_and_the_number_of_runs_that_differ_from_their_description() -> None:
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    assert all(f"`{name}`" in text for name in study_names())
    published = sum(bool(variant.as_published) for study in find_studies(["all"]) for variant in study.variants)
    assert re.search(rf"\b{published}\s+variants\b", text)
