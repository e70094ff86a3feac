"""Importance of the parameters of a search for reaching its best results: PED-ANOVA, as Optuna computes it.

Watanabe, Bansal & Hutter, "PED-ANOVA: Efficiently quantifying hyperparameter importance in arbitrary subspaces", IJCAI
2023: a parameter is important if its values in the best tenth of the trials differ from its values in all trials. A
diverged trial counts as accuracy 0, one that a scheduler stopped with its last accuracy.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from raysweep.analysis.load import DIVERGED, FINISHED, STOPPED, Line
from raysweep.analysis.metrics import METRICS

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

LEAST_TRIALS = 30
"""Fewest trials: the best tenth of fewer would be two."""
SHUFFLES = 19
"""Number of shuffles, of which the largest value is the 95 % bound of chance."""
Value = str | float


def importance(line: Line) -> pd.DataFrame:
    """One row per parameter, most important first; empty for a study or a search of fewer than `LEAST_TRIALS` trials.

    Columns: `parameter`; `importance`, shares that sum to 1; `chance`, the largest importance after shuffling the
    accuracies `SHUFFLES` times (an importance that is not above it may be chance); `best`, the value in the best trial;
    `trials`, the number of trials that have the parameter.
    """
    rows = _measured(line) if line.is_search else line.trials.iloc[:0]
    points: list[dict[str, Value]] = [json.loads(text) for text in rows["assignment"]]
    domains = _domains(points)
    if len(points) < LEAST_TRIALS or len(domains) < 2:
        return pd.DataFrame()
    tops = rows["value"].to_numpy(dtype=float)
    found, rng = _variances(points, tops, domains), np.random.default_rng(0)
    shuffled = [_variances(points, rng.permutation(tops), domains) for _ in range(SHUFFLES)]
    total = sum(found.values()) or 1.0
    best = points[int(np.argmax(tops))]
    return pd.DataFrame(
        {
            "parameter": list(found),
            "importance": [value / total for value in found.values()],
            "chance": [max(values[name] for values in shuffled) / total for name in found],
            "best": [str(best.get(name, METRICS["p"].text(math.nan))) for name in found],
            "trials": [sum(name in point for point in points) for name in found],
        }
    )


def _measured(line: Line) -> pd.DataFrame:
    """The trials that have ended with an accuracy, one row each, with `value`."""
    ended = line.trials[line.trials["status"].isin([FINISHED, DIVERGED, STOPPED])]
    values = ended["top1"].astype(float).mask(ended["status"] == DIVERGED, 0.0)
    rows = ended.assign(value=values).drop_duplicates("trial")
    return rows[rows["value"].notna() & rows["assignment"].notna()]


def _domains(points: Sequence[Mapping[str, Value]]) -> dict[str, BaseDistribution]:
    """Parameter -> the distribution of its observed values, without parameters that never changed."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    found: dict[str, BaseDistribution] = {}
    for name in dict.fromkeys(name for point in points for name in point):
        values = {point[name] for point in points if name in point}
        numbers = [value for value in values if isinstance(value, int | float)]
        if len(numbers) == len(values) > 1:
            low, high = min(numbers), max(numbers)
            found[name] = FloatDistribution(low, high, log=low > 0)  # all numbers of a space are multiples
        elif len(values) > 1:
            found[name] = CategoricalDistribution(sorted(map(str, values)))
    return found


def _variances(
    points: Sequence[Mapping[str, Value]], tops: Any, domains: Mapping[str, BaseDistribution]
) -> dict[str, float]:
    from optuna.exceptions import ExperimentalWarning
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    study = _study(points, tops, domains)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        evaluator = PedAnovaImportanceEvaluator()
        found: dict[str, float] = get_param_importances(study, evaluator=evaluator, normalize=False)
    return {name: found.get(name, 0.0) for name in sorted(domains, key=lambda name: -found.get(name, 0.0))}


def _study(points: Sequence[Mapping[str, Value]], tops: Any, domains: Mapping[str, BaseDistribution]) -> Study:
    import optuna

    logged = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    optuna.logging.set_verbosity(logged)
    for point, top1 in zip(points, tops, strict=True):
        own = {name: domains[name] for name in point if name in domains}
        params = {name: str(point[name]) if hasattr(own[name], "choices") else float(point[name]) for name in own}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=own, value=float(top1)))
    return study


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The table as text with headings."""
    return pd.DataFrame(
        {
            "parameter": frame["parameter"],
            "importance": frame["importance"].map("{:.2f}".format),
            "largest by chance": frame["chance"].map("{:.2f}".format),
            "trials": frame["trials"].astype(str),
            "value in the best trial": frame["best"],
        }
    )
