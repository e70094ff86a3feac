"""Plans: the trials of studies, each with the action to take and the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from raysweep.cost import Cost, find_cost, gpu_hours, native_recipe
from raysweep.errors import InapplicableError
from raysweep.identity import canonical_json, line_id, recipe_json, trial_id
from raysweep.networks import networks
from raysweep.patch import diff
from raysweep.protocols import PROTOCOLS
from raysweep.recipe import Recipe
from raysweep.study import Study, find_studies
from raysweep.validate import check_recipe

Action = Literal["run", "resume", "retry", "wait", "skip", "omit"]
"""Wait: another process trains the trial. Skip: it has ended. Omit: it does not apply to the network."""


@dataclass(frozen=True)
class Member:
    """A variant of a study that a trial belongs to."""

    study: str
    variant: str
    summary: str
    order: int
    baseline: str
    line: str
    """Trial id of the study's baseline with seed 0; it is the same for all trials under the same settings."""

    def row(self, trial: str, recipe: Recipe, changes: Mapping[str, Any], protocol: str) -> dict[str, Any]:
        """The row that the store keeps; `changes` are the differences of the recipe from the protocol."""
        own = {"trial": trial, "seed": recipe.seed, "protocol": protocol}
        return asdict(self) | own | {"diff": canonical_json(changes), "recipe": recipe_json(recipe)}


@dataclass(frozen=True)
class Found:
    """The state of a trial in the store."""

    status: str
    epochs: int = 0
    attempts: int = 0
    diverged_epoch: int | None = None
    error: str | None = None
    elsewhere: str = ""
    """Host of the process that trains it now, and since when; empty: none."""


@dataclass(frozen=True)
class PlannedTrial:
    """A trial of a plan."""

    trial: str
    recipe: Recipe
    members: tuple[Member, ...]
    action: Action
    reason: str
    diff: Mapping[str, Any]
    """Dotted field -> value, for the fields that differ from the protocol."""
    cost: Cost
    done: int = 0
    """Epochs that are in the store, from which a trial resumes."""

    @property
    def share_left(self) -> float:
        """Share of the training that is left (0..1)."""
        length = self.recipe.length
        return 1 - length.end(min(self.done, length.num_epochs)) / length.iterations

    @property
    def epochs(self) -> float:
        """Number of passes over the training images."""
        return self.recipe.training.epochs

    @property
    def is_paid(self) -> bool:
        """Whether this run trains it."""
        return self.action not in ("wait", "skip", "omit")

    @property
    def estimated_gpu_h(self) -> float:
        """GPU-hours left on an assumed card, see `raysweep.cost`; 0 if the trial is not run."""
        return self.share_left * gpu_hours(self.recipe, self.cost) if self.is_paid else 0.0

    def to_json(self) -> dict[str, Any]:
        """The JSON object that `plan --json` prints."""
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

    A variant that does not apply to the network, such as another number of groups in a network without grouped
    convolutions, has the action `omit`.

    Args:
        studies: Studies to plan.
        baseline: The protocol with the user's settings.
        seeds: Seeds to train every variant with.
        protocol: The protocol without these settings, which `diff` is relative to.
        found: Trial id -> its state in the store.
        bind: Sets the images in a recipe after its variant has been applied, as variants may need other images.

    Raises:
        RaysweepError: a recipe cannot be trained.
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
            raise InapplicableError("it needs a trained network to start from: add --trunks STORE")
        cost = find_cost(recipe)
    except InapplicableError as error:
        if any(member.variant == member.baseline for member in members):
            raise
        return PlannedTrial(trial, recipe, members, "omit", str(error), changes, Cost(0, 0, 0))
    action, reason = decide(recipe, found)
    done = found.epochs if found else 0
    return PlannedTrial(trial, recipe, members, action, _reason(reason, members), changes, cost, done)


def _reason(reason: str, members: Sequence[Member]) -> str:
    others = ", ".join(dict.fromkeys(member.study for member in members[1:]))
    return f"{reason}; also part of {others}" if others else reason


def needing(planned: PlannedTrial, command: str) -> PlannedTrial:
    """The trial with the reason that a command must write its images before it can run."""
    return replace(planned, action="run", reason=f"{_reason('needs images', planned.members)}: {command}")


def decide(recipe: Recipe, found: Found | None) -> tuple[Action, str]:
    """What to do with a trial, given its state in the store, and why."""
    if found is None:
        return "run", "not in the store"
    if found.status == "finished":
        return "skip", "finished"
    if found.status == "diverged":
        return "skip", f"diverged in epoch {found.diverged_epoch}"
    if found.elsewhere:
        return "wait", f"running elsewhere ({found.elsewhere})"
    if found.status == "failed":
        times = {1: "once", 2: "twice"}.get(found.attempts, f"{found.attempts} times")
        *_, last = (found.error or "").strip().splitlines() or ["no message"]
        return "retry", f"failed, tried {times}: {last[:100]}"
    if found.epochs:
        return "resume", f"{found.epochs} of {recipe.length.num_epochs} epochs done"
    return "run", "started, but no epoch finished"


def to_run(plan: Iterable[PlannedTrial]) -> list[PlannedTrial]:
    """The trials of a plan that are not finished."""
    return [planned for planned in plan if planned.action not in ("skip", "omit")]


def possible(plan: Iterable[PlannedTrial]) -> list[PlannedTrial]:
    """The trials of a plan that apply to their networks."""
    return [planned for planned in plan if planned.action != "omit"]


NOT_SETTINGS = frozenset({"seed", "data.digest", "data.train_images", "data.test_images"})
"""Fields that identify the repeat and the images, and are not settings."""


def changes(recipe: Recipe, baseline: Recipe) -> dict[str, Any]:
    """The settings in which a recipe differs from a baseline: dotted field -> value."""
    return {path: value for path, value in diff(recipe, baseline).items() if path not in NOT_SETTINGS}


def shared_and_own(diffs: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The settings that all entries have in common, and for each key the settings that are left.

    Args:
        diffs: Key of an entry, such as a variant's name -> dotted field -> value.
    """
    first, *others = diffs.values() or [{}]
    shared = {path: value for path, value in first.items() if all((path, value) in other.items() for other in others)}
    own = {key: {path: value for path, value in entry.items() if path not in shared} for key, entry in diffs.items()}
    return shared, own


def planned_studies(plan: Iterable[PlannedTrial]) -> list[str]:
    """Names of the studies of a plan, in its order."""
    return list(dict.fromkeys(member.study for planned in plan for member in planned.members))


def shipped_recipes() -> list[Recipe]:
    """Every network as published, and every variant of every shipped study on every shipped protocol, with seed 0."""
    native = [native_recipe(network.name) for network in networks()]
    return native + [
        recipe
        for protocol in PROTOCOLS
        for study in find_studies(["all"])
        for _, recipe in study.recipes(protocol.make(), [0])
    ]
