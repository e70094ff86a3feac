"""Searches side by side: each proposal is a trial in the store, and each trial is trained once for all searches.

`next` returns trials and `end` takes their results; who trains them does not matter here. The state of a search has
three parts: its log has proposals and results in order, the members map proposals to trials, and the trials have the
results. A search resumes from all three, which must not contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from raysweep.errors import RaysweepError
from raysweep.identity import canonical_json, line_id, recipe_from_json, trial_id
from raysweep.nas.ask_tell import Proposal
from raysweep.nas_trials.charging import agrees, cost_of, evaluation_of
from raysweep.nas_trials.one_search import Key, Search, variant
from raysweep.nas_trials.trial_spaces import TrialSpace, example_of
from raysweep.patch import diff
from raysweep.planning import Member
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.space import BASELINE
from raysweep.train.task import DONE, TrialTask

if TYPE_CHECKING:
    from raysweep.store.store import Store

MANY = 1_000_000
"""The bound on the number of trials if the budget is not in evaluations: more than any search has."""


@dataclass
class Searches:
    """The searches of one space under the same settings. Not thread-safe."""

    searches: Sequence[Search]
    space: TrialSpace
    baseline: Recipe
    """The settings shared by all trials."""
    store: Store
    template: TrialTask
    """The task shared by all trials, except for the recipe."""
    tasks: dict[str, TrialTask] = field(default_factory=dict)
    """Trials handed out by this driver, by id."""
    members: dict[str, Member] = field(default_factory=dict)
    """Trial -> the first proposal it belongs to."""
    trials: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Trial -> its row in the store when it was last read."""
    ended: dict[str, None] = field(default_factory=dict)
    """Finished trials in the order they ended: a search that proposes one gets the result immediately."""
    recipes: dict[Key, Recipe] = field(default_factory=dict)
    """Recipes proposed before in this space: equal architectures written differently are one trial."""
    waiting: dict[str, list[tuple[Search, Proposal[Any]]]] = field(default_factory=dict)
    """Trial in progress -> the proposals that wait for it."""

    def resume(self) -> None:
        """Load the state from the store, and report results that a killed driver could not report.

        Raises:
            RaysweepError: a log contradicts the trials; all logs are then closed.
        """
        try:
            self._resume()
        except BaseException:
            self.close()
            raise

    def _resume(self) -> None:
        # In the order they ended, in which they would have been reported.
        stored = self.store.trials().sort_by("updated_at").to_pylist()
        self.trials = {row["trial"]: row for row in stored}
        self.ended = {row["trial"]: None for row in stored if row["status"] in DONE}
        self._read_members(self.store.members().to_pylist())
        for search in self.searches:
            for evaluated in search.asking.evaluations:
                trial = search.trials.get(evaluated.number, "")
                if not evaluated.reused and not agrees(self.trials.get(trial), evaluated):
                    raise self._contradiction(search, evaluated.number, trial)
            self._report_late(search)

    def _read_members(self, rows: Iterable[Mapping[str, Any]]) -> None:
        own = {search.name: search for search in self.searches}
        for row in rows:
            if row["search"] and (row["study"], row["line"]) == (self.space.study, self.line):
                self.recipes.setdefault((row["key"], row["fidelity"]), recipe_from_json(row["recipe"]))
                if row["search"] in own:
                    own[row["search"]].trials[row["proposal"]] = row["trial"]

    def _report_late(self, search: Search) -> None:
        order = {trial: place for place, trial in enumerate(self.ended)}
        open_ = {one.number: one for one in search.asking.in_flight if search.trials.get(one.number) in order}
        for number in sorted(open_, key=lambda number: order[search.trials[number]]):
            self._tell(search, open_[number], search.trials[number])
        self._write(search)

    def _contradiction(self, search: Search, number: int, trial: str) -> RaysweepError:
        found = (self.trials.get(trial) or {}).get("status", "no such result")
        return RaysweepError(
            f"the log of {search.name} has a result for proposal {number}, but the store has {found} for its trial "
            f"{trial or '(none)'}: log and store do not belong together. Restore the store, or delete "
            f"searches/{search.name}.* to restart the search; finished trials are not trained again."
        )

    @cached_property
    def line(self) -> str:
        """The id shared by all trials of these settings."""
        return line_id(self.baseline)

    @property
    def example(self) -> Recipe:
        """The recipe of a typical trial."""
        return example_of(self.space, self.baseline)

    def next(self) -> TrialTask | None:
        """The next trial to train. None if it depends on a trial in progress, or if all searches are over.

        Raises:
            RaysweepError: the log or the store cannot be written.
        """
        for search in sorted(self.searches, key=lambda search: search.turn):
            while (proposal := search.asking.ask(search.asking.clock_s)) is not None:
                if (task := self._enter(search, proposal)) is not None:
                    return task
        return None

    def in_turn(self) -> Iterator[TrialTask | None]:
        """The trials to train one at a time; None if the next one depends on a trial in progress."""
        while (task := self.next()) or self.waiting:
            yield task

    def end(self, trial: str, status: str, error: str = "") -> None:
        """Report the end of a trial (finished, diverged or failed) to every proposal that waits for it.

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

    def expected_left(self, ended: Set[str] = frozenset()) -> int:
        """Estimated number of trials from now on, including those in progress but not those in `ended`.

        On Ray the events of a trial's end come before Tune's report, until which searches wait for it.
        """
        return len(self.waiting.keys() - ended) + sum(search.expected_left() for search in self.searches)

    def most_left(self) -> int:
        """Largest possible number of trials from now on, including those in progress."""
        budgets = [search.asking.budget.evaluations for search in self.searches]
        if None in budgets:
            return MANY
        return sum(search.expected_left() + len(search.asking.in_flight) for search in self.searches)

    def close(self) -> None:
        """Release the logs for other processes."""
        for search in self.searches:
            search.asking.close()

    def _enter(self, search: Search, proposal: Proposal[Any]) -> TrialTask | None:
        """Register a proposal. Returns its trial if that must be trained now."""
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
        """The recipe of the first equal architecture proposed by any search of these settings."""
        made = self.space.recipe(self.baseline, proposal.architecture, proposal.fidelity)
        return self.recipes.setdefault((proposal.key, proposal.fidelity), made)

    def _member(self, search: Search, proposal: Proposal[Any]) -> Member:
        length = "" if proposal.fidelity is None else f", {proposal.fidelity:g} epochs"
        words = f"{proposal.architecture}{length}"
        return Member(
            self.space.study, variant(search.stem, proposal.number), words, proposal.number, BASELINE, self.line
        )

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
        """Write the evaluations of a search to the store, for readers."""
        search.add_rows(self.trials, {"study": self.space.study, "line": self.line})
        self.store.write_evaluations(search.name, search.rows)
