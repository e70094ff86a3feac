from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

import raysweep
from raysweep.analysis.page.report import write_report
from raysweep.request import Request
from raysweep.store.following import Following
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
    assert re.search(r"ended in both: 4\b", text)
    assert re.search(r"only in b: 2\b", text)
    assert re.search(r"^elu +2 +2 ", text, re.MULTILINE)
    rows = json.loads(call("compare", *stores, "--json"))
    assert [row["variant"] for row in rows["variants"]] == ["elu"]
    assert len(rows["only_b"]) == 2
    assert pd.read_csv(tmp_path / "gains.csv")["variant"].tolist() == ["elu"]


def test_a_live_report_of_a_sweep_that_is_over_is_written_once(stores: list[str], tmp_path: Path) -> None:
    printed = call("report", "all", "--live", "--store", stores[0], "--out", tmp_path / "out")
    assert Path(printed.strip()) == tmp_path / "out" / "report.html"
    assert "http-equiv" not in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "values"),
    [(("--every", "5"), "--every 5.*--live"), (("--live", "--every", "0.01"), r"0\.01.*0\.2")],
)
def test_every_belongs_to_live(words: tuple[str, ...], values: str, stores: list[str]) -> None:
    done = CliRunner().invoke(command, ["report", "activation", "--store", stores[0], *words])
    assert done.exit_code
    assert re.search(values, f"{done.output}{done.exception}")


def test_a_report_is_one_call_live_or_not(stores: list[str], tmp_path: Path) -> None:
    pages: list[Path] = []
    plain = write_report(stores[0], ["all"], tmp_path / "plain", ready=pages.append)
    live = write_report(stores[0], ["all"], tmp_path / "live", refreshes=once, ready=pages.append)
    assert pages == [plain, live]
    names = [sorted(file.name for file in page.parent.iterdir()) for page in pages]
    assert names[0] == names[1] != []
    assert "http-equiv" not in live.read_text(), "the last update does not reload"


def once(following: Following, store: Store, every_s: float) -> Iterator[tuple[None, list[Any]]]:
    """A single refresh of a store."""
    yield None, following.refresh()


def test_a_notebook_gets_the_same_frames(stores: list[str]) -> None:
    frame = raysweep.gains("activation", store=stores[1])
    assert frame["variant"].tolist() == ["relu", "tanh", "elu"]
    assert frame["protocol"].unique().tolist() == ["cifar10"]
    assert {"gain", "gain_half", "p", "verdict", "best", "more_seeds"} <= set(frame.columns)
    assert len(raysweep.gains(store=stores[1])) == 3
    assert raysweep.take_home(stores[0]).iloc[0]["study"] == "activation"
    assert len(raysweep.compare(*stores).variants) == 1


def test_results_of_two_protocols_and_networks_are_told_apart(stores: list[str]) -> None:
    for protocol, settings in (("imagenet128", {}), ("cifar10", {"network.name": "resnet20_cifar"})):
        fill(Store.open(stores[0]), Request(("activation",), protocol, settings, variants=("elu",)))
    text = call("results", "activation", "--store", stores[0])
    headings = [line for line in text.splitlines() if line.startswith("protocol ")]
    assert len(headings) == 3
    assert [" ".join(words.split()[1:2]) for words in headings] == ["cifar10,", "cifar10,", "imagenet128,"]
    assert sum("network.name=resnet20_cifar" in line for line in headings) == 1
    assert text.count("trial  ") == 3
