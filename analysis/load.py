"""A store as tidy frames, one per line: a study under one set of settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import pandas as pd

from raysweep.analysis.contrasts import Contrasts
from raysweep.analysis.last_test import LastTest
from raysweep.deciding.verdicts import guessing
from raysweep.errors import RaysweepError, did_you_mean
from raysweep.identity import recipe_from_json
from raysweep.nas.history import History
from raysweep.planning import changes, shared_and_own
from raysweep.protocols import PROTOCOLS, find_protocol
from raysweep.recipe import Recipe
from raysweep.safe import command
from raysweep.store.asked_questions import AskedQuestion, asked_questions
from raysweep.store.current import settle
from raysweep.store.schema import EVALUATIONS
from raysweep.store.store import Store
from raysweep.study import stored_name

T = TypeVar("T")
FINISHED = "finished"
DIVERGED = "diverged"
STOPPED = "stopped"
WAITING = "waiting"
"""The status of a trial that is planned and has no row yet."""
LINE = ["study", "protocol", "line"]
"""Columns that identify a line."""


@dataclass(frozen=True, eq=False)
class Line:
    """One study under one set of settings; compares by identity, so that results computed from it can be cached."""

    study: str
    protocol: str
    line: str
    baseline: str
    trials: pd.DataFrame
    """One row per variant and seed: members joined with trial rows. `status` is `waiting` for trials that have not
    started; `data_wait` is the share (0..1) of its time that a trial waited for images."""
    epochs: pd.DataFrame
    """One row per epoch of a variant and seed, with `order`."""
    contrasts: Contrasts | None = None
    """The contrasts of everything that is shown together with this line; None if it is shown alone."""
    asked: tuple[AskedQuestion, ...] = ()
    """The questions of `raysweep decide` about these trials, the one with most results first."""
    last_test: LastTest | None = None
    """The last test of its best trial whose weights were kept, see `raysweep.analysis.confusion`."""

    @cached_property
    def variants(self) -> list[str]:
        """Names of the variants in the study's order, including the baseline."""
        ordered = self.trials.sort_values("order", kind="stable")["variant"]
        return list(dict.fromkeys([*ordered, self.baseline]))

    @property
    def shown(self) -> list[str]:
        """The variants with a row in tables: all of them, without the nominal baseline of an architecture search."""
        return [name for name in self.variants if name != self.baseline or not self.is_architecture_search]

    @property
    def is_search(self) -> bool:
        """Whether the variants are points of a search space."""
        return bool(self.trials["assignment"].notna().any())

    @property
    def is_architecture_search(self) -> bool:
        """Whether the variants are proposals of `raysweep nas`, which have no baseline and are trained once each."""
        return bool(self.trials["search"].notna().any())

    @cached_property
    def finished(self) -> pd.DataFrame:
        """The trials with a final accuracy."""
        return self.trials[(self.trials["status"] == FINISHED) & self.trials["top1"].notna()]

    @cached_property
    def trained(self) -> pd.DataFrame:
        """The finished trials whose accuracy is above that of `guessing`."""
        return self.finished[self.finished["top1"].astype(float) > self._least[self.finished.index]]

    @cached_property
    def untrained(self) -> pd.DataFrame:
        """The trials that ended without training: diverged, or finished with the accuracy of guessing."""
        guess = (self.trials["status"] == FINISHED) & (self.trials["top1"].astype(float) <= self._least)
        return self.trials[guess | (self.trials["status"] == DIVERGED)]

    @cached_property
    def _least(self) -> pd.Series:
        least = {text: guessing(recipe_from_json(text).network.outputs) for text in set(self.trials["recipe"])}
        return self.trials["recipe"].map(least).astype(float)

    @cached_property
    def baseline_recipe(self) -> Recipe:
        """The recipe of the baseline, or of the first of the longest trials if the baseline was not run."""
        rows = self.trials[self.trials["variant"] == self.baseline]
        # Without a fidelity the length is that of the settings, so such trials come first.
        longest = self.trials.sort_values("fidelity", ascending=False, na_position="first", kind="stable")
        return recipe_from_json((rows if len(rows) else longest).iloc[0]["recipe"])

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """Variant -> its recipe, in the study's order; only variants with trials."""
        rows = self.trials.sort_values("order", kind="stable").drop_duplicates("variant")
        return {str(name): recipe_from_json(text) for name, text in zip(rows["variant"], rows["recipe"], strict=True)}

    def settings(self) -> dict[str, Any]:
        """The settings of the baseline, or those that all trials share, as far as they differ from the protocol."""
        return self._differences[0]

    def changes(self) -> dict[str, dict[str, Any]]:
        """Variant -> dotted fields in which it differs from the baseline, or from `settings` if that was not run."""
        return self._differences[1]

    @cached_property
    def _differences(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        protocol = find_protocol(self.protocol) if self.protocol in PROTOCOLS else Recipe()
        if self.is_architecture_search or self.baseline not in self.recipes:
            return shared_and_own({name: changes(recipe, protocol) for name, recipe in self.recipes.items()})
        baseline = self.recipes[self.baseline]
        own = {name: changes(recipe, baseline) for name, recipe in self.recipes.items()}
        return changes(baseline, protocol), own

    def present(self, column: str) -> list[str]:
        """The distinct values of a column, of the trials that have one, sorted."""
        # A whole number with gaps is a float in pandas.
        return sorted({str(value) for value in self.trials[column].dropna().convert_dtypes()})


def once_a_line(compute: Callable[[Line], T]) -> Callable[[Line], T]:
    """Cache a function of a line: it is computed once per line and kept as long as the line exists."""
    known: WeakKeyDictionary[Line, T] = WeakKeyDictionary()

    @wraps(compute)
    def remembered(line: Line) -> T:
        if line not in known:
            known[line] = compute(line)
        return known[line]

    return remembered


ALL = "all"
"""Used instead of names of studies: every study in the store."""


def load_lines(store: Store, studies: Sequence[str]) -> list[Line]:
    """Every line of the studies, in the order of the studies; `all` stands for every study in the store.

    Raises:
        RaysweepError: the store has no such study; the message lists those it has.
    """
    questions = asked_questions(store.files, store.note)  # first, so that their results are among the trials
    members = store.members().to_pandas()
    shown = held_studies(members, [stored_name(study) for study in studies], store.uri)
    kept = members[members["study"].isin(shown)]
    trials, epochs = store.trials().to_pandas(), store.epochs(set(kept["trial"])).to_pandas()
    return with_questions(lines_of(kept, trials, epochs, shown, store.note), questions)


def with_questions(lines: Iterable[Line], questions: Iterable[AskedQuestion]) -> list[Line]:
    """The lines with the questions that were asked about their trials; of each study, those with a question first."""
    most_first = sorted(questions, key=lambda one: one.runs, reverse=True)
    found = [replace(line, asked=tuple(one for one in most_first if _is_about(one, line))) for line in lines]
    place = {study: number for number, study in enumerate(dict.fromkeys(line.study for line in found))}
    return sorted(found, key=lambda line: (place[line.study], not line.asked))


def _is_about(question: AskedQuestion, line: Line) -> bool:
    """Whether a question is about a line: the results of its baseline are there, or it has none and these settings."""
    if (question.study, question.baseline) != (line.study, line.baseline):
        return False
    own = set(question.trials[question.baseline])
    return own <= set(line.trials["trial"]) if own else question.line == line.line


def load_searches(store: Store, study: str | None = None) -> pd.DataFrame:
    """The evaluations of architecture searches, of one study (`nas-nasnet`) or of all.

    One row per evaluation, in the order of completion within each search. The columns, which
    `raysweep.store.schema.EVALUATIONS` declares:

    - `search`: name of the search, one for each method, seed and settings; `study`, `line`: those of its trials;
      searches of the same line ran under the same settings and can be compared;
    - `method`: with the options that differ from its defaults; `seed`: of the search;
    - `place`: in the order of completion, from 0; `number`: of the proposal, from 0;
    - `architecture`: its text; `key`: the same for equal architectures; `trial`: the trial that trained it, None with
      shared weights;
    - `fidelity`: epochs, NaN if the method does not choose them; with shared weights the number of minibatches it was
      scored on, infinite for all. Values of different fidelities are not comparable;
    - `status`: finished, diverged, out_of_memory or lost; `value`: top-1 (0..1) on images held out of the training
      split, NaN unless finished;
    - `cost_s`: seconds of training, 0 if `reused`, that is if the same search had evaluated an equal architecture
      before. A trial that another search has trained is charged in full;
    - `clock_s`: seconds from the start of the search to the end of the evaluation, as if the search had never been
      interrupted and had shared its workers with no other;
    - `params`, `macs`: of the network, one image forward; NaN if it was never built.
    """
    frame: pd.DataFrame = store.evaluations().to_pandas()
    return frame if study is None else frame[frame["study"] == study].reset_index(drop=True)


def searches_of(
    histories: Mapping[tuple[str, int], History[Any]], study: str, optimum: float = math.nan
) -> pd.DataFrame:
    """Results of `raysweep.nas.search`, by method and seed, in the columns of `load_searches` and `optimum`.

    Values and `optimum` are shares (0..1); `optimum` is the best value of the space if it is known, as in a benchmark.
    """
    rows = [
        vars(one)
        | {"search": f"{study}-{method}-s{seed}", "study": study, "method": method, "seed": seed, "place": place}
        | {"architecture": str(one.architecture), "value": one.value if one.status == FINISHED else math.nan}
        for (method, seed), history in histories.items()
        for place, one in enumerate(history.evaluations)
    ]
    frame = pd.DataFrame(rows).reindex(columns=EVALUATIONS.names)
    return frame.assign(line="", fidelity=frame["fidelity"].astype(float), optimum=optimum)


def held_studies(members: pd.DataFrame, studies: Sequence[str], uri: str) -> list[str]:
    """The studies, once each, with `all` replaced by every study that has members.

    Raises:
        RaysweepError: a study has no members, or the store is empty.
    """
    known = sorted(set(members["study"]))
    shown = list(dict.fromkeys(name for study in studies for name in (known if study == ALL else [study])))
    if not known:
        run = command("raysweep", "run", "STUDY", "--store", uri)
        raise RaysweepError(f"no results in {uri}: the store is empty. Fill it with `{run}`.")
    for study in shown:
        if study not in known:
            hint = did_you_mean(study, known) or f" It has {', '.join(known)}."
            raise RaysweepError(f"no results of study {study!r} in {uri}.{hint}")
    return shown


def lines_of(
    members: pd.DataFrame,
    trials: pd.DataFrame,
    epochs: pd.DataFrame,
    studies: Sequence[str],
    note: Callable[[str], None],
) -> list[Line]:
    """The lines of these members, in the order of the studies, from the tables of a store.

    Each variant has one trial for each seed; `note` receives a sentence for each variant of which others are left out.
    """
    joined = _with_trials(_settled(members, trials, note), trials)
    own = joined[[*LINE, "trial", "variant", "seed", "order"]]
    epochs = own.merge(epochs, on="trial")
    # Grouped once: filtering all epochs for each line would take time proportional to lines times epochs.
    of_line = dict(list(epochs.groupby(LINE)))
    lines = [_line(key, rows, of_line.get(key, epochs.iloc[:0])) for key, rows in joined.groupby(LINE)]
    place = {study: number for number, study in enumerate(studies)}
    return sorted(lines, key=lambda line: place[line.study])


def _settled(members: pd.DataFrame, trials: pd.DataFrame, note: Callable[[str], None]) -> pd.DataFrame:
    known = trials.dropna(subset="updated_at")
    updated = dict(zip(known["trial"], known["updated_at"], strict=True))
    rows: list[Any] = members.to_dict("records")
    kept = settle(rows, updated, note)
    return members.iloc[[place for place, _ in kept]].assign(variant=[name for _, name in kept])


def _with_trials(members: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    own = trials.drop(columns=["seed", "protocol", "recipe"])
    joined = members.merge(own, on="trial", how="left")
    joined["data_wait"] = (joined["data_wait_s"].astype(float) / joined["wall_s"].astype(float)).clip(upper=1)
    return joined.assign(status=joined["status"].fillna(WAITING), epochs=joined["epochs"].fillna(0).astype(int))


def _line(key: Any, rows: pd.DataFrame, epochs: pd.DataFrame) -> Line:
    study, protocol, line = key
    ordered = epochs.drop(columns=LINE).sort_values(["order", "seed", "epoch"], ignore_index=True)
    return Line(study, protocol, line, str(rows.iloc[0]["baseline"]), rows.reset_index(drop=True), ordered)
