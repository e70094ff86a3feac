from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text

from raysweep.analysis.figures import curves, figures, gains, render
from raysweep.analysis.load import Line, load_lines
from raysweep.request import Request
from raysweep.store.store import Store
from tests.analysis.conftest import fill

CAPTION = "Study activation, protocol cifar10 on made up images, 4 epochs, cpu. n = 3 seeds."


def overlaps(canvas: Canvas) -> list[tuple[str, str]]:
    """Pairs of visible texts whose boxes overlap by more than a pixel, and texts that leave the picture."""
    canvas.draw_without_rendering()
    hidden = _hidden(canvas)
    shown = [t for t in canvas.findobj(Text) if t.get_visible() and t.get_text().strip() and id(t) not in hidden]
    boxes = [(text.get_text(), text.get_window_extent().padded(-0.5)) for text in shown]
    pairs = [(one, two) for (one, a), (two, b) in combinations(boxes, 2) if a.overlaps(b)]
    page = canvas.bbox.padded(1)
    return pairs + [(t, "the edge") for t, b in boxes if b.x0 < 0 or b.y0 < 0 or b.x1 > page.x1 or b.y1 > page.y1]


def _hidden(canvas: Canvas) -> set[int]:
    """Labels of ticks beyond an axis' ends: they exist and are not drawn."""
    hidden = set()
    for axis in [axis for ax in canvas.axes for axis in (ax.xaxis, ax.yaxis)]:
        low, high = sorted(axis.get_view_interval())
        margin = 1e-9 * (high - low)
        beyond = [tick for tick in axis.get_major_ticks() if not low - margin <= tick.get_loc() <= high + margin]
        hidden |= {id(label) for tick in beyond for label in (tick.label1, tick.label2)}
    return hidden


@pytest.fixture(scope="module")
def pictures(line: Line) -> dict[str, Canvas]:
    """Every figure of 26 variants."""
    frames = {entry.name: entry.make.data(line) for entry in figures()}
    return {name: render(figures()[name], frame, CAPTION) for name, frame in frames.items() if len(frame)}


def test_gains_data_is_tidy_and_drops_nothing(line: Line) -> None:
    frame = gains.data(line)
    assert sorted(frame["variant"]) == sorted(line.variants)
    measured = frame["gain"].dropna().tolist()
    assert measured == sorted(measured, reverse=True)
    by = frame.set_index("variant")
    assert by.loc["elu", "published"] == pytest.approx(1.7)
    assert np.mean(by.loc["elu", "seeds"]) == pytest.approx(by.loc["elu", "gain"])
    assert by["note"][["arcsinh", "apl5", "selu", "oplu", "elu"]].tolist() == [
        *("3 diverged", "3 failed", "3 waiting", "3 running", "")
    ]


def test_gains_draws_what_the_frame_says(line: Line, pictures: dict[str, Canvas]) -> None:
    frame = gains.data(line)
    ax = pictures["gains"].axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == frame["variant"].tolist()
    assert [label.get_text() for label in ax.texts if label.get_text() == "3 diverged"]
    marks = {(round(float(x), 6), m.get_marker()) for m in ax.lines for x in np.ravel(m.get_xdata())}
    for row in frame.itertuples():
        inside = ax.get_xlim()[0] <= row.gain <= ax.get_xlim()[1]
        assert math.isnan(row.gain) or row.baseline or not inside or (round(row.gain, 6), "o") in marks
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()][-1] == "published"


def test_far_gains_do_not_squeeze_the_others(line: Line, pictures: dict[str, Canvas]) -> None:
    frame = gains.data(line)
    low, high = gains.limits(frame)
    assert frame["published"].min() < low  # linear_nopool
    assert frame["gain"].dropna().between(low, high).all()
    assert low < 0 < high
    assert "−43.6" in [text.get_text() for text in pictures["gains"].axes[0].texts]


def test_limits_without_any_gain(line: Line) -> None:
    nothing = gains.data(line).assign(gain=np.nan, half=np.nan, published=np.nan)
    nothing["seeds"] = [[]] * len(nothing)
    low, high = gains.limits(nothing)
    assert low < 0 < high


@pytest.mark.parametrize("metric", ["top1", "train_loss"])
def test_curves_data_is_tidy_and_drops_nothing(line: Line, metric: str) -> None:
    frame = curves.data(metric, line)
    assert set(frame["variant"]) == set(line.variants)
    assert frame["variant"].iloc[0] == "relu"
    assert len(frame[frame["variant"] == "oplu"]) == 2
    assert frame.loc[frame["variant"] == "selu", "mean"].isna().all()
    own = line.epochs[(line.epochs["variant"] == "elu") & (line.epochs["epoch"] == 4)][metric]
    scale = 100 if metric == "top1" else 1
    drawn = frame[(frame["variant"] == "elu") & (frame["epoch"] == 4)].iloc[0]
    assert drawn[["low", "mean", "high"]].tolist() == pytest.approx([scale * f() for f in (own.min, own.mean, own.max)])
    ranks = gains.data(line).dropna(subset="gain")["variant"].tolist()
    panels = list(dict.fromkeys(frame["variant"]))
    assert [name for name in panels if name in ranks and name != "relu"] == [name for name in ranks if name != "relu"]


@pytest.mark.parametrize("name", ["gains", "curves_top1", "curves_train_loss"])
def test_every_figure_is_legible_with_26_variants(pictures: dict[str, Canvas], name: str) -> None:
    assert overlaps(pictures[name]) == []


def test_curves_panels(line: Line, pictures: dict[str, Canvas]) -> None:
    frame, canvas = curves.data("top1", line), pictures["curves_top1"]
    assert [ax.get_title(loc="left") for ax in canvas.axes] == list(dict.fromkeys(frame["variant"]))
    elu = next(ax for ax in canvas.axes if ax.get_title(loc="left") == "elu")
    behind, own = elu.lines
    assert len(behind.get_xdata()) == len(own.get_xdata()) == 4
    assert len({ax.get_ylim() for ax in canvas.axes}) == 1


def test_of_many_variants_the_best_have_a_panel(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "MOST_PANELS", 5)
    shown = list(dict.fromkeys(curves.data("top1", line)["variant"]))
    assert shown == curves.ranking(line)[:5]
    assert shown[0] == line.baseline


def test_a_loss_on_its_way_to_infinity_leaves_the_others_legible(line: Line) -> None:
    frame = curves.data("train_loss", line)
    frame = frame[frame["variant"].isin(["relu", "elu", "tanh", "arcsinh"])]
    wild = frame["mean"].where(frame["variant"] != "arcsinh", 1e6)
    canvas = render(figures()["curves_train_loss"], frame.assign(mean=wild, high=wild), CAPTION)
    assert 2.3 < canvas.axes[0].get_ylim()[1] < 3


@pytest.mark.parametrize("count", [1, 3])
def test_few_variants_are_legible_too(store: Store, count: int) -> None:
    fill(store, Request(("activation",), "demo", variants=("elu", "tanh")[: count - 1] or ("relu",)))
    (line,) = load_lines(store, ["activation"])
    frames = {entry.name: entry.make.data(line) for entry in figures()}
    for name, frame in frames.items():
        assert frame.empty or overlaps(render(figures()[name], frame, CAPTION)) == [], name


def test_long_and_mathematical_names_are_drawn_as_they_are(line: Line) -> None:
    frame: pd.DataFrame = gains.data(line).head(3)
    names = ["$\\no_such_macro{", "a_name_of_forty_letters_that_goes_on_and_on", "_x$y$"]
    canvas = render(figures()["gains"], frame.assign(variant=names), "costs $1 and $\\more")
    assert overlaps(canvas) == []
    assert [label.get_text() for label in canvas.axes[0].get_yticklabels()] == names


def test_of_a_large_search_the_best_have_a_row_and_the_baseline(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gains.data(line)
    monkeypatch.setattr(gains, "MOST_ROWS", 3)
    frame = gains.data(line)
    assert frame["variant"].tolist()[:3] == whole["variant"].tolist()[:3]
    assert len(frame) == 3 + (line.baseline not in whole["variant"].tolist()[:3])
    assert frame["baseline"].sum() == 1
