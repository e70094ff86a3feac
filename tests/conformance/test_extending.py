"""What CONTRIBUTING.md promises: each extension is one function, line or file, from outside the package too."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

import raysweep
from raysweep.cost import compute_cost
from raysweep.data.preprocess import PREPROCESSINGS
from raysweep.networks import Network, networks
from raysweep.nn.activations import ACTIVATIONS, Activation
from raysweep.nn.builder import Builder
from raysweep.nn.heads import HEADS
from raysweep.nn.inits import INITS
from raysweep.nn.input_nets import INPUT_NETS, InputNet
from raysweep.nn.network_builder import NetworkBuilder
from raysweep.nn.norms import NORMS
from raysweep.nn.pooling import POOLINGS
from raysweep.optim.schedules import SCHEDULES
from raysweep.optim.solvers import SOLVERS
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.registry import Registry
from raysweep.study import Study, Variant, find_study

ROOT = Path(__file__).resolve().parents[2]


def example(number: int = 1) -> str:
    """A Python block of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return text.split("```python\n")[number].split("```")[0]


REGISTRIES: tuple[Registry[Any], ...] = (
    *(ACTIVATIONS, NORMS, POOLINGS, INPUT_NETS, HEADS, INITS, SOLVERS, SCHEDULES, PREPROCESSINGS),
    networks(),
)


@pytest.fixture
def registries() -> Iterator[None]:
    """Removes what a test registers."""
    before = [dict(registry._entries) for registry in REGISTRIES]
    yield
    for registry, entries in zip(REGISTRIES, before, strict=True):
        registry._entries.clear()
        registry._entries.update(entries)


@pytest.fixture
def mine(registries: None, tmp_path: Path) -> ModuleType:
    """The first example as a module outside the package."""
    path = tmp_path / "mine.py"
    path.write_text(example())
    spec = importlib.util.spec_from_file_location("mine", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def request_of(images: Path, store: Path) -> dict[str, Any]:
    """Tiny trainings of one epoch."""
    settings = {"network.width": 0.0625, "training.epochs": 1.0}
    return {"protocol": "demo", "settings": settings, "data": images, "store": str(store)}


def test_an_activation_and_a_variant_from_outside_are_planned_and_trained(
    mine: ModuleType, small_images: Path, tmp_path: Path
) -> None:
    request = request_of(small_images, tmp_path / "results")
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
    with pytest.raises(ValueError, match="'swish'"):
        exec(example(), {})


def my_head(net: Builder, first: int, second: int) -> None:
    net.fc("hidden", first)
    net.classifier("clf")


def my_network(net: NetworkBuilder) -> None:
    net.input()
    net.stem("conv1", net.scaled(64))
    net.branches("mixed", my_branch, my_branch)
    net.head(32, 32)


def my_branch(net: NetworkBuilder) -> None:
    net.conv("conv", 8, 3, pad=1)


ADDED: dict[str, tuple[Registry[Any], Callable[..., Any]]] = {
    "network.activation": (ACTIVATIONS, lambda shape: nn.Hardtanh()),
    "network.norm": (NORMS, lambda channels: nn.GroupNorm(1, channels)),
    "network.pooling": (POOLINGS, lambda window: nn.LPPool2d(2, window.kernel, window.stride, ceil_mode=True)),
    "network.input_net": (INPUT_NETS, lambda channels: InputNet(nn.Conv2d(channels, 5, 1), 5)),
    "network.head": (HEADS, my_head),
    "network.name": (networks(), my_network),
    "init.method": (INITS, lambda network, images, generator: network.fc8.weight.data.fill_(0.0)),
    "solver.name": (SOLVERS, lambda groups, recipe: torch.optim.Adamax(groups, recipe.lr)),
    "schedule.name": (SCHEDULES, lambda recipe, iteration, iterations: 1 / (1 + iteration)),
    "data.preprocess": (PREPROCESSINGS, lambda images: 255 - images),
}
"""What CONTRIBUTING.md's table says is one function: the recipe field, its registry, a function of ours."""
WRAPPED: dict[str, Callable[[Callable[..., Any]], Any]] = {
    "network.activation": Activation,
    "network.name": lambda describe: Network(describe, side=32, classes=10),
}


def test_one_function_or_file_each_is_a_variant_that_trains(
    registries: None, small_images: Path, tmp_path: Path
) -> None:
    used: set[str] = set()

    def recorded(path: str, ours: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            used.add(path)
            return ours(*given)

        return call

    for path, (registry, ours) in ADDED.items():
        registry.add("mine", "ours")(WRAPPED.get(path, lambda made: made)(recorded(path, ours)))
    variants = [Variant(path, {path: "mine"}, f"our {path}") for path in ADDED]
    study = Study("mine", "Does ours help?", "", "", "theirs", (Variant("theirs", {}, "the baseline"), *variants))
    request = request_of(small_images, tmp_path / "results")
    assert len(raysweep.run(study, inline=True, **request).finished) == 1 + len(ADDED)
    assert used == ADDED.keys()
    frame = raysweep.results("mine", request["store"])
    assert set(frame.variant) == {"theirs", *ADDED}
    assert frame.top1.notna().all()
    assert frame.logloss.nunique() == len(frame), "each changes the training"


def test_a_network_from_outside_takes_the_factors_of_the_studies(registries: None) -> None:
    exec(example(2), {"__name__": "mine"})
    recipe = patch(find_protocol("demo"), {"network.name": "tiny_resnet"})
    assert (recipe.network.head, recipe.network.stem_kernel) == ("avepool_clf", 3)
    plain = compute_cost(recipe)
    for variant in find_study("batchnorm").variants[1:]:
        assert compute_cost(variant.apply(recipe)).params >= plain.params, variant.name
    named = patch(find_protocol("demo"), {"network.name": "tiny_resnet", "network.head": "fc"})
    assert compute_cost(named).params > plain.params
