from __future__ import annotations

from dataclasses import replace

import pytest

from raysweep.analysis.load import Line, load_lines
from raysweep.analysis.published import published, published_study
from raysweep.errors import RaysweepError
from raysweep.request import Request
from raysweep.store.store import Store
from tests.analysis.conftest import fill
from tests.analysis.made_up import made


def test_every_planned_trial_has_a_row(line: Line) -> None:
    assert len(line.trials) == 3 * 26
    assert line.variants[:2] == ["relu", "relu_lrn"]
    status = line.trials.groupby("variant")["status"].unique()
    assert list(status["selu"]) == ["waiting"]
    assert list(status["oplu"]) == ["running"]
    assert set(line.epochs["variant"]) == set(line.variants) - {"selu", "apl5"}


def test_settings_that_differ_are_two_lines(store: Store) -> None:
    for epochs in (4.0, 9.0):
        fill(store, Request(("activation",), "cifar10", {"training.epochs": epochs}, variants=("elu",)))
    lines = load_lines(store, ["activation"])
    assert sorted(line.settings()["training.epochs"] for line in lines) == [4.0, 9.0]
    assert all(len(line.settings()) == 1 for line in lines)
    assert [line.line for line in lines] == sorted(line.line for line in lines)
    assert set(lines[0].trials["trial"]).isdisjoint(lines[1].trials["trial"])


def test_variants_differ_from_the_baseline_of_their_study(store: Store) -> None:
    line = made(store, "bn_activation", seeds=1, variants=("elu", "prelu"))
    assert line.settings()["network.norm"] == "batch"
    assert line.changes() == {"relu": {}} | {name: {"network.activation": name} for name in ("elu", "prelu")}


def test_without_the_baseline_variants_differ_from_what_they_share(store: Store) -> None:
    line = made(store, "bn_activation", seeds=1, variants=("elu", "prelu"))
    others = replace(line, trials=line.trials[line.trials["variant"] != "relu"].reset_index(drop=True))
    assert others.settings() == line.settings()
    assert others.changes() == {name: {"network.activation": name} for name in ("elu", "prelu")}


def test_one_trial_can_belong_to_two_variants(store: Store) -> None:
    (planned, *_) = fill(store, Request(("activation",), "demo", variants=("elu",)))
    rows = store.members().to_pylist()
    twin = next(row for row in rows if row["trial"] == planned.trial) | {"variant": "twin", "order": 99}
    store.write_members([twin])
    (line,) = load_lines(store, ["activation"])
    assert line.variants == ["relu", "elu", "twin"]
    assert set(line.epochs["variant"]) == {"relu", "elu", "twin"}


def test_a_study_that_is_not_there(full_store: Store, store: Store) -> None:
    with pytest.raises(RaysweepError, match="'pooling'.*activation"):
        load_lines(full_store, ["pooling"])
    with pytest.raises(RaysweepError) as error:
        load_lines(store, ["pooling"])
    assert f"--store {store.uri}" in str(error.value)


def test_published_numbers_are_the_papers() -> None:
    assert len(published()) == 372
    assert published().columns.tolist() == [
        *("study", "variant", "dataset", "network", "top1", "logloss", "source", "note", "ours")
    ]
    paper = published_study("activation", "relu")
    assert len(paper) == 24
    assert paper["published_top1"][["relu", "maxout_same_width", "linear_nopool"]].tolist() == [0.471, 0.517, 0.035]
    assert paper["published_gain"]["elu"] == pytest.approx(0.017)
    assert published_study("no such study", "relu").empty


def test_a_number_of_another_network_does_not_replace_a_missing_one() -> None:
    paper = published_study("batchnorm", "none")["published_top1"]
    assert paper["after"] == 0.499  # CaffeNet's, not GoogLeNet's 0.596
    assert paper.index.is_unique
