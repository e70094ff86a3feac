"""The trials that `raysweep decide` makes: tasks, the variants that they stand for in the store, and their results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from raysweep.deciding.verdicts import guessing
from raysweep.identity import trial_id
from raysweep.patch import diff
from raysweep.planning import Member, PlannedTrial
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.sweeps.common import planned_point
from raysweep.train.task import DONE, TrialTask

if TYPE_CHECKING:
    from raysweep.store.store import Store


@dataclass(frozen=True)
class Entry:
    """What the runs of a line have in common."""

    recipe: Recipe
    members: tuple[Member, ...]
    data: str
    """Folder of the images."""

    def with_seed(self, seed: int) -> Recipe:
        """The recipe of one run."""
        return replace(self.recipe, seed=seed)


Run = tuple[Entry, int]
"""A recipe and a seed."""


@dataclass
class Trials:
    """Makes trials and reads their results."""

    store: Store
    template: TrialTask
    """The task that all trials share, except for recipe and images."""
    tasks: dict[str, TrialTask] = field(default_factory=dict)
    """Trials handed out by this driver, by id."""
    recorded: set[str] = field(default_factory=set)
    """Trial and study that this driver has recorded in the store."""

    def task(self, entry: Entry, seed: int, keep: bool = False) -> TrialTask:
        """The trial of a run; `keep` its checkpoint."""
        recipe = entry.with_seed(seed)
        first, trial = entry.members[0], trial_id(recipe)
        own = replace(self.template, trial=trial, recipe=recipe, data=entry.data)
        keep = keep or self.template.keep_checkpoint
        self.tasks[trial] = replace(own, study=first.study, variant=first.variant, keep_checkpoint=keep)
        return self.tasks[trial]

    def record(self, runs: Iterable[Run]) -> None:
        """Record in the store which variants of which studies trials belong to.

        Raises:
            RaysweepError: the store cannot be written.
        """
        protocol, rows = self.template.protocol, dict[str, list[dict[str, Any]]]()
        for entry, seed in runs:
            recipe = entry.with_seed(seed)
            trial, changes = trial_id(recipe), diff(recipe, find_protocol(protocol))
            for member in entry.members:
                if (key := f"{trial} {member.study}/{member.variant}") not in self.recorded:
                    self.recorded.add(key)
                    rows.setdefault(member.study, []).append(member.row(trial, recipe, changes, protocol))
        for of_study in rows.values():
            self.store.write_members(of_study)

    def planned(self, trial: str) -> PlannedTrial:
        """A trial as progress shows it."""
        task = self.tasks[trial]
        member = Member(task.study, task.variant, "", 0, "", "")
        return planned_point(trial, task.recipe, member, ("run", "chosen by decide"), task.protocol)

    def ended(self, entry: Entry, seed: int) -> dict[str, Any] | None:
        """The row of a run that has ended in the store; None if it has not."""
        row = self.store.trial(trial_id(entry.with_seed(seed)))
        return row if row and row["status"] in DONE else None


def score(row: Mapping[str, Any], recipe: Recipe) -> float | None:
    """The top-1 of an ended trial in points; None if it did not train: it diverged, or is no better than guessing."""
    top1 = row["top1"]
    trained = row["status"] == "finished" and top1 is not None and top1 > guessing(recipe.network.outputs)
    return round(100 * top1, 6) if trained else None
