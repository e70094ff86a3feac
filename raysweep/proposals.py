"""Proposals: points of a search space, each of which becomes a trial that is trained once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, count, islice
from random import Random
from typing import Any

from raysweep.errors import RaysweepError, unknown
from raysweep.identity import canonical_json, line_id, recipe_from_json, trial_id
from raysweep.patch import Times, diff, patch
from raysweep.planning import Action, Found, Member, decide
from raysweep.recipe import Recipe
from raysweep.space import BASELINE, POINTS, Assignment, Choice, Space, label

SEARCHERS = ("random", "grid", "optuna")
SCHEDULERS = ("none", "asha", "median")
REPEATS = 1000
"""Known points proposed in a row after which a space counts as exhausted."""


@dataclass(frozen=True)
class SpaceOptions:
    """How points are proposed, which trials are stopped early, and the number of points."""

    searcher: str = "random"
    scheduler: str = "none"
    trials: int = 200
    """Total number of points, including the baseline and the points that are already in the store."""
    seed: int = 0
    """Seed of the searcher; the trials have seed 0."""
    grace_epochs: int | None = None
    """Epochs before the scheduler may stop a trial; None: a sixteenth of all epochs, at least 1."""
    reduction_factor: float = 3.0
    """At each rung of asha, one in this many trials continues."""
    over: tuple[str, ...] = ()
    """Parameters that a grid combines, all others stay at the baseline; empty: all."""
    grid_points: int = POINTS
    """Number of points of a range in a grid."""

    def __post_init__(self) -> None:
        for kind, value, known in (("searcher", self.searcher, SEARCHERS), ("scheduler", self.scheduler, SCHEDULERS)):
            if value not in known:
                raise unknown(kind, value, known)
        if self.trials < 1:
            raise RaysweepError(f"--trials is {self.trials}: use 1 (the baseline) or more.")
        if self.grace_epochs is not None and self.grace_epochs < 1:
            raise RaysweepError(f"--grace-epochs is {self.grace_epochs}: a trial can be judged after 1 epoch or more.")
        if self.searcher != "grid" and (self.over or self.grid_points != POINTS):
            raise RaysweepError(f"--over and --grid-points need --searcher grid, but the searcher is {self.searcher}.")
        if self.grid_points < 2:
            raise RaysweepError(f"--grid-points is {self.grid_points}: use 2 (both ends of a range) or more.")
        if self.reduction_factor <= 1:
            raise RaysweepError(f"--reduction-factor is {self.reduction_factor:g}: use more than 1, e.g. 3.")


@dataclass(frozen=True)
class Proposal:
    """A point of a space and its trial."""

    order: int
    trial: str
    recipe: Recipe
    assignment: Assignment

    @property
    def variant(self) -> str:
        """Its name in the results: baseline, then s000, s001, ... in the order of proposal."""
        return BASELINE if self.order == 0 else f"s{self.order - 1:03}"


@dataclass
class Proposals:
    """The points proposed so far, each once."""

    space: Space
    baseline: Recipe
    note: Callable[[Proposal], None] = lambda proposal: None
    """Records a new proposal before it is used, so that a killed driver loses none."""
    searcher: str = ""
    """The searcher that a new proposal is recorded with, see `searcher_tag`."""
    points: dict[str, Proposal] = field(default_factory=dict)
    """Trial id -> proposal, in the order of proposal."""
    others: dict[str, Proposal] = field(default_factory=dict)
    """Points of other searchers, which do not count. One that is proposed again keeps its name."""
    unrecorded: int = 0
    """Number of points that count although it is unknown which searcher proposed them."""
    next_order: int = 0

    @property
    def line(self) -> str:
        """The line that all trials of this search belong to, named by its baseline."""
        return line_id(self.baseline)

    def __len__(self) -> int:
        return len(self.points)

    def recipe(self, assignment: Assignment) -> Recipe:
        """The recipe at a point.

        Raises:
            RaysweepError: a parameter that the space does not have.
        """
        return patch(self.baseline, self.space.patch(assignment))

    def propose(self, assignment: Assignment) -> tuple[Proposal, bool]:
        """The proposal at a point, and whether it is new.

        Raises:
            RaysweepError: a parameter that the space does not have, or the proposal cannot be recorded.
        """
        recipe = self.recipe(assignment)
        trial = trial_id(recipe)
        if trial in self.points:
            return self.points[trial], False
        proposal = self.others.get(trial) or Proposal(self.next_order, trial, recipe, dict(assignment))
        self.note(proposal)
        self.next_order = max(self.next_order, proposal.order + 1)
        self.points[trial] = proposal
        self.others.pop(trial, None)
        return proposal, True

    def first(self, limit: int) -> list[Proposal]:
        """The first `limit` proposals."""
        return list(self.points.values())[:limit]

    def take(self, assignments: Iterator[Assignment], limit: int) -> Iterator[Proposal]:
        """The proposals so far, then new ones up to `limit` in all; fewer if the space has no more."""
        yield from self.first(limit)
        repeats = 0
        while len(self) < limit and repeats < REPEATS + len(self) and (point := next(assignments, None)) is not None:
            proposal, new = self.propose(point)
            repeats = 0 if new else repeats + 1
            if new:
                yield proposal

    def member(self, proposal: Proposal) -> Member:
        """The entry of a proposal in the study of its space."""
        changed = self.space.changed(proposal.assignment)
        words = ", ".join(f"{name} {label(value)}" for name, value in changed.items())
        return Member(self.space.name, proposal.variant, words or "the baseline", proposal.order, BASELINE, self.line)


def known_points(space: Space, options: SpaceOptions) -> Iterator[Assignment]:
    """The points of a searcher that ignores results; none for one that learns from them."""
    if options.searcher == "random":
        return random_points(space, options.seed)
    return space.grid(options.over, options.grid_points) if options.searcher == "grid" else iter(())


def fit_to_grid(space: Space, options: SpaceOptions) -> SpaceOptions:
    """The options with `trials` set to the number of points of the grid; unchanged for other searchers.

    Raises:
        RaysweepError: the grid has more points than `trials`.
    """
    if options.searcher != "grid":
        return options
    size = len({canonical_json(point) for point in islice(known_points(space, options), options.trials + 2)})
    if size > options.trials:
        raise RaysweepError(
            f"the grid of {space.name} has more than {options.trials} points: raise --trials, lower --grid-points "
            f"(now {options.grid_points}), or combine only some parameters, e.g. --over "
            f"{','.join(parameter.name for parameter in space.parameters[:2])}."
        )
    return replace(options, trials=size)


def random_points(space: Space, seed: int) -> Iterator[Assignment]:
    """The baseline, then random samples."""
    return chain([space.baseline()], (random_point(space, seed, k) for k in count()))


def random_point(space: Space, seed: int, k: int) -> Assignment:
    """Sample k of a random search, counted from 0; it depends only on the space, the seed and k."""
    return space.sample(Random(f"{seed}/{k}"))


def check_settings(space: Space, settings: Iterable[str]) -> None:
    """Refuse a setting of a field that the space chooses: only the baseline option would keep it.

    Raises:
        RaysweepError: names the field.
    """
    for path in settings:
        own = (p.domain for p in space.parameters if p.name == path and isinstance(p.domain, Choice))
        values = [options[path] for domain in own for options in domain.options.values() if path in options]
        if not all(isinstance(value, Times) for value in values):
            raise RaysweepError(f"{space.name} searches over {path}, so it cannot be set: leave out --set {path}.")


def decide_proposal(recipe: Recipe, found: Found | None, scheduler: str) -> tuple[Action, str]:
    """What to do with a proposal, and why; if there is a scheduler, stopped trials stay stopped."""
    if found is not None and found.status == "stopped" and scheduler != "none":
        return "skip", f"stopped by the scheduler after epoch {found.epochs}"
    return decide(recipe, found)


def searcher_tag(options: SpaceOptions) -> str:
    """The options on which it depends which points a searcher proposes, as text."""
    own = {"over": list(options.over), "grid_points": options.grid_points}
    return canonical_json(
        {"searcher": options.searcher} | (own if options.searcher == "grid" else {"seed": options.seed})
    )


def read_proposals(rows: Iterable[Mapping[str, Any]], proposals: Proposals, options: SpaceOptions) -> None:
    """Add the points that are among the members of a store.

    Random and grid search take the points that they would propose, whichever searcher proposed them. One that learns
    from results takes those that it has proposed with the same seed. Older versions did not record the searcher: their
    points count for it, as they did then, and `unrecorded` says how many. Points of an older version of the space only
    keep their names reserved.
    """
    line, fixed, tag = proposals.line, _fixed_trials(proposals, options), searcher_tag(options)
    own = [row for row in rows if (row["study"], row["line"]) == (proposals.space.name, line)]
    found: dict[str, Proposal] = {}
    searchers: dict[str, set[str | None]] = {}
    for row in sorted(own, key=lambda row: int(row["order"])):
        proposals.next_order = max(proposals.next_order, row["order"] + 1)
        assignment = _assignment(row["assignment"])
        if assignment is not None and proposals.space.contains(assignment):
            point = Proposal(row["order"], row["trial"], recipe_from_json(row["recipe"]), assignment)
            found.setdefault(row["trial"], point)
            searchers.setdefault(row["trial"], set()).add(row["searcher"])
    for trial, point in found.items():
        counts = trial in fixed if fixed is not None else not searchers[trial].isdisjoint({tag, None})
        (proposals.points if counts else proposals.others)[trial] = point
        proposals.unrecorded += counts and fixed is None and searchers[trial] == {None}


def _assignment(text: str | None) -> Assignment | None:
    try:
        found = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _fixed_trials(proposals: Proposals, options: SpaceOptions) -> set[str] | None:
    """The trials of a searcher that ignores results; None for one that learns from them."""
    if options.searcher not in ("random", "grid"):
        return None
    fresh = Proposals(proposals.space, proposals.baseline)
    return {point.trial for point in fresh.take(known_points(proposals.space, options), options.trials)}


def proposal_row(proposals: Proposals, proposal: Proposal, protocol: str, shipped: Recipe) -> dict[str, Any]:
    """A proposal as a member row of the store; its `diff` is against `shipped`, the protocol's own recipe."""
    changes = diff(proposal.recipe, shipped)
    row = proposals.member(proposal).row(proposal.trial, proposal.recipe, changes, protocol)
    return row | {"assignment": canonical_json(proposal.assignment), "searcher": proposals.searcher or None}
