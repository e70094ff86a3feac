from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import raysweep
from raysweep.errors import RaysweepError
from raysweep.request import Request
from raysweep.store.store import Store
from raysweep.verbs.entry import raysweep as command
from tests.analysis.conftest import fill


def call(*words: object) -> str:
    return CliRunner().invoke(command, [*map(str, words)], catch_exceptions=False).output


@pytest.fixture
def stores(tmp_path: Path) -> list[str]:
    """Two stores of one study, the second with one variant more."""
    found = [Store.open(str(tmp_path / name), create=True) for name in "ab"]
    for store, variants in zip(found, (("elu",), ("elu", "tanh")), strict=True):
        fill(store, Request(("activation",), "cifar10", variants=variants, seeds=2))
    return [store.uri for store in found]


def test_compare_prints_tables_json_and_csv(stores: list[str], tmp_path: Path) -> None:
    text = call("compare", *stores, "--csv", tmp_path / "gains.csv")
    assert "trials that have ended in both: 4" in text
    assert "only in b: 2" in text
    assert "activation on cifar10" in text
    rows = json.loads(call("compare", *stores, "--json"))
    assert [row["variant"] for row in rows["variants"]] == ["elu"]
    assert len(rows["only_b"]) == 2
    assert pd.read_csv(tmp_path / "gains.csv")["variant"].tolist() == ["elu"]


def test_a_live_report_of_a_sweep_that_is_over_is_written_once(stores: list[str], tmp_path: Path) -> None:
    printed = call("report", "all", "--live", "--store", stores[0], "--out", tmp_path / "out")
    assert Path(printed.strip()) == tmp_path / "out" / "report.html"
    assert "http-equiv" not in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(("--every", "5"), "--every 5 is for --live: add it"), (("--live", "--every", "0.01"), "at least 0.2 seconds")],
)
def test_every_belongs_to_live(words: tuple[str, ...], sentence: str, stores: list[str]) -> None:
    with pytest.raises(RaysweepError, match=sentence):
        call("report", "activation", "--store", stores[0], *words)


def test_a_notebook_gets_the_same_frames(stores: list[str]) -> None:
    frame = raysweep.gains("activation", store=stores[1])
    assert frame["variant"].tolist() == ["relu", "tanh", "elu"]
    assert frame["protocol"].unique().tolist() == ["cifar10"]
    assert {"gain", "gain_half", "p", "q", "verdict"} <= set(frame.columns)
    assert len(raysweep.gains(store=stores[1])) == 3
    assert raysweep.take_home(stores[0]).iloc[0]["study"] == "activation"
    assert len(raysweep.compare(*stores).variants) == 1
