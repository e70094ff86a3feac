from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import numpy as np
import pandas as pd
import pytest

from raysweep.analysis.load import Line
from raysweep.analysis.statistics.importance import LEAST_TRIALS, importance, readable


def a_search(line: Line, trials: int, diverging: str = "") -> Line:
    """A search in which the network counts, the rate a little, and the third parameter not at all."""
    rng, noise = Random(0), np.random.default_rng(0)
    rows = []
    for number in range(trials):
        point = {"network": rng.choice("abc"), "rate": round(10 ** rng.uniform(-1, 1), 4), "idle": rng.choice("xyz")}
        if point["network"] == "a":
            point["only_a"] = rng.choice("pq")
        diverged = point["network"] == diverging
        top1 = {"a": 0.2, "b": 0.3, "c": 0.5}[str(point["network"])] - 0.02 * abs(np.log10(float(point["rate"])))
        rows.append(
            {
                "trial": f"t{number}",
                "variant": f"t{number}",
                "status": "diverged" if diverged else "finished",
                "assignment": json.dumps(point),
                "top1": None if diverged else top1 + noise.normal(0, 0.01),
            }
        )
    return replace(line, trials=pd.DataFrame(rows).assign(seed=0, order=0))


def test_what_counts_comes_first_and_what_does_not_is_within_chance(line: Line) -> None:
    found = importance(a_search(line, 300)).set_index("parameter")
    assert found.index[0] == "network"
    assert found["importance"].sum() == pytest.approx(1)
    assert found.loc["network", "importance"] > found.loc["network", "chance"]
    assert found.loc["idle", "importance"] <= found.loc["idle", "chance"]
    assert found.loc["network", "best"] == "c"
    assert found.loc["only_a", "trials"] < 150
    assert len(readable(found.reset_index())) == 4


def test_trials_that_diverged_count_as_the_worst(line: Line) -> None:
    assert importance(a_search(line, 200, diverging="c")).iloc[0]["best"] == "b"


def test_few_trials_and_studies_have_none(line: Line) -> None:
    assert importance(a_search(line, LEAST_TRIALS - 1)).empty
    assert importance(line).empty


def test_the_same_search_gives_the_same_numbers(line: Line) -> None:
    search = a_search(line, 60)
    pd.testing.assert_frame_equal(importance(search), importance(search))
