from __future__ import annotations

import math
from dataclasses import replace

import pytest

from raysweep.analysis.load import Line
from raysweep.analysis.messages import (
    HOLDS,
    NOT_RUN,
    OPEN,
    REVERSED,
    UNCLAIMED,
    UNTESTABLE,
    messages,
    readable,
    take_home,
)
from raysweep.analysis.statistics.comparisons import comparisons, on_one_page
from raysweep.deciding.verdicts import Outcome
from raysweep.study import find_study


def with_gain(line: Line, points: float) -> Line:
    """The line with ELU so far above ReLU at every seed."""
    trials = line.trials.copy()
    relu = trials[trials["variant"] == "relu"].set_index("seed")["top1"].astype(float)
    elu = trials["variant"] == "elu"
    trials.loc[elu, "top1"] = (trials.loc[elu, "seed"].map(relu) + points / 100).to_numpy()
    return replace(line, trials=trials)


def test_every_comparison_is_in_the_shipped_studies() -> None:
    table = messages()
    assert table["message"].nunique() == len(table.drop_duplicates(["message", "note"])) == 11
    for place in table[table["study"] != ""].itertuples():
        study = find_study(place.study)
        assert study.variant(place.variant).name != study.variant(place.against).name


@pytest.mark.parametrize(("points", "verdict"), [(20.0, HOLDS), (-20.0, REVERSED), (0.1, None)])
def test_the_verdict_is_that_of_the_contrast(line: Line, points: float, verdict: str | None) -> None:
    one = with_gain(line, points)
    table, found = take_home([one]), comparisons(one)["elu"]
    row = table.iloc[0]
    assert row["verdict"] == (verdict or (UNTESTABLE if found.half > 1.7 else OPEN))
    assert (row["gain"], row["gain_half"], row["p"]) == (found.gain, found.half, found.p)
    assert row["published"] == pytest.approx(1.7)
    assert row["gain"] == pytest.approx(points)
    assert row["n"] == 3
    assert set(table["verdict"][1:]) == {NOT_RUN}
    assert len(table) == messages()["message"].nunique()


def test_a_recommendation_that_diverged_does_not_hold(line: Line) -> None:
    trials = with_gain(line, 20.0).trials.copy()
    trials.loc[(trials["variant"] == "elu") & (trials["seed"] == 0), ["status", "top1"]] = ["diverged", None]
    row = take_home([replace(line, trials=trials)]).iloc[0]
    assert row["verdict"] == Outcome.DID_NOT_TRAIN
    assert row["note"] == "elu: 1 of 3 did not train"
    assert row["n"] == 2


def test_one_seed_makes_no_claim(line: Line) -> None:
    one = replace(line, trials=line.trials[line.trials["seed"] == 0])
    row = take_home([one]).iloc[0]
    assert row["verdict"] not in (HOLDS, REVERSED, OPEN)
    assert math.isnan(row["p"])


def test_a_message_has_one_contrast_whatever_else_was_run(line: Line) -> None:
    near, far = with_gain(line, 2.0), with_gain(line, 8.0)
    ids = [f"other-{trial}" for trial in far.trials["trial"]]
    rows = take_home(on_one_page([near, replace(far, trials=far.trials.assign(trial=ids))]))
    assert rows["study"].notna().sum() == 1
    assert rows.iloc[0]["gain"] == pytest.approx(2.0)
    assert readable(rows)["recommendation"].is_unique


def test_a_small_published_difference_is_not_reversed(line: Line) -> None:
    normed = replace(with_gain(line, 20.0), study="bn_activation")
    (row,) = take_home([normed]).dropna(subset="study").to_dict("records")
    assert row["verdict"] == UNCLAIMED
    assert row["published"] == pytest.approx(0.1)


def test_nothing_tested_is_an_empty_table(line: Line) -> None:
    assert take_home([replace(line, study="another")]).empty
