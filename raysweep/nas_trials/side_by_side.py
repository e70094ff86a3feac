"""Searches side by side: asked in turn, every proposal a trial of the store, every trial trained once for all of them.

Knows nothing of who trains: `next` gives trials, `end` is told how they ended. What of a search lies where: the log has
what was proposed and told, in order; the members have which trial a proposal is; the trials have the results. A search
goes on from the three of them, and they may not contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from raysweep.errors import RaysweepError
from raysweep.identity import canonical_json, line_id, recipe_from_json, trial_id
from raysweep.nas.ask_tell import Proposal
from raysweep.nas_trials.charging import agrees, cost_of, evaluation_of
from raysweep.nas_trials.one_search import Key, Search
from raysweep.nas_trials.trial_spaces import TrialSpace
from raysweep.patch import diff
from raysweep.planning import Member
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.space import BASELINE
from raysweep.train.task import DONE, TrialTask

if TYPE_CHECKING:
    from raysweep.store.store import Store

MANY = 1_000_000
"""More trials than any search has: the bound where the budget is not one of evaluations."""


@dataclass
class Searches:
    """The searches of one space under one set of settings. Not for several threads at once."""

    searches: Sequence[Search]
    space: TrialSpace
    baseline: Recipe
    """The settings that all trials share."""
    store: Store
    template: TrialTask
    """What all trials share but their recipe."""
    tasks: dict[str, TrialTask] = field(default_factory=dict)
    """Trials handed out by this driver."""
    members: dict[str, Member] = field(default_factory=dict)
    """Trial -> the first proposal that it stands for."""
    trials: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Trial -> its row in the store, as far as it has been read."""
    ended: dict[str, None] = field(default_factory=dict)
    """Trials of which a search that proposes one is told at once, in the order in which they ended."""
    recipes: dict[Key, Recipe] = field(default_factory=dict)
    """What has been proposed of this space before: equal architectures, written in another way, are one trial."""
    waiting: dict[str, list[tuple[Search, Proposal[Any]]]] = field(default_factory=dict)
    """Trial under way -> who waits for it."""

    def resume(self) -> None:
        """Take in what the store holds, and tell what a killed driver could not.

        Raises:
            RaysweepError: a log that says another thing than the trials; the logs are closed then.
        """
        try:
            self._resume()
        except BaseException:
            self.close()
            raise

    def _resume(self) -> None:
        # In the order in which they ended: it is the one in which they would have been told.
        stored = self.store.trials().sort_by("updated_at").to_pylist()
        self.trials = {row["trial"]: row for row in stored}
        self.ended = {row["trial"]: None for row in stored if row["status"] in DONE}
        self._read_members(self.store.members().to_pylist())
        for search in self.searches:
            for evaluated in search.asking.evaluations:
                trial = search.trials.get(evaluated.number, "")
                if not evaluated.reused and not agrees(self.trials.get(trial), evaluated):
                    raise self._contradiction(search, evaluated.number, trial)
            self._tell_late(search)

    def _read_members(self, rows: Iterable[Mapping[str, Any]]) -> None:
        own = {search.name: search for search in self.searches}
        for row in rows:
            if row["search"] and (row["study"], row["line"]) == (self.space.study, self.line):
                self.recipes.setdefault((row["key"], row["fidelity"]), recipe_from_json(row["recipe"]))
                if row["search"] in own:
                    own[row["search"]].trials[row["proposal"]] = row["trial"]

    def _tell_late(self, search: Search) -> None:
        order = {trial: place for place, trial in enumerate(self.ended)}
        open_ = {one.number: one for one in search.asking.in_flight if search.trials.get(one.number) in order}
        for number in sorted(open_, key=lambda number: order[search.trials[number]]):
            self._tell(search, open_[number], search.trials[number])
        self._write(search)

    def _contradiction(self, search: Search, number: int, trial: str) -> RaysweepError:
        found = (self.trials.get(trial) or {}).get("status", "no such result")
        return RaysweepError(
            f"the log of {search.name} says how proposal {number} ended, and the store holds {found} for its trial "
            f"{trial or '(none)'}: they are not of one search. Restore the store, or delete searches/{search.name}.* "
            "to begin the search anew: what has been trained is not trained again."
        )

    @cached_property
    def line(self) -> str:
        """What all trials of these settings share."""
        return line_id(self.baseline)

    @property
    def is_waiting(self) -> bool:
        """Whether a trial is under way."""
        return bool(self.waiting)

    def next(self) -> TrialTask | None:
        """The next trial to train; none where there is none before one that is under way has ended, or ever.

        Raises:
            RaysweepError: the log or the store cannot be written.
        """
        for search in sorted(self.searches, key=lambda search: search.turn):
            while (proposal := search.asking.ask(search.asking.clock_s)) is not None:
                if (task := self._enter(search, proposal)) is not None:
                    return task
        return None

    def end(self, trial: str, status: str, error: str = "") -> None:
        """A trial has ended, as finished, diverged or failed: tell all who wait for it.

        Raises:
            RaysweepError: the log or the store cannot be written.
        """
        row = self.store.trial(trial) or {}
        self.trials[trial] = {**row, "status": status, "error": error or row.get("error")}
        self.ended[trial] = None
        for search, proposal in self.waiting.pop(trial, []):
            search.running -= 1
            self._tell(search, proposal, trial)
            self._write(search)

    def expected_left(self) -> int:
        """How many trials there are likely to be from now on, those under way counted."""
        return len(self.waiting) + sum(search.expected_left() for search in self.searches)

    def most_left(self) -> int:
        """How many more trials there may be, those under way counted."""
        budgets = [search.asking.budget.evaluations for search in self.searches]
        if None in budgets:
            return MANY
        return sum(search.expected_left() + len(search.asking.in_flight) for search in self.searches)

    def close(self) -> None:
        """Let others have the logs."""
        for search in self.searches:
            search.asking.close()

    def _enter(self, search: Search, proposal: Proposal[Any]) -> TrialTask | None:
        """Make a proposal known; its trial where it is to be trained now."""
        recipe = self._recipe(search, proposal)
        trial = trial_id(recipe)
        search.trials[proposal.number] = trial
        member = self._member(search, proposal)
        self.store.write_members([self._member_row(search, proposal, recipe, member)])
        if trial in self.ended:
            self._tell(search, proposal, trial)
            self._write(search)
            return None
        search.running += 1
        others = self.waiting.setdefault(trial, [])
        others.append((search, proposal))
        if len(others) > 1:
            return None
        self.members[trial] = member
        self.tasks[trial] = replace(
            self.template, trial=trial, recipe=recipe, study=member.study, variant=member.variant
        )
        return self.tasks[trial]

    def _recipe(self, search: Search, proposal: Proposal[Any]) -> Recipe:
        """That of the first equal architecture that any search of these settings has proposed."""
        made = self.space.recipe(self.baseline, proposal.architecture, proposal.fidelity)
        return self.recipes.setdefault((proposal.key, proposal.fidelity), made)

    def _member(self, search: Search, proposal: Proposal[Any]) -> Member:
        length = "" if proposal.fidelity is None else f", {proposal.fidelity:g} epochs"
        words = f"{proposal.architecture}{length}"
        return Member(self.space.study, search.variant(proposal.number), words, proposal.number, BASELINE, self.line)

    def _member_row(self, search: Search, proposal: Proposal[Any], recipe: Recipe, member: Member) -> dict[str, Any]:
        protocol = self.template.protocol
        changes = diff(recipe, find_protocol(protocol))
        return member.row(search.trials[proposal.number], recipe, changes, protocol) | {
            "assignment": canonical_json(self.space.assignment(proposal.architecture)),
            "search": search.name,
            "proposal": proposal.number,
            "key": proposal.key,
            "fidelity": proposal.fidelity,
        }

    def _tell(self, search: Search, proposal: Proposal[Any], trial: str) -> None:
        row = self.trials[trial]
        evaluation = evaluation_of(row, self._recipe(search, proposal))
        search.tell(proposal.number, proposal.issued_s, evaluation, cost_of(row))

    def _write(self, search: Search) -> None:
        """Put the evaluations of a search into the store, for whoever reads."""
        search.add_rows(self.trials, {"study": self.space.study, "line": self.line})
        self.store.write_evaluations(search.name, search.rows)
