from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from raysweep.analysis.figures import (
    Evidence,
    bn_gains,
    bn_position,
    gather,
    init_curves,
    init_layers,
    overviews,
    render,
    small_data,
)
from raysweep.analysis.load import Line
from raysweep.analysis.page.report import write_report
from raysweep.store.schema import INIT_STATS
from raysweep.store.store import Store
from tests.analysis.made_up import made
from tests.analysis.test_figures import overlaps

NO_STATS = pd.DataFrame(columns=INIT_STATS.names)
GOOGLENET = {"network.name": "googlenet"}


def evidence(*lines: Line) -> Evidence:
    return Evidence(lines, NO_STATS)


def legible(name: str, given: Evidence) -> None:
    figure = overviews()[name]
    frame = figure.data(given)
    assert overlaps(render(figure, frame, " ".join(dict.fromkeys(frame["caption"])))) == []


def stats_row(**values: Any) -> dict[str, Any]:
    row = dict.fromkeys(INIT_STATS.names) | {"trial": "t", "seed": 0, "protocol": "demo", "network": "caffenet"}
    row |= {"init": "lsuv", "activation": "relu", "norm": "none", "update": 0, "depth": 1, "gradient_to_weight": 0.5}
    return row | {"output_variance": 1.0, "activation_variance": 0.25} | values


def test_only_lines_of_the_same_conditions_are_paired(store: Store) -> None:
    plain = made(store, "activation", seeds=1, variants=("elu", "tanh", "maxout_same_complexity"), tanh="diverged")
    normed = made(store, "bn_activation", seeds=1, variants=("elu", "tanh", "tanh_clean", "maxout"))
    longer = made(store, "bn_activation", settings={"training.epochs": 3.0}, seeds=1, variants=("elu",))
    assert bn_gains.data(evidence(plain, longer)).empty
    frame = bn_gains.data(evidence(plain, longer, normed))
    assert set(frame["pair"]) == {0}
    by = frame.set_index(["study", "variant"])
    assert by.loc[("activation", "elu"), "published"] == pytest.approx(1.7)
    assert by.loc[("bn_activation", "elu"), "published"] == pytest.approx(-0.1)
    tops = plain.finished.set_index("variant")["top1"]
    assert by.loc[("activation", "maxout"), "gain"] == pytest.approx(
        100 * (tops["maxout_same_complexity"] - tops["relu"])
    )
    assert by.loc[("activation", "tanh_clean"), "crossed"] == "1 diverged"
    assert by.loc[("bn_activation", "relu"), "baseline"]
    assert frame["caption"].nunique() == 2


def test_gains_of_positions_are_over_no_normalisation_or_over_before(store: Store) -> None:
    caffenet = made(store, "batchnorm", before="failed")
    cifar = made(store, "bn_cifar", "cifar10", top1=lambda variant, seed: 0.9 + 0.01 * variant.startswith("tanh_after"))
    frame = bn_position.data(evidence(caffenet, cifar)).set_index(["group", "form"])
    name = "caffenet, relu, imagenette128"
    assert frame.loc[(name, "after"), "reference"] == "none"
    assert frame.loc[(name, "after"), "published"] == pytest.approx(2.8)
    assert frame.loc[(name, "before"), "crossed"] == "2 failed"
    assert math.isnan(frame.loc[(name, "before"), "gain"])
    tanh = frame.loc[("fitnet4, tanh, cifar10", "after")]
    assert tanh["reference"] == "before"
    assert [tanh["gain"], tanh["published"]] == pytest.approx([1.0, 1.1])


def test_few_data_have_the_published_set_of_as_many_classes(store: Store) -> None:
    hundred = made(store, "activation_cifar", "cifar10", settings={"network.outputs": 100}, prelu="diverged")
    ten = made(store, "activation_cifar", "cifar10")
    elsewhere = made(store, "activation_cifar", "demo")
    frame = small_data.data(evidence(hundred, ten, elsewhere))
    assert list(dict.fromkeys(frame["images"])) == ["CIFAR-10", "demo", "CIFAR-100"]
    by = frame.set_index(["images", "variant"])
    assert by.loc[("CIFAR-10", "rrelu"), "published"] == pytest.approx(88.81)
    assert by.loc[("CIFAR-100", "rrelu"), "published"] == pytest.approx(59.8)
    assert math.isnan(by.loc[("demo", "rrelu"), "published"])
    assert by.loc[("CIFAR-100", "prelu"), "crossed"] == "2 diverged"
    legible("small_data", evidence(hundred, ten, elsewhere))


def test_curves_by_initialisation_of_every_network(store: Store) -> None:
    kept = ("lsuv_relu", "gaussian_relu")
    lines = [made(store, "init", settings=more, variants=kept, gaussian_relu="diverged") for more in ({}, GOOGLENET)]
    frame = init_curves.data(evidence(*lines))
    assert list(dict.fromkeys(frame["network"])) == ["caffenet", "googlenet"]
    own = frame[(frame["network"] == "googlenet") & (frame["init"] == "gaussian")]
    assert own["epoch"].tolist() == [1, 2, 3]
    assert own["diverged"].all()
    epochs = lines[1].epochs
    at = 100 * epochs.loc[(epochs["variant"] == "gaussian_relu") & (epochs["epoch"] == 2), "top1"]
    assert own.iloc[1][["low", "mean", "high"]].tolist() == pytest.approx([at.min(), at.mean(), at.max()])


def test_layers_by_initialisation() -> None:
    rows = [
        stats_row(),
        stats_row(seed=1, trial="u", activation_variance=0.75),
        stats_row(update=5),
        stats_row(update=5, seed=1, trial="u"),
        stats_row(update=10, seed=1, trial="u"),  # the other seed was not followed as far
        stats_row(depth=2, activation_variance=None, output_variance=3.0),
        stats_row(init="he", trial="v", activation_variance=None, output_variance=None, gradient_to_weight=None),
    ]
    frame = init_layers.data(Evidence((), pd.DataFrame(rows)))
    assert sorted(frame["update"].unique()) == [0, 5]
    by = frame.set_index(["init", "update", "depth", "quantity"])
    first = by.loc[("lsuv", 0, 1, "variance")]
    assert first[["low", "median", "high", "lost"]].tolist() == [0.25, 0.5, 0.75, 0]
    assert by.loc[("lsuv", 0, 2, "variance"), "median"] == 3.0  # the last layer: of its own output
    assert by.loc[("he", 0, 1, "gradient_to_weight"), "lost"] == 1
    assert by.loc[("lsuv", 0, 1, "gradient_to_weight"), "median"] == 0.5


@pytest.mark.long
def test_layers_of_all_combinations_are_legible() -> None:
    rows = [
        stats_row(init=init, activation=activation, norm=norm, norm_position=where, trial=f"{init}{activation}{norm}",
                  update=update, depth=depth, activation_variance=10.0 ** (depth - 9 if init == "gaussian" else 0))
        for init in ("lsuv", "lsuv_released", "orthonormal", "glorot", "he", "gaussian")
        for activation in ("relu", "tanh", "elu", "prelu", "maxout")
        for norm, where in (("none", None), ("batch_affine", "before"), ("batch", "after"))
        for update in (0, 100)
        for depth in range(1, 9)
    ]  # fmt: skip
    legible("init_layers", Evidence((), pd.DataFrame(rows)))


def test_gather_reads_what_init_stats_wrote(store: Store) -> None:
    store.write_init_stats("t", [stats_row(), stats_row(depth=2)])
    assert len(init_layers.data(gather(store, []))) == 4


def test_overviews_are_empty_for_other_studies(line: Line) -> None:
    assert all(entry.make.data(evidence(line)).empty for entry in overviews())


@pytest.mark.long
def test_positions_in_another_network_have_its_published_numbers(store: Store) -> None:
    frame = bn_position.data(evidence(made(store, "batchnorm", settings=GOOGLENET))).set_index("form")
    assert frame.loc["after", "published"] == pytest.approx(-2.3)
    assert math.isnan(frame.loc["after, scale and bias", "published"])


@pytest.mark.long
@pytest.mark.parametrize("seeds", [1, 4])
def test_overviews_of_whole_studies_are_legible(store: Store, seeds: int) -> None:
    lines = [
        made(store, "activation", seeds=seeds, elu="diverged"),
        made(store, "bn_activation", seeds=seeds, tanh="failed"),
        made(store, "batchnorm", seeds=seeds, after="diverged"),
        made(store, "batchnorm", settings=GOOGLENET, seeds=seeds),
        made(store, "bn_cifar", "cifar10", seeds=seeds),
        made(store, "init", seeds=seeds, he_tanh="waiting", gaussian_relu="diverged"),
        made(store, "init", settings=GOOGLENET, seeds=seeds),
    ]
    for name in ("bn_gains", "bn_position", "init_curves"):
        legible(name, evidence(*lines))


def test_the_report_shows_them_before_the_studies(store: Store, tmp_path: Path) -> None:
    made(store, "batchnorm", variants=("after",))
    text = write_report(store.uri, ["batchnorm"], tmp_path / "out").read_text()
    assert text.index("Across studies") < text.index('<section id="s1">')
    assert (tmp_path / "out" / "overview-bn_position.svg").is_file()
    assert (tmp_path / "out" / "overview-bn_position.png").is_file()
