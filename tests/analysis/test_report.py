from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis.figures import STYLE, curves, figures, gains
from analysis.load import Line, load_lines
from analysis.report import headline, write_report
from raysweep.errors import RaysweepError
from raysweep.request import Request
from raysweep.results.store import Store
from tests.analysis.conftest import fill


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    plt.switch_backend("agg")
    with plt.style.context(STYLE):
        yield
    plt.close("all")


def ticks(axis: Axis) -> list[Text]:
    """Labels that are drawn: matplotlib keeps stale ones outside the view."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high] + [
        tick.label2 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high
    ]


def overlaps(canvas: Figure) -> list[tuple[str, str]]:
    """Pairs of visible texts whose boxes overlap."""
    renderer = canvas.canvas.get_renderer()  # type: ignore[attr-defined]
    canvas.draw(renderer)
    texts = list(canvas.texts)
    for ax in (ax for ax in canvas.axes if ax.get_visible()):
        legend = ax.get_legend()
        texts += [*ticks(ax.xaxis), *ticks(ax.yaxis), *ax.texts, ax.xaxis.label, ax.title, ax._left_title]  # type: ignore[attr-defined]
        texts += legend.get_texts() if legend else []
    shown = [text for text in texts if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent(renderer).padded(-0.5)) for text in shown]
    return [(one, two) for i, (one, box) in enumerate(boxes) for two, other in boxes[i + 1 :] if box.overlaps(other)]


def test_gains_data_is_tidy_and_drops_nothing(line: Line) -> None:
    frame = gains.data(line)
    assert set(frame["variant"]) == set(line.variants)
    measured = frame["gain"].dropna().tolist()
    assert measured == sorted(measured, reverse=True)
    by = frame.set_index("variant")
    assert by.loc["elu", "published"] == pytest.approx(1.7)
    assert len(by.loc["elu", "seeds"]) == 3
    assert (
        by["note"].to_dict().items()
        >= {"arcsinh": "3 diverged", "apl5": "3 failed", "selu": "3 waiting", "oplu": "3 running", "elu": ""}.items()
    )


def test_gains_are_legible(line: Line) -> None:
    canvas = gains.draw(gains.data(line), "a caption")
    ax = canvas.axes[0]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[0].startswith(gains.data(line)["variant"][0])
    assert "relu  (baseline)" in labels
    assert len(labels) == 26
    assert overlaps(canvas) == []


def test_curves_show_every_variant_with_epochs(line: Line) -> None:
    frame = curves.data(line)
    assert "selu" not in set(frame["variant"])
    assert len(frame[frame["variant"] == "oplu"]) == 2
    elu = frame[(frame["variant"] == "elu") & (frame["epoch"] == 4)].iloc[0]
    assert elu["top1_min"] <= elu["top1_mean"] <= elu["top1_max"]
    canvas = curves.draw(frame, "a caption")
    titles = [ax.get_title(loc="left") for ax in canvas.axes if ax.get_title(loc="left")]
    assert titles == list(dict.fromkeys(frame["variant"]))
    assert overlaps(canvas) == []


@pytest.mark.parametrize("count", [1, 3])
def test_few_variants_are_legible_too(tmp_path: Path, count: int) -> None:
    store = Store.open(str(tmp_path / "s"), create=True)
    fill(store, Request(("activation",), "demo", variants=("elu", "tanh")[: count - 1] or ("relu",)))
    (line,) = load_lines(store, ["activation"])
    for entry in figures():
        assert overlaps(entry.make.draw(entry.make.data(line), "a caption")) == []


def test_the_page_is_self_contained_and_escaped(store: Store, tmp_path: Path) -> None:
    page = write_report(store.uri, ["activation"], tmp_path / "out")
    text = page.read_text()
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:|//)|@import|url\(""", text)
    assert text.count('src="data:image/png;base64,') == 2
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    for words in ("diverged in epoch 3", "waiting, 0 epochs done", "running, 2 epochs done", "Which non-linearity?"):
        assert words in text
    assert "training.epochs" in text
    names = {path.suffix for path in (tmp_path / "out").iterdir()}
    assert names == {".html", ".svg", ".png", ".csv", ".md"}


def test_the_same_results_give_the_same_figures(store: Store, tmp_path: Path) -> None:
    for out in ("a", "b"):
        write_report(store.uri, ["activation"], tmp_path / out)
    for one in (tmp_path / "a").glob("*.svg"):
        assert one.read_bytes() == (tmp_path / "b" / one.name).read_bytes()


def test_the_headline_claims_no_more_than_the_intervals_allow(line: Line, tmp_path: Path) -> None:
    said = headline(line)
    assert "Worse: " in said
    assert "linear_nopool" in said
    assert "Not distinguishable from the baseline: " in said
    single = Store.open(str(tmp_path / "single"), create=True)
    fill(single, Request(("activation",), "cifar10"))
    assert headline(load_lines(single, ["activation"])[0]).startswith("One seed: no claim is made.")
    empty = Store.open(str(tmp_path / "empty"), create=True)
    fill(empty, Request(("activation",), "cifar10", variants=("elu",)), relu="waiting", elu="running")
    assert "nothing can be compared" in headline(load_lines(empty, ["activation"])[0])


def test_a_report_of_nothing_finished(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "s"), create=True)
    fill(store, Request(("activation",), "cifar10", variants=("elu",)), relu="waiting", elu="waiting")
    assert "waiting, 0 epochs done" in write_report(store.uri, ["activation"], tmp_path / "out").read_text()


def test_a_folder_that_cannot_be_written(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RaysweepError, match="cannot write the report"):
        write_report(store.uri, ["activation"], tmp_path / "file")


def test_analysis_loads_neither_torch_nor_ray() -> None:
    code = (
        "import sys, analysis.report; from analysis.figures import figures; figures();"
        "sys.exit(bool({'torch', 'ray'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
