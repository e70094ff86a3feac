"""The spaces that `raysweep nas` searches, and the conversion of architectures to recipes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from raysweep.errors import RaysweepError
from raysweep.nas.cells_space import cell_space
from raysweep.nas.macro_space import EnasMacro
from raysweep.nas.nasbench201_space import NASBench201
from raysweep.nas.space import Space, randomness
from raysweep.nas.table_space import Design, design_choices
from raysweep.patch import Patch, patch
from raysweep.proposals import check_settings
from raysweep.recipe import Recipe
from raysweep.registry import Registry


@dataclass(frozen=True)
class TrialSpace:
    """A search space whose architectures can be trained."""

    name: str
    space: Space[Any]
    network: str = ""
    """The network built from an architecture's text. Empty: an architecture is an assignment of design choices."""

    @property
    def study(self) -> str:
        """The study that the trials of its searches belong to."""
        return f"nas-{self.name}"

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a user, plus the network of the space.

        Raises:
            RaysweepError: a setting that the space searches over.
        """
        if not self.network:
            check_settings(design_choices(self.name).space, given)
            return dict(given)
        for path in ("network.name", "network.genotype"):
            if path in given:
                raise RaysweepError(f"cannot set {path}: the space {self.name} searches over it. Remove the setting.")
        return {"network.name": self.network, **given}

    def patch(self, architecture: Any) -> Patch:
        """The changes that an architecture makes to the common recipe of a search."""
        if isinstance(architecture, Design):
            return design_choices(self.name).space.patch(architecture.assignment)
        return {"network.name": self.network, "network.genotype": str(architecture)}

    def assignment(self, architecture: Any) -> dict[str, Any]:
        """The architecture as stored in the members of the store."""
        return architecture.assignment if isinstance(architecture, Design) else {"architecture": str(architecture)}

    def recipe(self, baseline: Recipe, architecture: Any, fidelity: float | None = None) -> Recipe:
        """The recipe of an architecture, trained for `fidelity` epochs. None: for those of the baseline.

        A shorter training is a separate recipe, not the beginning of a longer one: the learning-rate schedule is scaled
        to the length, so that each training completes its schedule.

        Raises:
            RaysweepError: a value that the recipe does not accept.
        """
        length = {} if fidelity is None else {"training.epochs": float(fidelity)}
        return patch(baseline, {**self.patch(architecture), **length})


SPACES: Registry[Callable[[], TrialSpace]] = Registry("architecture space", "raysweep list nas_spaces")


def find_trial_space(name: str) -> TrialSpace:
    """The space of that name.

    Raises:
        RaysweepError: no such space; the message lists similar names.
    """
    return SPACES[name]()


def example_of(space: TrialSpace, baseline: Recipe, number: int = 0) -> Recipe:
    """One of the recipes that a search of the space may propose."""
    return space.recipe(baseline, space.space.sample(randomness(0, number)))


OWN_NETWORKS = ("enas", "darts")
"""Spaces whose papers do not build cells as NASNet does."""


def _cells(name: str) -> TrialSpace:
    return TrialSpace(name, cell_space(name), f"{name if name in OWN_NETWORKS else 'nasnet'}_cells")


for _name, _summary, _paper in (
    ("nasnet", "a normal and a reduction cell of 5 nodes, 13 operations", "Zoph et al. 2018, arXiv 1707.07012"),
    ("amoebanet", "the same with the 8 operations of AmoebaNet", "Real et al. 2019, arXiv 1802.01548"),
    ("pnas", "the same with the 8 operations of PNAS", "Liu et al. 2018, arXiv 1712.00559"),
    ("enas", "the same with the 5 operations of ENAS' micro search", "Pham et al. 2018, arXiv 1802.03268"),
    ("darts", "cells of 4 nodes with two different inputs each, 7 operations", "Liu et al. 2019, arXiv 1806.09055"),
):
    SPACES.add(_name, _summary, _paper)(partial(_cells, _name))


@SPACES.add("nasbench201", "one cell of 6 edges, 5 operations: 15,625 cells", "Dong & Yang 2020, arXiv 2001.00326")
def _nasbench201() -> TrialSpace:
    return TrialSpace("nasbench201", NASBench201(), "nasbench201")


@SPACES.add(
    "enas-macro",
    "12 layers with skips from any layer to any later one, 6 operations",
    "Pham et al. 2018, arXiv 1802.03268",
)
def _enas_macro() -> TrialSpace:
    return TrialSpace("enas-macro", EnasMacro(), "enas_macro")


@SPACES.add("joint", "all design choices of the paper's table combined", "Mishkin et al. 2017, arXiv 1606.02228")
def _joint() -> TrialSpace:
    return TrialSpace("joint", design_choices("joint"))
