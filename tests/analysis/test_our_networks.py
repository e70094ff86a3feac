from __future__ import annotations

import csv
import json

import pytest
from click.testing import CliRunner

from raysweep.analysis.our_networks import FILE, NO_FILE, OTHER, SAME, network_of_trial, our_network
from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.study import find_studies, find_study
from raysweep.verbs.entry import raysweep


def test_every_published_number_says_what_our_network_is() -> None:
    with FILE.open(newline="", encoding="utf-8") as file:
        assert {row["ours"] for row in csv.DictReader(file)} <= {SAME, OTHER, NO_FILE}
    found = {our_network(study, variant.name) for study in find_studies(["all"]) for variant in study.variants}
    assert found == {SAME, OTHER, NO_FILE, ""}


@pytest.mark.parametrize(
    ("study", "name", "expected"),
    [
        ("resnet", "dere_resnet45", SAME),
        ("resnet", "dere_resnet45_clean", OTHER),
        ("resnet", "ror_clean", SAME),
        ("resnet", "resnet56_bn_after", ""),
        ("padding", "no_conv_padding_clean", SAME),
        ("activation", "oplu", NO_FILE),
        ("depth", "vgg16", ""),
    ],
)
def test_clean_forms_differ_in_training_or_in_the_network(study: str, name: str, expected: str) -> None:
    assert our_network(find_study(study), name) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"solver.lr": 0.1, "network.outputs": 10}, SAME),
        ({"network.name": "vgg16"}, OTHER),
        ({"network.width": 0.5}, OTHER),
        ({"data.side": 64}, OTHER),
    ],
)
def test_a_trial_on_other_images_or_of_another_network(changes: dict[str, object], expected: str) -> None:
    recipe = patch(find_study("activation").variant("elu").apply(Recipe()), changes)
    assert network_of_trial("activation", "elu", recipe) == expected


def test_the_list_of_variants_has_the_column() -> None:
    words = ["list", "variants", "resnet"]
    rows = json.loads(CliRunner().invoke(raysweep, [*words, "--json"], catch_exceptions=False).stdout)
    found = {row["name"]: row["our network"] for row in rows}
    assert (found["ror"], found["resnet56_nobn_elu_clean"]) == (SAME, OTHER)
    assert CliRunner().invoke(raysweep, words).stdout.count(SAME) == list(found.values()).count(SAME)


def test_studies_of_a_notebook_have_no_published_number() -> None:
    assert network_of_trial("mine", "elu", Recipe()) == ""
    assert network_of_trial("activation", "mine", Recipe()) == ""
