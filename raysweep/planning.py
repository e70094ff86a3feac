"""What to run and why: one entry a trial, with the action and its reason. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from raysweep.cost import Cost, accelerator, find_cost, native_recipe
from raysweep.errors import InapplicableError
from raysweep.identity import canonical_json, line_id, recipe_json, trial_id
from raysweep.networks import networks
from raysweep.patch import diff
from raysweep.protocols import PROTOCOLS
from raysweep.recipe import Recipe
from raysweep.study import Study, find_studies
from raysweep.validate import check_recipe

Action = Literal["run", "resume", "retry", "skip", "omit"]
"""Skip: it has ended. Omit: it means nothing in the network that was asked for."""


@dataclass(frozen=True)
class Member:
    """What a trial stands for: one variant of one study, under the settings of that study's baseline."""

    study: str
    variant: str
    summary: str
    order: int
    baseline: str
    line: str
    """Trial id of the baseline with seed 0: trials of one line were run under the same settings."""

    def row(self, trial: str, recipe: Recipe, changes: Mapping[str, Any], protocol: str) -> dict[str, Any]:
        """The row that the store keeps of it; `changes` are what the recipe differs in from the protocol's."""
        own = {"trial": trial, "seed": recipe.seed, "protocol": protocol}
        return asdict(self) | own | {"diff": canonical_json(changes), "recipe": recipe_json(recipe)}


@dataclass(frozen=True)
class Found:
    """What the store knows of a trial."""

    status: str
    epochs: int = 0
    attempts: int = 0
    diverged_epoch: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of the plan."""

    trial: str
    recipe: Recipe
    members: tuple[Member, ...]
    action: Action
    reason: str
    diff: Mapping[str, Any]
    """Dotted field -> value, against the protocol's own baseline."""
    cost: Cost

    @property
    def epochs(self) -> float:
        """Passes over the training images."""
        return self.recipe.training.epochs

    @property
    def estimated_gpu_h(self) -> float:
        """GPU-hours by arithmetic on an assumed card, see `raysweep.cost`; 0 for what is not run again."""
        return 0.0 if self.action in ("skip", "omit") else accelerator(self.recipe).hours(self.recipe, self.cost)

    def to_json(self) -> dict[str, Any]:
        """The object that `plan --json` prints."""
        return {
            "trial": self.trial,
            "studies": [{"study": member.study, "variant": member.variant} for member in self.members],
            "seed": self.recipe.seed,
            "action": self.action,
            "reason": self.reason,
            "diff": dict(self.diff),
            "params": self.cost.params,
            "macs": self.cost.macs,
            "epochs": self.epochs,
            "estimated_gpu_h": self.estimated_gpu_h,
        }


def make_plan(
    studies: Sequence[Study],
    baseline: Recipe,
    seeds: Iterable[int],
    *,
    protocol: Recipe | None = None,
    found: Mapping[str, Found] | None = None,
    bind: Callable[[Recipe], Recipe] = lambda recipe: recipe,
) -> list[PlannedTrial]:
    """Every trial of the studies once, in the order to run them.

    `baseline` is the protocol with the user's settings; `protocol` the protocol as it ships, which `diff` is against.
    `bind` puts the images of a recipe into it once its variant has been applied: variants may need others.

    A variant that means nothing in the network, such as one without groups where there are none, has the action `omit`.

    Raises:
        RaysweepError: a recipe that cannot be trained.
    """
    found = found or {}
    members: dict[str, list[Member]] = {}
    recipes: dict[str, Recipe] = {}
    for member, recipe in _members(studies, baseline, tuple(seeds), bind):
        check_recipe(recipe)
        trial = trial_id(recipe)
        recipes[trial] = recipe
        members.setdefault(trial, []).append(member)
    return [
        _planned(trial, recipe, tuple(members[trial]), found.get(trial), protocol or baseline)
        for trial, recipe in recipes.items()
    ]


def _members(
    studies: Sequence[Study], baseline: Recipe, seeds: tuple[int, ...], bind: Callable[[Recipe], Recipe]
) -> Iterator[tuple[Member, Recipe]]:
    # Seed by seed over all studies: early results cover everything.
    for seed in seeds:
        for study in studies:
            line = line_id(bind(study.variant(study.baseline).apply(baseline)))
            for variant, recipe in study.recipes(baseline, [seed]):
                order = study.variants.index(variant)
                yield Member(study.name, variant.name, variant.sentence, order, study.baseline, line), bind(recipe)


def _planned(
    trial: str, recipe: Recipe, members: tuple[Member, ...], found: Found | None, protocol: Recipe
) -> PlannedTrial:
    changes = diff(recipe, protocol)
    try:
        if recipe.init.trunk != "none" and not recipe.init.trunk_trial:
            raise InapplicableError("no trained network is named that it could start from: --trunks STORE")
        cost = find_cost(recipe)
    except InapplicableError as error:
        if any(member.variant == member.baseline for member in members):
            raise
        return PlannedTrial(trial, recipe, members, "omit", str(error), changes, Cost(0, 0, 0))
    action, reason = decide(recipe, found)
    return PlannedTrial(trial, recipe, members, action, _reason(reason, members), changes, cost)


def _reason(reason: str, members: Sequence[Member]) -> str:
    shared = ", ".join(dict.fromkeys(member.study for member in members[1:]))
    return f"{reason}; shared with {shared}" if shared else reason


def needing(planned: PlannedTrial, command: str) -> PlannedTrial:
    """The same trial, which cannot run before that command has written its images."""
    return replace(planned, action="run", reason=_reason(f"needs images: {command}", planned.members))


def decide(recipe: Recipe, found: Found | None) -> tuple[Action, str]:
    """What to do with a trial in view of what the store knows, and why."""
    if found is None:
        return "run", "not in the store"
    if found.status == "finished":
        return "skip", "finished"
    if found.status == "diverged":
        return "skip", f"diverged in epoch {found.diverged_epoch}"
    if found.status == "failed":
        times = {1: "once", 2: "twice"}.get(found.attempts, f"{found.attempts} times")
        return "retry", f"failed, tried {times}: {(found.error or 'no message').strip().splitlines()[-1][:100]}"
    if found.epochs:
        return "resume", f"epoch {found.epochs} of {recipe.length.num_epochs}"
    return "run", "started, no epoch done"


def to_run(plan: Iterable[PlannedTrial]) -> list[PlannedTrial]:
    """The trials of a plan that are not finished."""
    return [planned for planned in plan if planned.action not in ("skip", "omit")]


def possible(plan: Iterable[PlannedTrial]) -> list[PlannedTrial]:
    """The trials of a plan whose networks there are."""
    return [planned for planned in plan if planned.action != "omit"]


def shared_and_own(
    diffs: Mapping[str, Mapping[str, Any]],
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The settings that all entries have in common, and for each key the settings that are left.

    Args:
        diffs: Key of an entry, such as a variant's name -> dotted field -> value.
    """
    first, *others = diffs.values() or [{}]
    shared = {path: value for path, value in first.items() if all(_has(other, path, value) for other in others)}
    own = {key: {path: value for path, value in entry.items() if path not in shared} for key, entry in diffs.items()}
    return shared, own


def _has(entry: Mapping[str, Any], path: str, value: Any) -> bool:
    return path in entry and bool(entry[path] == value)


def planned_studies(plan: Iterable[PlannedTrial]) -> list[str]:
    """Names of the studies of a plan, in its order."""
    return list(dict.fromkeys(member.study for planned in plan for member in planned.members))


def shipped_recipes() -> list[Recipe]:
    """Every network as its paper has it, and every variant of every shipped study on every shipped protocol, seed 0."""
    native = [native_recipe(network.name) for network in networks()]
    return native + [
        recipe
        for protocol in PROTOCOLS
        for study in find_studies(["all"])
        for _, recipe in study.recipes(protocol.make(), [0])
    ]
