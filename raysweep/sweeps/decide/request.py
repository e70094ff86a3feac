"""What `raysweep decide` is asked: studies, the time for them, the margin and the goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from raysweep.arguments import DECIDE, converted, take_request
from raysweep.deciding.race import Question
from raysweep.errors import RaysweepError, unknown
from raysweep.request import Request
from raysweep.study import Study, find_studies, space_names
from raysweep.sweeps.unwritten import with_images
from raysweep.units import seconds_in

HOLDOUT = 0.1
"""Share of the training images to judge on, unless the request sets it: the test split stays unseen."""


FLAGS = ("race_only", "tune_rates")


@dataclass(frozen=True)
class DecideRequest:
    """Studies, and the hours to decide them in."""

    request: Request
    budget_s: float
    margin: float = 1.0
    goal: str = "all"
    race_only: bool = False
    """No calibration and controls before the race, no checks and final comparison after it."""
    tune_rates: bool = False
    """A learning rate of its own for each variant that changes optimisation."""

    def __post_init__(self) -> None:
        for study in self.request.find_studies():  # refuses margins and goals before anything is read
            Question(names_of(study), study.baseline, self.margin, goal=self.goal)

    @cached_property
    def asked(self) -> Request:
        """The request before it is fitted to the hours: judged on held-out images unless it says otherwise."""
        settings = {"data.holdout": HOLDOUT} | dict(self.request.settings)
        return replace(self.request, settings=settings, seeds=1)


def take_decide(arguments: dict[str, Any], studies: Sequence[str | Study]) -> DecideRequest:
    """The request for these studies; takes its arguments out of `arguments`.

    Raises:
        RaysweepError: no budget, or a value that cannot be used.
    """
    given = {name: converted(name, one, arguments.pop(name, one.default)) for name, one in DECIDE.items()}
    if not given["budget"]:
        raise RaysweepError("say how much time there is, e.g. --budget 2h.")
    budget_s = seconds_in(given["budget"])
    flags = {name: bool(arguments.pop(name, False)) for name in FLAGS}
    request = narrowed(take_request(arguments, [name for name in studies if refuse_space(name)]))
    asked = DecideRequest(request, budget_s, given["margin"], given["goal"], **flags)
    return replace(asked, request=with_images(request))


def refuse_space(study: str | Study) -> bool:
    """Refuse the name of a search space.

    Raises:
        RaysweepError: it is one.
    """
    if study in space_names():
        raise RaysweepError(
            f"{study} is a search space, and `decide` compares the variants of studies: see `raysweep list studies`."
        )
    return True


def narrowed(request: Request) -> Request:
    """The request with the variants that it names, each of which at least one of its studies must have.

    Raises:
        RaysweepError: a variant that no study has, or a study of which none is named.
    """
    studies = find_studies(request.studies)
    if not request.variants:
        return replace(request, studies=studies)
    known = [{variant.name for variant in study.variants} for study in studies]
    for name in request.variants:
        if not any(name in names for names in known):
            raise unknown("variant", name, sorted(set().union(*known)), f"raysweep list variants {studies[0].name}")
    kept = [
        study.only(name for name in request.variants if name in names)
        for study, names in zip(studies, known, strict=True)
    ]
    return replace(request, studies=tuple(kept), variants=())


def names_of(study: Study) -> tuple[str, ...]:
    """The variants of a study that are asked about, with the baseline."""
    return tuple(variant.name for variant in study.variants if not study.kept or variant.name in study.kept)
