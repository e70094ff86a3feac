from __future__ import annotations

import re
from pathlib import Path

import pytest

from analysis.page.results_page import write_results
from raysweep.errors import RaysweepError
from raysweep.request import Request
from raysweep.store.store import Store
from tests.analysis.conftest import fill


def test_the_page_says_what_the_store_says_and_the_same_store_the_same_bytes(store: Store, tmp_path: Path) -> None:
    request = Request(("activation",), "cifar10", {"training.epochs": 4.0}, seeds=3, variants=("elu", "tanh", "apl5"))
    fill(store, request, apl5="diverged")
    pages = [tmp_path / name / "RESULTS.md" for name in ("one", "two")]
    for page in pages:
        page.parent.mkdir()
        write_results(store.uri, page, page.parent / "docs" / "results")
    text = pages[0].read_text()
    assert text == pages[1].read_text()
    (picture,) = re.findall(r"!\[.*\]\((.*)\)", text)
    assert (pages[0].parent / picture).read_bytes() == (pages[1].parent / picture).read_bytes()
    for words in (
        *("training.epochs = 4.0", "3 seeds of the baseline", "Kendall's tau", "Published order: elu, *relu*, tanh."),
        *("Diverged, so not called better: apl5 (3 of 3)", "apl5, seed 0", "ELU where there is no batch norm"),
        *("../store", "not run: ReLU where there is batch"),
    ):
        assert words in text, words
    assert str(tmp_path) not in text


def test_an_empty_store_and_a_page_that_cannot_be_written(store: Store, tmp_path: Path) -> None:
    with pytest.raises(RaysweepError, match="no results"):
        write_results(store.uri, tmp_path / "RESULTS.md", tmp_path / "docs")
    fill(store, Request(("activation",), "demo", variants=("elu",)))
    with pytest.raises(RaysweepError, match="cannot write"):
        write_results(store.uri, tmp_path / "no" / "RESULTS.md", tmp_path / "docs")
