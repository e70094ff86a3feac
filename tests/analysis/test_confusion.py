"""Counts of class and prediction of the best kept trial: its table, its figure, and both on a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raysweep.analysis.confusion import MOST_CLASSES, per_class, readable, with_tests, words
from raysweep.analysis.figures import figures, render
from raysweep.analysis.last_test import LastTest
from raysweep.analysis.load import Line, load_lines
from raysweep.analysis.page.report import write_report
from raysweep.request import Request
from raysweep.store.store import Store
from tests.analysis.conftest import SCRIPT, fill

MATRIX = np.array([[8, 2, 0], [1, 9, 0], [3, 3, 4]])
"""Rows are classes, columns predictions."""


def made_up(matrix: np.ndarray, classes: tuple[str, ...] = ()) -> LastTest:
    label, predicted = np.nonzero(matrix)
    counts = pd.DataFrame({"label": label, "predicted": predicted, "images": matrix[label, predicted]})
    return LastTest("0" * 12, "elu", 1, np.trace(matrix) / matrix.sum(), classes, counts)


def test_accuracies_and_confusions_are_those_of_the_matrix() -> None:
    table = per_class(made_up(MATRIX, ("cat", "dog", "owl")))
    assert table["class"].tolist() == ["cat", "dog", "owl"]
    assert table["right"].tolist() == pytest.approx([0.8, 0.9, 0.4])
    assert table["taken_for"].tolist() == ["dog", "cat", "cat"]  # of equal numbers, the first class
    assert table["share"].tolist() == pytest.approx([0.2, 0.1, 0.3])
    assert (table["right"] @ table["images"]) / table["images"].sum() == pytest.approx(21 / 30)


def test_outputs_without_a_name_have_their_number() -> None:
    table = per_class(made_up(np.array([[1, 0, 4], [0, 5, 0]]), ("cat", "dog")))
    assert table["taken_for"].tolist() == ["output 2", ""]


def test_of_many_classes_the_worst_are_shown() -> None:
    rng = np.random.default_rng(0)
    found = made_up(np.diag(np.full(50, 20)) + rng.integers(0, 3, (50, 50)))
    table = per_class(found)
    shown = readable(table)
    assert len(shown) == MOST_CLASSES
    assert shown["class"].iloc[0] == table.loc[table["right"].idxmin(), "class"]
    assert "50" in words(found)


@pytest.mark.parametrize(("classes", "rows"), [(3, 8), (30, 20)])
def test_a_figure_shows_the_matrix_or_the_most_confused_pairs(classes: int, rows: int, line: Line) -> None:
    rng = np.random.default_rng(0)
    matrix = MATRIX if classes == 3 else np.diag(np.full(classes, 20)) + rng.integers(0, 3, (classes, classes))
    figure = figures()["confusion"]
    frame = figure.data(replace(line, last_test=made_up(matrix)))
    assert len(frame) == min(rows, np.count_nonzero(matrix))
    if classes == 30:
        shares = matrix / matrix.sum(axis=1, keepdims=True)
        assert frame["share"].iloc[0] == pytest.approx((shares - np.diag(np.diag(shares))).max())
        assert frame["share"].is_monotonic_decreasing
        assert (frame["label"] != frame["predicted"]).all()
    assert render(figure, frame, "caption").axes
    assert figure.data(line).empty


def test_a_page_shows_the_best_of_the_kept_trials(store: Store, tmp_path: Path) -> None:
    plan = fill(store, Request(("activation",), "cifar10", variants=("elu",), seeds=2))
    tops = {planned.trial: (store.trial(planned.trial) or {})["top1"] for planned in plan}
    kept = sorted(tops, key=lambda trial: tops[trial])[:3]  # the best one of all was not kept
    for trial in kept:
        store.write_confusion(trial, [{"label": 0, "predicted": number, "images": 1} for number in range(2)])
    (line,) = with_tests(store, load_lines(store, ["activation"]))
    assert line.last_test is not None
    assert line.last_test.trial == kept[-1]
    page = write_report(store.uri, ["activation"], tmp_path / "out").read_text()
    assert kept[-1] in page
    (table,) = (tmp_path / "out").glob("*-classes.csv")
    assert pd.read_csv(table)["right"].tolist() == [0.5]
    assert len(list((tmp_path / "out").glob("*-confusion.png"))) == 1


def test_names_of_classes_are_no_markup() -> None:
    assert (
        readable(per_class(made_up(MATRIX, (SCRIPT, "b", "c"))))["class"].tolist()[0] == SCRIPT
    )  # escaped by the page


def test_a_store_without_counts_has_none(full_store: Store, line: Line) -> None:
    assert with_tests(full_store, [line]) == [line]
