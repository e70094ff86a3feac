from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raysweep.analysis.captions import caption
from raysweep.analysis.figures import (
    colorspace_table,
    complexity,
    contact_sheet,
    figures,
    init_matrix,
    rate_curves,
    render,
    training_curves,
    waterfall,
)
from raysweep.analysis.load import Line
from raysweep.data.preprocess import PREPROCESSINGS
from raysweep.optim.schedules import learning_rate
from raysweep.store.store import Store
from raysweep.study import find_study
from tests.analysis.made_up import made
from tests.analysis.test_figures import overlaps

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "curves.csv.gz"
DENSEST = {
    "schedules": ("lr_policy", {"one_cycle": "diverged", "exp": "failed", "cosine": "waiting"}),
    "training_curves": ("activation", {"relu_lrn": "diverged", "prelu": "failed"}),
    "colorspace_table": ("learned_colorspace", {"tanh_10_3": "diverged"}),
    "preprocessing": ("colorspace", {}),
    "waterfall": ("combined", {"add4_spp3": "diverged", "only_elu": "failed"}),
    "init_matrix": ("init", {"gaussian_tanh": "diverged", "he_relu": "waiting"}),
}


def test_schedules_are_those_that_training_follows(store: Store) -> None:
    line = made(store, "lr_policy", variants=("linear_cosine", "linear_160k"), linear_160k="diverged")
    frame = rate_curves.data(line)
    assert list(dict.fromkeys(frame["variant"])) == ["step", "linear_cosine", "linear_160k"]
    recipe = find_study("lr_policy").variant("linear_cosine").apply(line.baseline_recipe)
    rates = frame[(frame["variant"] == "linear_cosine") & (frame["curve"] == rate_curves.RATE)]
    last = recipe.length.iterations
    row = rates.iloc[len(rates) // 3]
    assert row["mean"] == learning_rate(recipe.schedule, recipe.solver.lr, int(row["iteration"]), last)
    assert rates["iteration"].iloc[[0, -1]].tolist() == [0, last - 1]
    tops = frame[(frame["variant"] == "step") & (frame["curve"] == rate_curves.TOP1)]
    own = line.epochs[(line.epochs["variant"] == "step") & (line.epochs["epoch"] == 2)]
    second = tops[tops["iteration"] == own["iteration"].iloc[0]].iloc[0]
    assert second[["low", "mean", "high"]].tolist() == pytest.approx(
        [100 * f() for f in (own["top1"].min, own["top1"].mean, own["top1"].max)]
    )
    assert frame.loc[frame["variant"] == "linear_160k", "note"].unique().tolist() == ["2 diverged"]


def test_published_curves_are_the_reference() -> None:
    if not REFERENCE.is_file():
        pytest.skip("no reference on this machine")
    pd.testing.assert_frame_equal(training_curves.published_curves(), pd.read_csv(REFERENCE))


def test_curves_of_both_are_against_the_share_of_the_training(store: Store) -> None:
    line = made(store, "activation", variants=("prelu", "elu"))
    frame = training_curves.data(line)
    assert list(dict.fromkeys(frame["variant"])) == ["relu", "prelu"]  # the log of elu was not published
    paper = frame[(frame["source"] == training_curves.PAPER) & (frame["variant"] == "relu")]
    assert paper["share"].iloc[-1] == pytest.approx(291_000 / 320_000)
    assert paper["mean"].iloc[-1] == pytest.approx(47.014)
    ours = frame[(frame["source"] == training_curves.OURS) & (frame["variant"] == "relu")]
    assert ours["share"].tolist() == [0.25, 0.5, 0.75, 1.0]
    final = 100 * line.finished.loc[line.finished["variant"] == "relu", "top1"]
    assert ours.iloc[-1][["low", "mean", "high"]].tolist() == pytest.approx([final.min(), final.mean(), final.max()])


def test_the_waterfall_adds_up(store: Store) -> None:
    tops = {"only_elu": 0.52, "add2_colorspace": 0.55, "only_colorspace": 0.51, waterfall.ALL: 0.6}
    line = made(store, "combined", top1=lambda variant, seed: tops.get(variant, 0.5) + 0.01 * seed)
    frame = waterfall.data(line).set_index(["part", "kind"])
    assert frame.loc[("elu", "step"), ["start", "gain"]].tolist() == pytest.approx([0, 2])
    assert frame.loc[("colorspace", "step"), ["start", "gain"]].tolist() == pytest.approx([2, 3])
    assert frame.loc[("max_plus_average", "step"), ["start", "gain"]].tolist() == pytest.approx([5, -5])
    steps = frame.xs("step", level="kind")
    assert steps["gain"].sum() == pytest.approx(frame.loc[(waterfall.TOGETHER, waterfall.TOGETHER), "gain"])
    assert frame.loc[(waterfall.SUM, waterfall.SUM), "gain"] == pytest.approx(3)
    assert frame.loc[("elu", "single"), "published"] == pytest.approx(1.7)
    assert frame.loc[(waterfall.TOGETHER, waterfall.TOGETHER), "published"] == pytest.approx(5.9)
    assert frame.loc[(waterfall.SUM, waterfall.SUM), "published"] == pytest.approx(1.7 + 1.4 + 1.2 + 1.3 + 2.2 + 0.2)


def test_a_waterfall_with_a_part_missing_says_so(store: Store) -> None:
    line = made(store, "combined", seeds=1, add4_spp3="diverged", variants=("only_elu", "add4_spp3", "only_linear"))
    frame = waterfall.data(line).set_index("variant")
    assert math.isnan(frame.loc["add4_spp3", "gain"])
    assert frame.loc["add4_spp3", "crossed"] == "1 diverged"
    assert math.isnan(frame.loc[waterfall.SUM, "gain"])  # never of some of them


def test_the_matrix_marks_what_did_not_converge(store: Store) -> None:
    tops = {"xavier_maxout": 0.11, "msra_relu": 0.5}
    line = made(
        store,
        "init_cifar",
        "cifar10",
        top1=lambda variant, seed: 0.1 if variant == "msra_relu" and seed else tops.get(variant, 0.8) + 0.01 * seed,
        lsuv_tanh="diverged",
        lsuv_relu="waiting",
    )
    frame = init_matrix.data(line).set_index(["source", "variant"])
    assert frame.loc[("ours", "xavier_maxout"), ["n", "lost", "text"]].tolist() == [0, 2, "n/c"]
    assert frame.loc[("ours", "msra_relu"), ["top1", "lost", "text"]].tolist() == [50, 1, "50.0\nn/c: 1 of 2"]
    assert frame.loc[("ours", "lsuv_tanh"), "text"] == "n/c"
    assert frame.loc[("ours", "lsuv_relu"), ["text", "crossed"]].tolist() == ["–", "2 not finished"]
    assert frame.loc[("published", "msra_maxout"), "text"] == "n/c"
    assert frame.loc[("published", "orthonorm_msra_scaled_maxout"), "text"] == "–"
    assert frame.loc[("published", "fitresnet_lsuv_maxout"), "top1"] == pytest.approx(94.16)
    assert set(frame.loc["ours", "init"]) == set(frame.loc["published", "init"])


def test_the_contact_sheet_shows_what_the_network_gets(store: Store) -> None:
    line = made(store, "colorspace", seeds=1, variants=("hsv", "grayscale"), hsv="waiting", grayscale="failed")
    frame = contact_sheet.data(line)
    assert frame.groupby("preprocess", sort=False)["image"].count().to_dict() == {"rgb": 3, "hsv": 3, "gray": 3}
    by = frame.set_index(["preprocess", "image"])["pixels"]
    plain = np.stack([by["rgb", 1]])
    assert np.array_equal(PREPROCESSINGS["hsv"](plain.copy())[0], by["hsv", 1])
    assert (by["gray", 0][..., 0] == by["gray", 0][..., 2]).all()
    assert not (by["rgb", 0][..., 0] == by["rgb", 0][..., 2]).all()


def test_the_table_is_by_letter(store: Store) -> None:
    line = made(store, "learned_colorspace", tanh_10_3="diverged")
    frame = colorspace_table.data(line)
    assert frame["letter"].tolist() == ["", *"ABCDEF", "", ""]
    assert frame["variant"].iloc[0] == "rgb"
    row = frame.set_index("variant").loc["vlrelu_10_3"]
    assert row["layers"] == "10 and 3 units, leaky ReLU"
    assert [row["published"], row["published_gain"]] == pytest.approx([48.5, 1.4])
    own = line.finished[line.finished["variant"] == "vlrelu_10_3"]
    assert row["top1"].mean == pytest.approx(100 * own["top1"].mean())
    assert frame.set_index("variant").loc["tanh_10_3", "note"] == "2 diverged"


def test_the_front_is_what_nothing_beats_in_both() -> None:
    frame = pd.DataFrame({"name": list("abcde"), "macs": [1, 2, 2, 3, 4], "top1": [50.0, 60, 40, 55, 61]})
    assert complexity.front(frame)["name"].tolist() == ["a", "b", "e"]


@pytest.mark.parametrize(
    ("name", "study", "ends"),
    [
        pytest.param(name, study, ends, marks=[] if name == "waterfall" else pytest.mark.long)
        for name, (study, ends) in DENSEST.items()
    ],
)
def test_nothing_overlaps_whatever_did_not_finish(store: Store, name: str, study: str, ends: dict[str, str]) -> None:
    line = made(store, study, **ends)
    figure = figures()[name]
    assert overlaps(render(figure, figure.data(line), caption(line))) == []


@pytest.mark.long
@pytest.mark.parametrize("seeds", [1, 5])
@pytest.mark.parametrize(("name", "study"), [(name, study) for name, (study, _) in DENSEST.items()])
def test_any_number_of_seeds(store: Store, name: str, study: str, seeds: int) -> None:
    line = made(store, study, seeds=seeds)
    figure = figures()[name]
    assert overlaps(render(figure, figure.data(line), caption(line))) == []


@pytest.mark.long
def test_the_two_blocks_of_the_cifar_matrix_are_legible(store: Store) -> None:
    line = made(store, "init_cifar", "cifar10", seeds=3, msra_relu="diverged", fitresnet_lsuv_tanh="diverged")
    assert overlaps(render(figures()["init_matrix"], init_matrix.data(line), caption(line))) == []


@pytest.mark.parametrize("name", [name for name in DENSEST if name != "training_curves"])
def test_other_studies_have_no_such_figure(line: Line, name: str) -> None:
    assert figures()[name].data(line).empty
