"""A study: one question, a baseline, and variants that are named patches of the baseline.

Every file in `search_spaces/` asks one question; `find_study` loads a study by name.
"""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from raysweep.errors import RaysweepError, unknown
from raysweep.own_code import attribute, is_file, load, take_file
from raysweep.patch import Patch, field_info, patch
from raysweep.patch import Times as Times  # for study files
from raysweep.recipe import Recipe
from raysweep.registry import own_parts

CLEAN = "_clean"
"""Suffix of a variant that follows the published description, where the published run did not."""


@dataclass(frozen=True)
class Variant:
    """One answer to the question of a study: a name, the fields it changes, and a summary."""

    name: str
    patch: Patch = field(default_factory=dict)
    summary: str = ""
    as_published: str = ""
    """How the published run differed from its description; the variant with the suffix `_clean` follows it."""

    @property
    def sentence(self) -> str:
        """The summary, and how the published run differed."""
        return f"{self.summary}; as published: {self.as_published}" if self.as_published else self.summary

    def apply(self, baseline: Recipe) -> Recipe:
        """The recipe of this variant on a baseline."""
        return patch(baseline, self.patch)


@dataclass(frozen=True)
class Study:
    """A question that is answered by training a baseline and its variants on the same images with the same seeds."""

    name: str
    question: str
    paper: str
    finding: str
    baseline: str
    variants: tuple[Variant, ...]
    kept: frozenset[str] = frozenset()
    """Names of the variants to run; empty: all. The order of the variants does not depend on it."""

    def __post_init__(self) -> None:
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names):
            raise ValueError(f"study {self.name}: a variant name is used twice")
        if self.baseline not in names:
            raise ValueError(f"study {self.name}: its baseline {self.baseline!r} is not one of its variants")
        for variant in self.variants:
            if variant.as_published and f"{variant.name}{CLEAN}" not in names:
                raise ValueError(
                    f"study {self.name}: {variant.name} has as_published, so it needs a variant {variant.name}{CLEAN}"
                )
        for path in itertools.chain.from_iterable(variant.patch for variant in self.variants):
            field_info(path)

    def variant(self, name: str) -> Variant:
        """The variant of that name.

        Raises:
            RaysweepError: no such variant; the message lists the nearest ones.
        """
        known = {variant.name: variant for variant in self.variants}
        if name not in known:
            see = f"raysweep list variants {self.name}" if self.name in study_names() else ""
            raise unknown(f"variant of study {self.name}", name, known, see)
        return known[name]

    def only(self, names: Iterable[str]) -> Study:
        """The same study, restricted to the baseline and the named variants.

        Raises:
            RaysweepError: no such variant.
        """
        return replace(self, kept=frozenset({self.baseline, *(self.variant(name).name for name in names)}))

    def recipes(self, baseline: Recipe, seeds: Iterable[int]) -> Iterator[tuple[Variant, Recipe]]:
        """Every variant with every seed, one seed after another, so that early results cover the study."""
        for seed in seeds:
            for variant in (variant for variant in self.variants if not self.kept or variant.name in self.kept):
                yield variant, replace(variant.apply(baseline), seed=seed)


def factorial(factors: Mapping[str, Iterable[Variant]]) -> tuple[Variant, ...]:
    """Every combination of one variant of each factor, with the patches merged and named like `first_second`.

    Raises:
        ValueError: two factors change the same field.
    """
    return tuple(_combine(combination) for combination in itertools.product(*factors.values()))


def _combine(parts: tuple[Variant, ...]) -> Variant:
    merged: dict[str, object] = {}
    for part in parts:
        if shared := merged.keys() & part.patch.keys():
            raise ValueError(f"two factors change {', '.join(sorted(shared))}")
        merged |= part.patch
    return Variant("_".join(part.name for part in parts), merged, "; ".join(part.summary for part in parts))


@cache
def _files() -> tuple[str, ...]:
    package = importlib.import_module("raysweep.search_spaces")
    return tuple(
        sorted(found.name for found in pkgutil.iter_modules(package.__path__) if not found.name.startswith("_"))
    )


@cache
def study_names() -> tuple[str, ...]:
    """Names of the shipped studies: the files of `search_spaces/` that hold a STUDY."""
    return tuple(
        name for name in _files() if hasattr(importlib.import_module(f"raysweep.search_spaces.{name}"), "STUDY")
    )


@cache
def space_names() -> tuple[str, ...]:
    """Names of the shipped search spaces: the files of `search_spaces/` that hold a SPACE."""
    return tuple(name for name in _files() if name not in study_names())


def find_study(name: str) -> Study:
    """The shipped study of that name, or the one in a user's file.

    Raises:
        RaysweepError: no such study, the message lists the nearest ones; or the name is that of a search space.
    """
    if is_file(name):
        return own_study(name)
    if name not in _files():
        raise unknown("study", name, study_names(), "raysweep list studies")
    module = importlib.import_module(f"raysweep.search_spaces.{name}")
    if not hasattr(module, "STUDY"):
        raise RaysweepError(
            f"{name} is a search space, which cannot be combined with studies: use `raysweep run {name}`."
        )
    study: Study = module.STUDY
    return study


def own_study(name: str) -> Study:
    """The study in a user's file: its STUDY, or what a function of it returns, `my_study.py:make`.

    Variants that name a layer which the file registers carry the digest of the file.

    Raises:
        RaysweepError: the file cannot be loaded, has no study, or one with the name of a shipped study.
    """
    code = take_file(name)
    place, _, function = name.partition(":")
    found = attribute(load(code), function or "STUDY", code.name)
    study = found() if callable(found) else found
    if not isinstance(study, Study):
        raise RaysweepError(f"{function or 'STUDY'} in {code.name} is a {type(study).__name__}: it must be a Study.")
    if study.name in _files():
        raise RaysweepError(f"{code.name} has a study named {study.name}, as a shipped one is: give it another name.")
    own = {part for (_, part), (_, digest) in own_parts.items() if digest == code.digest}
    folder = Path(place).parent
    variants = tuple(replace(one, patch=_carrying(one.patch, own, code.digest, folder)) for one in study.variants)
    return replace(study, variants=variants)


def stored_name(name: str) -> str:
    """The name of a study in a store: for a user's file, that of the study in it.

    Raises:
        RaysweepError: the file cannot be loaded, or has no study.
    """
    return own_study(name).name if is_file(name) else name


def _carrying(changes: Patch, own: Collection[str], digest: str, folder: Path) -> Patch:
    """The patch of a variant in a user's file: networks in files are found next to it."""
    network = changes.get("network.name", "")
    if isinstance(network, str) and is_file(network):
        changes = {**changes, "network.name": str(folder / network)}
    if any(isinstance(value, str) and value in own for value in changes.values()):
        changes = {**changes, "own_code": digest}
    return changes


def find_studies(names: Iterable[str | Study]) -> tuple[Study, ...]:
    """The studies of these names in the given order, each once; `all` stands for every shipped study.

    `Study` objects are returned as they are.

    Raises:
        RaysweepError: no such study.
    """
    found: dict[str, Study] = {}
    for name in itertools.chain.from_iterable(study_names() if name == "all" else (name,) for name in names):
        study = name if isinstance(name, Study) else find_study(name)
        found.setdefault(study.name, study)
    return tuple(found.values())
