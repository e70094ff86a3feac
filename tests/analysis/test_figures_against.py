from __future__ import annotations

import math

import pandas as pd
import pytest

from raysweep.analysis.captions import caption
from raysweep.analysis.figures import _style as style
from raysweep.analysis.figures import figures, quantities, render
from raysweep.analysis.figures._against import PAPER, Against
from raysweep.analysis.load import Line
from raysweep.analysis.statistics.comparisons import top1
from raysweep.store.store import Store
from tests.analysis.made_up import made
from tests.analysis.test_figures import overlaps

DENSEST = {
    "batch_size": "batch_size_tanh",
    "constrained_time": "constrained_time",
    "dataset_size": "dataset_size_noscale",
    "depth": "depth",
    "image_size": "image_size_networks",
    "label_noise": "label_noise",
    "width": "width",
}


def ours(frame: pd.DataFrame, variant: str) -> pd.Series:
    return frame[(frame["source"] == "ours") & (frame["variant"] == variant)].iloc[0]


def test_number_of_images_ours_and_published(store: Store) -> None:
    line = made(
        store, "dataset_size", top1=lambda variant, seed: {"n200k": 0.3, "n1200k": 0.5}.get(variant, 0.4) + 0.02 * seed
    )
    frame = figures()["dataset_size"].data(line)
    row = ours(frame, "n200k")
    assert row["x"] == round(9_469 * 200_000 / 1_281_167)
    assert row["mean"] == pytest.approx(31)
    assert row["half"] == top1(line)["n200k"].half
    assert row["seeds"] == pytest.approx([30, 32])
    paper = frame[frame["source"] == PAPER].set_index("variant")
    assert paper.loc["n200k", "x"] == 200_000
    assert paper.loc["n200k", "mean"] == pytest.approx(30.5)
    assert set(paper.index) == set(line.variants)


def test_noise_that_was_not_published_has_no_published_point(store: Store) -> None:
    frame = figures()["label_noise"].data(made(store, "label_noise", seeds=1))
    assert frame.groupby("source")["x"].apply(list).to_dict() == {
        "ours": [0, 5, 10, 15, 32, 50],
        PAPER: [0, 5, 10, 15, 50],
    }
    assert frame["half"].isna().all()


def test_the_baseline_batch_is_on_both_lines(store: Store) -> None:
    frame = figures()["batch_size"].data(made(store, "batch_size_tanh", seeds=1))
    of = frame[frame["source"] == "ours"].groupby("series")["x"].apply(list).to_dict()
    assert of == {
        quantities.CONSTANT: [8, 16, 32, 64],
        quantities.SCALED: [8, 16, 32, 64],
        quantities.OTHER: [8, 16, 32],
    }
    assert not ((frame["source"] == PAPER) & (frame["variant"] == "bs64_lr0_04")).any()  # did not converge


def test_width_by_its_three_quantities(store: Store) -> None:
    line = made(store, "width", seeds=1, x4="failed", x2="diverged")
    frame = figures()["width"].data(line)
    names = [quantity.label for quantity in (quantities.WIDTH, quantities.MACS, quantities.SPEED)]
    at = {
        row["quantity"]: row["x"] for _, row in frame[frame["variant"] == "x0_25"].iterrows() if row["source"] == "ours"
    }
    assert at == {names[0]: 0.25, names[1]: line.trials.set_index("variant").loc["x0_25", "macs"], names[2]: 900}
    assert ours(frame, "x5_657")["series"] == "as published"
    assert ours(frame, "x5_657_clean")["series"] == ""
    assert ours(frame, "x4")["crossed"] == "1 failed"
    assert math.isnan(ours(frame, "x4")["mean"])
    paper = frame[frame["source"] == PAPER]
    assert set(paper["quantity"]) == set(names[:2])  # no speed was published
    assert "x4 (1 failed)" in figures()["width"].words(frame)
    assert "x2 (1 diverged)" in figures()["width"].words(frame)


def test_networks_are_lines_of_their_own(store: Store) -> None:
    frame = figures()["image_size"].data(
        made(store, "image_size_networks", seeds=1, variants=("vgg16_s64", "vgg16_s180"))
    )
    assert frame[frame["series"] == "vgg16"]["x"].tolist() == [64, 180]


def test_depth_has_the_published_networks(store: Store) -> None:
    frame = figures()["depth"].data(made(store, "depth", "cifar10", seeds=1))
    assert ours(frame, "resnet101")["x"] == 101
    paper = frame[frame["source"] == PAPER].set_index("variant")
    assert paper.loc["resnet34", "mean"] == pytest.approx(73.314)
    assert "plain34" not in paper.index
    assert paper.loc["vgg19", "series"] == "vgg"


def test_costs_are_relative_to_model_a(store: Store) -> None:
    line = made(store, "constrained_time", seeds=1)
    frame = figures()["constrained_time"].data(line)
    by_cost = frame[frame["quantity"] == quantities.COST.label].set_index(["source", "variant"])["x"]
    macs = line.trials.set_index("variant")["macs"]
    assert by_cost["ours", "model_j"] == pytest.approx(macs["model_j"] / macs["model_a"])
    assert by_cost["ours", "model_a"] == by_cost[PAPER, "model_a"] == 1
    assert by_cost[PAPER, "model_i"] == 0.93
    assert frame.set_index(["source", "variant"]).loc[(PAPER, "model_j"), "mean"].iloc[0] == pytest.approx(67.1)


@pytest.mark.parametrize(
    ("name", "study"),
    [
        pytest.param(name, study, marks=[] if name in ("width", "constrained_time") else pytest.mark.long)
        for name, study in DENSEST.items()
    ],
)
def test_nothing_overlaps(store: Store, name: str, study: str) -> None:
    line = made(store, study)
    figure = figures()[name]
    assert overlaps(render(figure, figure.data(line), caption(line))) == []


@pytest.mark.long
@pytest.mark.parametrize("seeds", [1, 6])
@pytest.mark.parametrize(("name", "study"), DENSEST.items())
def test_any_number_of_seeds_and_ends(store: Store, name: str, study: str, seeds: int) -> None:
    whole = made(store, study, seeds=seeds)
    first, *others = (variant for variant in whole.variants if variant != whole.baseline)
    ends = {first: "diverged"} | ({others[0]: "failed", others[1]: "running"} if len(others) > 1 else {})
    broken = made(store, study, settings={"training.epochs": 3.0}, seeds=seeds, **ends)
    figure = figures()[name]
    frame = figure.data(broken)
    assert overlaps(render(figure, frame, caption(broken))) == []
    assert set(frame.loc[frame["source"] == "ours", "variant"]) == set(broken.variants)


@pytest.mark.parametrize("name", DENSEST)
def test_other_studies_have_no_such_figure(line: Line, name: str) -> None:
    assert figures()[name].data(line).empty


def test_a_line_without_any_result_has_no_such_figure(store: Store) -> None:
    line = made(store, "label_noise", seeds=1, variants=("p05",), p00="waiting", p05="diverged")
    assert figures()["label_noise"].data(line).empty


def test_a_part_of_the_study_is_drawn(store: Store) -> None:
    line = made(store, "label_noise", seeds=1, variants=("p05",), p05="diverged")
    frame = figures()["label_noise"].data(line)
    assert overlaps(render(figures()["label_noise"], frame, caption(line))) == []


def test_names_are_moved_as_little_as_possible() -> None:
    assert style.spread([0.5, 0.1, 0.9], 0.1) == pytest.approx([0.5, 0.1, 0.9])
    assert style.spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])
    assert style.spread([], 0.1) == []


def test_every_figure_of_this_kind_is_tested_here() -> None:
    found = {entry.name for entry in figures() if isinstance(getattr(entry.make.draw, "__self__", None), Against)}
    assert found == set(DENSEST)
