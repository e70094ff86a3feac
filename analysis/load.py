"""A store as tidy frames: one line (a study under one set of settings) at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from raysweep.errors import RaysweepError, did_you_mean
from raysweep.identity import recipe_from_json
from raysweep.patch import diff
from raysweep.protocols import PROTOCOLS, find_protocol
from raysweep.recipe import Recipe
from raysweep.results.store import Store


@dataclass(frozen=True)
class Line:
    """One study under one set of settings."""

    study: str
    protocol: str
    line: str
    baseline: str
    trials: pd.DataFrame
    """One row a trial: members joined with trial rows; `status` is `waiting` where it has not started."""
    epochs: pd.DataFrame
    """One row an epoch, with `variant` and `seed`."""

    @property
    def variants(self) -> list[str]:
        """Names in the study's order."""
        ordered = self.trials.sort_values("order")
        return list(dict.fromkeys(ordered["variant"]))

    @property
    def finished(self) -> pd.DataFrame:
        """Trials with a final accuracy."""
        return self.trials[(self.trials["status"] == "finished") & self.trials["top1"].notna()]

    @property
    def baseline_recipe(self) -> Recipe:
        """The recipe of the baseline."""
        rows = self.trials[self.trials["variant"] == self.baseline]
        return recipe_from_json(rows.iloc[0]["recipe"])

    def settings(self) -> dict[str, Any]:
        """What the baseline changes in its protocol, seed and data left out."""
        protocol = find_protocol(self.protocol) if self.protocol in PROTOCOLS else Recipe()
        changes = diff(self.baseline_recipe, protocol)
        hidden = {"seed", "data.digest", "data.train_images", "data.test_images"}
        return {path: value for path, value in changes.items() if path not in hidden}

    def present(self, column: str) -> list[str]:
        """The distinct values of a column over the trials that have one."""
        return sorted({str(value) for value in self.trials[column].dropna()})


def load_lines(store: Store, studies: Sequence[str]) -> list[Line]:
    """Every line of the studies: by study in the order given, then by protocol and id.

    Raises:
        RaysweepError: the store holds no such study; names those it holds.
    """
    members = store.members().to_pandas()
    known = sorted(set(members["study"]))
    for study in studies:
        if study not in known:
            raise RaysweepError(f"no results of study {study!r} in {store.uri}.{did_you_mean(study, known)}")
    kept = members[members["study"].isin(studies)]
    joined = _with_trials(kept, store.trials().to_pandas())
    epochs = store.epochs(kept["trial"]).to_pandas()
    lines = [_line(key, rows, epochs) for key, rows in joined.groupby(["study", "protocol", "line"])]
    return sorted(lines, key=lambda line: studies.index(line.study))


def _with_trials(members: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    own = trials.drop(columns=["seed", "protocol", "recipe"])
    joined = members.merge(own, on="trial", how="left")
    return joined.assign(status=joined["status"].fillna("waiting"), epochs=joined["epochs"].fillna(0).astype(int))


def _line(key: Any, rows: pd.DataFrame, epochs: pd.DataFrame) -> Line:
    study, protocol, line = key
    own = rows[["trial", "variant", "seed", "order"]].drop_duplicates("trial")
    mine = own.merge(epochs, on="trial").sort_values(["order", "seed", "epoch"])
    return Line(study, protocol, line, str(rows.iloc[0]["baseline"]), rows.reset_index(drop=True), mine)
