"""A store as tidy frames: one line (a study under one set of settings) at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import pandas as pd

from raysweep.errors import RaysweepError, did_you_mean
from raysweep.identity import recipe_from_json
from raysweep.nas.history import History
from raysweep.patch import diff
from raysweep.protocols import PROTOCOLS, find_protocol
from raysweep.recipe import Recipe
from raysweep.store.schema import EVALUATIONS
from raysweep.store.store import Store

T = TypeVar("T")
FINISHED = "finished"
DIVERGED = "diverged"
STOPPED = "stopped"
WAITING = "waiting"
"""Status of a trial that is planned and has no row yet."""
LINE = ["study", "protocol", "line"]
"""Columns that tell lines apart."""
NOT_SETTINGS = frozenset({"seed", "data.digest", "data.train_images", "data.test_images"})
"""Fields that say which images and which repeat, not under what settings."""


@dataclass(frozen=True, eq=False)
class Line:
    """One study under one set of settings; equal to itself alone, so that what is computed of it can be kept."""

    study: str
    protocol: str
    line: str
    baseline: str
    trials: pd.DataFrame
    """One row a variant and seed: members joined with trial rows; `status` is `waiting` where it has not started, and
    `data_wait` the share of its time (0..1) that it waited for images."""
    epochs: pd.DataFrame
    """One row an epoch of a variant and seed, with `order`."""

    @cached_property
    def variants(self) -> list[str]:
        """Names in the study's order; the baseline is one of them."""
        ordered = self.trials.sort_values("order", kind="stable")["variant"]
        return list(dict.fromkeys([*ordered, self.baseline]))

    @property
    def shown(self) -> list[str]:
        """Those that a table has rows of: an architecture search has no baseline."""
        return [name for name in self.variants if name != self.baseline or not self.is_architecture_search]

    @property
    def is_search(self) -> bool:
        """Whether the variants are points of a search space, not of a list."""
        return bool(self.trials["assignment"].notna().any())

    @property
    def is_architecture_search(self) -> bool:
        """Whether the variants are proposals of `raysweep nas`: there is no baseline, and each is trained once."""
        return bool(self.trials["search"].notna().any())

    @cached_property
    def finished(self) -> pd.DataFrame:
        """Trials with a final accuracy."""
        return self.trials[(self.trials["status"] == FINISHED) & self.trials["top1"].notna()]

    @cached_property
    def baseline_recipe(self) -> Recipe:
        """The recipe of the baseline; where only other variants were asked for, of the first that trains longest."""
        rows = self.trials[self.trials["variant"] == self.baseline]
        # A length that a search did not choose is that of the settings.
        longest = self.trials.sort_values("fidelity", ascending=False, na_position="first", kind="stable")
        return recipe_from_json((rows if len(rows) else longest).iloc[0]["recipe"])

    def settings(self) -> dict[str, Any]:
        """What the baseline changes in its protocol, seed and data left out; of a search, what all proposals change."""
        protocol = find_protocol(self.protocol) if self.protocol in PROTOCOLS else Recipe()
        changes = diff(self.baseline_recipe, protocol)
        kept = {path: value for path, value in changes.items() if path not in NOT_SETTINGS}
        if not self.is_architecture_search:
            return kept
        others = [diff(recipe_from_json(text), protocol) for text in self.trials["recipe"].drop_duplicates()]
        return {path: value for path, value in kept.items() if all(own.get(path) == value for own in others)}

    def present(self, column: str) -> list[str]:
        """The distinct values of a column over the trials that have one."""
        # A whole number with gaps is a float in pandas.
        return sorted({str(value) for value in self.trials[column].dropna().convert_dtypes()})


def once_a_line(compute: Callable[[Line], T]) -> Callable[[Line], T]:
    """The same function, which computes once for a line and remembers it for as long as the line is."""
    known: WeakKeyDictionary[Line, T] = WeakKeyDictionary()

    @wraps(compute)
    def remembered(line: Line) -> T:
        if line not in known:
            known[line] = compute(line)
        return known[line]

    return remembered


ALL = "all"
"""In place of names of studies: every one that the store holds."""


def load_lines(store: Store, studies: Sequence[str]) -> list[Line]:
    """Every line of the studies, in the order of the studies; `all` stands for every study in the store.

    Raises:
        RaysweepError: the store holds no such study; names those it holds.
    """
    members = store.members().to_pandas()
    wanted = held_studies(members, studies, store.uri)
    kept = members[members["study"].isin(wanted)]
    return lines_of(kept, store.trials().to_pandas(), store.epochs(set(kept["trial"])).to_pandas(), wanted)


def load_searches(store: Store, study: str | None = None) -> pd.DataFrame:
    """What architecture searches have evaluated, of one study (`nas-nasnet`) or of all.

    One row an evaluation, in the order of completion within each search. The columns, which
    `raysweep.store.schema.EVALUATIONS` declares:

    - `search`: name of the search, one for each method, seed and settings; `study`, `line`: of its trials, so that
      searches of one line were made under the same settings and may be compared;
    - `method`: with the options that are not its defaults; `seed`: of the search;
    - `place`: in the order of completion, from 0; `number`: of the proposal, from 0;
    - `architecture`: its text; `key`: what equal ones share; `trial`: what was trained for it, None where weights are
      shared;
    - `fidelity`: epochs, NaN where the method does not choose them; where weights are shared the minibatches that it
      was scored on, infinite: all. Values of different ones are not comparable;
    - `status`: finished, diverged, out_of_memory or lost; `value`: top-1 (0..1) on images held out of the training
      split, NaN unless finished;
    - `cost_s`: of the training, 0 where `reused`: the result of an equal architecture of the same search was taken. A
      trial that another search had trained before is charged in full;
    - `clock_s`: when it ended, since the search began, as if the search had never been stopped and no other had shared
      its workers;
    - `params`, `macs`: of the network, one image forward; NaN where it was never built.
    """
    frame: pd.DataFrame = store.evaluations().to_pandas()
    return frame if study is None else frame[frame["study"] == study].reset_index(drop=True)


def searches_of(
    histories: Mapping[tuple[str, int], History[Any]], study: str, optimum: float = math.nan
) -> pd.DataFrame:
    """What `raysweep.nas.search` has returned, by method and seed, in the columns of `load_searches` and `optimum`.

    Values must be shares (0..1), as the optimum: the best value of the space where it is known, as it is of a table.
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
    """The studies once each, `all` replaced by every one that has members.

    Raises:
        RaysweepError: one has none, or the store is empty.
    """
    known = sorted(set(members["study"]))
    wanted = list(dict.fromkeys(name for study in studies for name in (known if study == ALL else [study])))
    for study in wanted or [ALL]:
        if study not in known:
            raise _no_study(study, known, uri)
    return wanted


def lines_of(members: pd.DataFrame, trials: pd.DataFrame, epochs: pd.DataFrame, studies: Sequence[str]) -> list[Line]:
    """The lines of these members, in the order of the studies, from the tables of a store."""
    joined = _with_trials(members, trials)
    own = joined[[*LINE, "trial", "variant", "seed", "order"]]
    epochs = own.merge(epochs, on="trial")
    # Grouped once: each line looking for its own among all would take time in proportion to their product.
    of_line = dict(list(epochs.groupby(LINE)))
    lines = [_line(key, rows, of_line.get(key, epochs.iloc[:0])) for key, rows in joined.groupby(LINE)]
    place = {study: number for number, study in enumerate(studies)}
    return sorted(lines, key=lambda line: place[line.study])


def _no_study(study: str, known: Sequence[str], uri: str) -> RaysweepError:
    held = did_you_mean(study, known) or f" It holds {', '.join(known)}."
    nothing = f" It is empty: `raysweep run {study} --store {uri}` fills it."
    return RaysweepError(f"no results of study {study!r} in {uri}.{held if known else nothing}")


def _with_trials(members: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    own = trials.drop(columns=["seed", "protocol", "recipe"])
    joined = members.merge(own, on="trial", how="left")
    joined["data_wait"] = (joined["data_wait_s"].astype(float) / joined["wall_s"].astype(float)).clip(upper=1)
    return joined.assign(status=joined["status"].fillna(WAITING), epochs=joined["epochs"].fillna(0).astype(int))


def _line(key: Any, rows: pd.DataFrame, epochs: pd.DataFrame) -> Line:
    study, protocol, line = key
    ordered = epochs.drop(columns=LINE).sort_values(["order", "seed", "epoch"], ignore_index=True)
    return Line(study, protocol, line, str(rows.iloc[0]["baseline"]), rows.reset_index(drop=True), ordered)
