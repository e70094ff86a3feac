from __future__ import annotations

import csv
from pathlib import Path

import pytest

from raysweep import analysis
from raysweep.errors import RaysweepError
from raysweep.patch import diff, get
from raysweep.planning import make_plan
from raysweep.protocols import PROTOCOLS, find_protocol
from raysweep.recipe import Recipe
from raysweep.study import Study, Times, Variant, factorial, find_studies, find_study, study_names


def published(study: str) -> set[str]:
    with (Path(analysis.__file__).parent / "published.csv").open() as file:
        return {row["variant"] for row in csv.DictReader(file) if row["study"] == study}


def test_every_published_activation_is_a_variant_under_its_name() -> None:
    names = {variant.name for variant in find_study("activation").variants}
    assert published("activation") <= names
    assert {"sigmoid", "elu_alpha05_clean"} == names - published("activation")


@pytest.mark.parametrize("protocol", [entry.name for entry in PROTOCOLS])
def test_the_baseline_is_the_protocol_and_every_variant_differs(protocol: str) -> None:
    baseline = find_protocol(protocol)
    study = find_study("activation")
    for variant in study.variants:
        assert (variant.apply(baseline) == baseline) == (variant.name == study.baseline), variant.name


def test_the_half_epochs_variant_keeps_the_number_of_updates() -> None:
    recipe = find_study("activation").variant("elu_alpha05").apply(Recipe())
    assert recipe.training.batch_size == 128
    assert recipe.length.iterations == 320_000


def test_maxout_widths_are_those_of_the_published_file() -> None:
    recipe = find_study("activation").variant("maxout_same_complexity").apply(Recipe())
    assert recipe.network.widths == (68, 182, 272, 272, 172, 1448, 1448)


def test_seeds_come_outermost_and_change_the_seed_alone() -> None:
    study = find_study("activation").only(["elu"])
    found = [(variant.name, recipe.seed) for variant, recipe in study.recipes(Recipe(), range(2))]
    assert found == [("relu", 0), ("elu", 0), ("relu", 1), ("elu", 1)]
    recipes = [recipe for _, recipe in study.recipes(Recipe(), range(2))]
    assert diff(recipes[2], recipes[0]) == {"seed": 1}


def test_unknown_names_are_refused_with_near_ones() -> None:
    with pytest.raises(RaysweepError, match="'activaton'.* activation"):
        find_study("activaton")
    with pytest.raises(RaysweepError, match="activation.*'prelo'.* prelu"):
        find_study("activation").only(["prelo"])
    with pytest.raises(RaysweepError, match="'imagenet'.* imagenet128"):
        find_protocol("imagenet")


def test_all_means_every_study_and_no_study_comes_twice() -> None:
    assert [study.name for study in find_studies(["all", "activation"])] == list(study_names())


def make(*variants: Variant, baseline: str = "a") -> Study:
    return Study("s", "q?", "p", "f", baseline, variants)


def test_a_study_with_mistakes_is_refused() -> None:
    with pytest.raises(ValueError, match="s: .*twice"):
        make(Variant("a"), Variant("a"))
    with pytest.raises(ValueError, match="'a'.*variants"):
        make(Variant("b"))
    with pytest.raises(RaysweepError, match=r"'solver\.lrr'.*solver\.lr"):
        make(Variant("a"), Variant("b", {"solver.lrr": 1.0}))


def test_factorial_gives_every_combination() -> None:
    rates = (Variant("slow", {"solver.lr": 0.001}), Variant("fast", {"solver.lr": 0.1}))
    acts = (Variant("elu", {"network.activation": "elu"}), Variant("tanh", {"network.activation": "tanh"}))
    combined = factorial({"rate": rates, "activation": acts})
    assert [variant.name for variant in combined] == ["slow_elu", "slow_tanh", "fast_elu", "fast_tanh"]
    assert get(combined[3].apply(Recipe()), "solver.lr") == 0.1
    assert get(combined[3].apply(Recipe()), "network.activation") == "tanh"
    with pytest.raises(ValueError, match=r"solver\.lr"):
        factorial({"a": rates, "b": rates})


def test_a_published_run_that_differs_from_its_description_needs_the_clean_form() -> None:
    published = Variant("quick", {"training.epochs": Times(0.5)}, "a network", as_published="half the epochs")
    with pytest.raises(ValueError, match="quick_clean"):
        Study("s", "q?", "p", "f", "base", (Variant("base"), published))
    Study("s", "q?", "p", "f", "base", (Variant("base"), published, Variant("quick_clean")))
    assert published.sentence.startswith("a network")
    assert published.sentence.endswith("half the epochs")
    assert Variant("plain", {}, "a network").sentence == "a network"


def test_the_published_run_is_described_in_the_plan() -> None:
    plan = make_plan([find_study("padding")], Recipe(), [0])
    (member,) = [m for planned in plan for m in planned.members if m.variant == "no_conv_padding"]
    (variant,) = [v for v in find_study("padding").variants if v.name == "no_conv_padding"]
    assert variant.as_published
    assert member.summary.endswith(variant.as_published)
