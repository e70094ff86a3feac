from __future__ import annotations

import re
from pathlib import Path

import pytest

from raysweep.analysis.load import load_lines
from raysweep.analysis.messages import messages
from raysweep.analysis.page.gain_tables import summary
from raysweep.analysis.page.results_page import write_results
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
    for words in ("`training.epochs=4`", "3 seeds", "elu, *relu*, tanh", "apl5 (3 of 3, ", "apl5, seed 0", "../store"):
        assert words in text, words
    assert all(message in text for message in messages()["message"])
    assert str(tmp_path) not in text


def test_every_number_of_the_table_is_that_of_the_summary(store: Store, tmp_path: Path) -> None:
    fill(store, Request(("activation",), "cifar10", {"training.epochs": 4.0}, seeds=3, variants=("elu", "tanh")))
    write_results(store.uri, tmp_path / "RESULTS.md", tmp_path / "figures")
    (line,) = load_lines(store, ["activation"])
    text = (tmp_path / "RESULTS.md").read_text()
    for row in summary(line).itertuples():
        cells = next(part.split(" | ") for part in text.splitlines() if part.startswith(f"| {row.variant} | 3 |"))
        assert cells[2] == f"{row.top1:.1f} ± {row.top1_half:.1f}"
        assert row.variant == "relu" or cells[3] == f"{row.gain:+.1f} ± {row.gain_half:.1f}".replace("-", "−")


def test_an_empty_store_and_an_unwritable_page_are_errors(store: Store, tmp_path: Path) -> None:
    with pytest.raises(RaysweepError, match=re.escape(store.uri)):
        write_results(store.uri, tmp_path / "RESULTS.md", tmp_path / "docs")
    fill(store, Request(("activation",), "demo", variants=("elu",)))
    page = tmp_path / "no" / "RESULTS.md"
    with pytest.raises(RaysweepError, match=re.escape(str(page))):
        write_results(store.uri, page, tmp_path / "docs")
