"""A search: points of a space, proposed one after another, each a trial that is trained once. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, count, islice
from random import Random
from typing import Any

from raysweep.errors import RaysweepError, did_you_mean
from raysweep.identity import canonical_json, line_id, recipe_from_json, trial_id
from raysweep.patch import Times, diff, patch
from raysweep.planning import Action, Found, Member, decide
from raysweep.recipe import Recipe
from raysweep.space import BASELINE, POINTS, Assignment, Choice, Space, label

SEARCHERS = ("random", "grid", "optuna")
SCHEDULERS = ("none", "asha", "median")
REPEATS = 1000
"""Proposals in a row that are known already, after which a space counts as exhausted."""


@dataclass(frozen=True)
class SearchOptions:
    """How points are proposed, which trials are stopped early, and how many there are in all."""

    searcher: str = "random"
    scheduler: str = "none"
    trials: int = 200
    """Points in all: the baseline and those that the store already has are counted."""
    seed: int = 0
    """Of the searcher; the trials have seed 0."""
    grace_epochs: int | None = None
    """Epochs before the scheduler may stop a trial; none: a sixteenth of all, at least 1."""
    reduction_factor: float = 3.0
    """One in so many goes on at each rung of asha."""
    over: tuple[str, ...] = ()
    """Parameters that a grid combines, all others at the baseline; none: all."""
    grid_points: int = POINTS
    """Points of a range in a grid."""

    def __post_init__(self) -> None:
        for what, value, known in (
            ("searcher", self.searcher, SEARCHERS),
            ("scheduler", self.scheduler, SCHEDULERS),
        ):
            if value not in known:
                raise RaysweepError(f"unknown {what} {value!r}.{did_you_mean(value, known)}")
        if self.trials < 1:
            raise RaysweepError(f"--trials is {self.trials}: at least 1 trial is needed, the baseline.")
        if self.grace_epochs is not None and self.grace_epochs < 1:
            raise RaysweepError(f"--grace-epochs is {self.grace_epochs}: at least 1 epoch is needed to judge a trial.")
        if self.searcher != "grid" and (self.over or self.grid_points != POINTS):
            raise RaysweepError(f"--over and --grid-points are of --searcher grid, not of {self.searcher}.")
        if self.grid_points < 2:
            raise RaysweepError(f"--grid-points is {self.grid_points}: at least 2 are needed, the ends of a range.")
        if self.reduction_factor <= 1:
            raise RaysweepError(f"--reduction-factor is {self.reduction_factor:g}: it must be more than 1, e.g. 3.")


@dataclass(frozen=True)
class Proposal:
    """A point of the space as a trial."""

    order: int
    trial: str
    recipe: Recipe
    assignment: Assignment

    @property
    def variant(self) -> str:
        """Its name in the results: the baseline, then s000, s001, ... in the order of proposal."""
        return BASELINE if self.order == 0 else f"s{self.order - 1:03}"


def _ignore(proposal: Proposal) -> None:
    """Nobody keeps the proposals."""


def _as_is(recipe: Recipe) -> Recipe:
    return recipe


@dataclass
class Proposals:
    """The points proposed so far, each once, by trial id in the order of proposal."""

    space: Space
    baseline: Recipe
    note: Callable[[Proposal], None] = _ignore
    """Called with each new one before anybody else hears of it: a killed driver loses none."""
    bind: Callable[[Recipe], Recipe] = _as_is
    """Puts the images that a recipe is trained on into it."""
    points: dict[str, Proposal] = field(default_factory=dict)
    next_order: int = 0

    @property
    def line(self) -> str:
        """What the trials of this search share: the id of its baseline."""
        return line_id(self.bind(self.baseline))

    @property
    def baseline_trial(self) -> str:
        """Id of the trial that all others are compared with."""
        return trial_id(self.bind(self.baseline))

    def __len__(self) -> int:
        return len(self.points)

    def propose(self, assignment: Assignment) -> tuple[Proposal, bool]:
        """The trial at a point, and whether it is new.

        Raises:
            RaysweepError: a parameter that the space does not have, or it cannot be written down.
        """
        recipe = self.bind(patch(self.baseline, self.space.patch(assignment)))
        trial = trial_id(recipe)
        if trial in self.points:
            return self.points[trial], False
        proposal = Proposal(self.next_order, trial, recipe, dict(assignment))
        self.note(proposal)
        self.next_order += 1
        self.points[trial] = proposal
        return proposal, True

    def first(self, limit: int) -> list[Proposal]:
        """The first so many of those proposed so far."""
        return list(self.points.values())[:limit]

    def take(self, assignments: Iterator[Assignment], limit: int) -> Iterator[Proposal]:
        """The proposals so far, then new ones up to the limit; fewer where the space has no more."""
        yield from self.first(limit)
        repeats = 0
        while len(self) < limit and repeats < REPEATS + len(self) and (point := next(assignments, None)) is not None:
            proposal, new = self.propose(point)
            repeats = 0 if new else repeats + 1
            if new:
                yield proposal

    def member(self, proposal: Proposal) -> Member:
        """What the trial stands for."""
        changed = self.space.changed(proposal.assignment)
        words = ", ".join(f"{name} {label(value)}" for name, value in changed.items())
        return Member(self.space.name, proposal.variant, words or "the baseline", proposal.order, BASELINE, self.line)


def known_points(space: Space, options: SearchOptions) -> Iterator[Assignment]:
    """The points of a searcher that does not look at results; none of one that does."""
    if options.searcher == "random":
        return random_points(space, options.seed)
    return space.grid(options.over, options.grid_points) if options.searcher == "grid" else iter(())


def fit_to_grid(space: Space, options: SearchOptions) -> SearchOptions:
    """The options with as many trials as a grid has points; those of other searchers as they are.

    Raises:
        RaysweepError: the grid has more points than trials are allowed.
    """
    if options.searcher != "grid":
        return options
    size = len({canonical_json(point) for point in islice(known_points(space, options), options.trials + 2)})
    if size > options.trials:
        raise RaysweepError(
            f"the grid of {space.name} has more than {options.trials} points: raise --trials, lower --grid-points "
            f"({options.grid_points}), or name the parameters to combine with --over, e.g. --over "
            f"{','.join(parameter.name for parameter in space.parameters[:2])}."
        )
    return replace(options, trials=size)


def random_points(space: Space, seed: int) -> Iterator[Assignment]:
    """The baseline, then samples; the k-th, counted from 0, depends on the space, the seed and k alone."""
    return chain([space.baseline()], (random_point(space, seed, k) for k in count()))


def random_point(space: Space, seed: int, k: int) -> Assignment:
    """Sample k of a random search."""
    return space.sample(Random(f"{seed}/{k}"))


def check_settings(space: Space, settings: Iterable[str]) -> None:
    """Refuse a setting of a field that a choice of the space decides: only its first option would keep it.

    Raises:
        RaysweepError: names the field.
    """
    for path in settings:
        own = (p.domain for p in space.parameters if p.name == path and isinstance(p.domain, Choice))
        values = [options[path] for domain in own for options in domain.options.values() if path in options]
        if not all(isinstance(value, Times) for value in values):
            raise RaysweepError(f"{path} is one of the choices that {space.name} searches over: leave out its setting.")


def decide_search(recipe: Recipe, found: Found | None, scheduler: str) -> tuple[Action, str]:
    """What to do with a proposal in view of what the store knows; what a scheduler has stopped stays stopped."""
    if found is not None and found.status == "stopped" and scheduler != "none":
        return "skip", f"stopped by the scheduler after epoch {found.epochs}"
    return decide(recipe, found)


def read_proposals(rows: Iterable[Mapping[str, Any]], proposals: Proposals) -> None:
    """Add what the members of a store hold of this search.

    Points of an older version of the space only keep their names taken.
    """
    own = [row for row in rows if (row["study"], row["line"]) == (proposals.space.name, proposals.line)]
    for row in sorted(own, key=lambda row: int(row["order"])):
        proposals.next_order = max(proposals.next_order, row["order"] + 1)
        assignment = json.loads(row["assignment"] or "null")
        if assignment is not None and proposals.space.holds(assignment):
            recipe = recipe_from_json(row["recipe"])
            proposals.points[row["trial"]] = Proposal(row["order"], row["trial"], recipe, assignment)


def proposal_row(proposals: Proposals, proposal: Proposal, protocol: str, shipped: Recipe) -> dict[str, Any]:
    """A proposal as a member row of the store; `shipped` is the protocol that its difference is told from."""
    changes = diff(proposal.recipe, shipped)
    row = proposals.member(proposal).row(proposal.trial, proposal.recipe, changes, protocol)
    return row | {"assignment": canonical_json(proposal.assignment)}
