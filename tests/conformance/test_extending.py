"""What CONTRIBUTING.md promises: an activation is one function, a variant one line, from outside the package too."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

import raysweep
from raysweep.cost import compute_cost
from raysweep.networks import NETWORKS
from raysweep.nn.activations import ACTIVATIONS
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.study import find_study

ROOT = Path(__file__).resolve().parents[2]


def example(number: int = 1) -> str:
    """A Python block of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return text.split("```python\n")[number].split("```")[0]


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[ModuleType]:
    """The example as a module of its own, outside the package."""
    path = tmp_path / "mine.py"
    path.write_text(example())
    spec = importlib.util.spec_from_file_location("mine", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = dict(ACTIVATIONS._entries)
    spec.loader.exec_module(module)
    yield module
    ACTIVATIONS._entries.clear()
    ACTIVATIONS._entries.update(before)


def test_an_activation_and_a_variant_from_outside_are_planned_and_trained(
    mine: ModuleType, small_images: Path, tmp_path: Path
) -> None:
    small = {"network.width": 0.0625, "training.epochs": 1.0}
    request = {"protocol": "demo", "settings": small, "data": small_images, "store": str(tmp_path / "results")}
    shipped = {variant.name for variant in find_study("activation").variants}
    (name,) = {variant.name for variant in mine.STUDY.variants} - shipped
    study = replace(mine.STUDY, kept=frozenset({name, "relu"}))
    plan = raysweep.plan(study, **request)
    assert [planned.diff["network.activation"] for planned in plan if "network.activation" in planned.diff] == [name]
    outcome = raysweep.run(study, inline=True, **request)
    assert len(outcome.finished) == 2
    frame = raysweep.results("activation", request["store"])
    assert set(frame.variant) == {name, "relu"}
    assert frame.top1.notna().all()


def test_an_activation_from_outside_is_listed(mine: ModuleType) -> None:
    assert any(entry.summary == "x times its sigmoid" for entry in ACTIVATIONS)


def test_the_same_name_twice_is_refused(mine: ModuleType) -> None:
    with pytest.raises(ValueError, match="is registered twice"):
        exec(example(), {})


def test_a_network_from_outside_takes_the_factors_of_the_studies() -> None:
    before = dict(NETWORKS._entries)
    try:
        exec(example(2), {"__name__": "mine"})
        recipe = patch(find_protocol("demo"), {"network.name": "tiny_resnet"})
        assert (recipe.network.head, recipe.network.stem_kernel) == ("avepool_clf", 3)
        plain = compute_cost(recipe)
        for variant in find_study("batchnorm").variants[1:]:
            assert compute_cost(variant.apply(recipe)).params >= plain.params, variant.name
        named = patch(find_protocol("demo"), {"network.name": "tiny_resnet", "network.head": "fc"})
        assert compute_cost(named).params > plain.params
    finally:
        NETWORKS._entries.clear()
        NETWORKS._entries.update(before)
