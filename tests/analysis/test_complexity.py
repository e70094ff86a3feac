from __future__ import annotations

import csv
from pathlib import Path

import pytest

from raysweep.analysis.figures import complexity, figures, render
from raysweep.analysis.load import Line, load_lines
from raysweep.request import Request
from raysweep.store.store import Store
from raysweep.sweeps.study_sweep import member_rows
from raysweep.write.sources.torchvision_sets import import_torchvision
from tests.analysis.conftest import write
from tests.analysis.test_figures import CAPTION, overlaps

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "canziani.csv"


def line_of(store: Store, protocol: str, study: str = "architecture") -> Line:
    """Made-up results of two seeds: the more arithmetic, the more accurate."""
    request = Request((study,), protocol, seeds=2)
    plan = request.plan()
    store.write_members(member_rows(plan, study, protocol))
    for planned in plan:
        write(store, planned, "finished", min(0.9, 0.2 + planned.cost.macs**0.25 / 400 + 0.01 * planned.recipe.seed))
    (line,) = load_lines(store, [study])
    return line


def published() -> list[dict[str, str]]:
    with complexity.FILE.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_of_torchvision_are_its_own_numbers() -> None:
    """Its GFLOPS count multiply-accumulates, as a known network tells: ResNet-50 has 4.09 G."""
    models = import_torchvision().models
    rows = [row for row in published() if row["source"] == "torchvision"]
    assert len(rows) > 30
    for row in rows:
        meta = models.get_weight(row["origin"].split()[-1]).meta
        assert float(row["top1"]) * 100 == pytest.approx(meta["_metrics"]["ImageNet-1K"]["acc@1"], abs=0.001)
        assert float(row["params_m"]) == pytest.approx(meta["num_params"] / 1e6, abs=0.0001)
        assert float(row["macs_g"]) == pytest.approx(meta["_ops"], abs=0.001)


def test_the_other_accuracies_are_the_references() -> None:
    if not REFERENCE.is_file():
        pytest.skip("no reference on this machine")
    with REFERENCE.open(newline="") as file:
        known = {(row["network"], row["top1"]) for row in csv.DictReader(file) if row["top1"]}
    for row in published():
        assert any(
            name == row["network"] and float(top1) / 100 == pytest.approx(float(row["top1"])) for name, top1 in known
        )


def test_ours_are_means_over_seeds_next_to_the_published(store: Store) -> None:
    line = line_of(store, "imagenet128")
    frame = complexity.data(line).set_index(["source", "name"])
    ours = frame.loc["ours"]
    assert set(ours.index) == set(line.variants)
    trials = line.trials[line.trials["variant"] == "vgg16_128"]
    assert ours.loc["vgg16_128", "top1"] == pytest.approx(100 * trials["top1"].mean())
    assert ours.loc["vgg16_128", "macs"] == trials["macs"].iloc[0]
    assert ours.loc["vgg16_128", "n"] == 2
    assert frame.loc[("torchvision", "ResNet-50"), "macs"] == pytest.approx(4.089e9)
    dense = complexity.density(complexity.data(line)).set_index(["source", "name"])["density"]
    assert dense["torchvision", "VGG-16"] == pytest.approx(71.592 / 138.3575)
    assert dense.is_monotonic_decreasing


def test_on_other_images_no_published_networks_are_shown(store: Store) -> None:
    assert set(complexity.data(line_of(store, "imagenette128"))["source"]) == {"ours"}


def test_a_study_of_one_network_has_no_such_figure(line: Line) -> None:
    assert complexity.data(line).empty


@pytest.mark.parametrize("protocol", ["imagenet128", "cifar10"])
@pytest.mark.parametrize("name", ["complexity", "density"])
def test_nothing_in_the_picture_overlaps(store: Store, name: str, protocol: str) -> None:
    figure = figures()[name]
    canvas = render(figure, figure.data(line_of(store, protocol)), CAPTION)
    assert not overlaps(canvas)


def test_every_one_of_ours_is_named(store: Store) -> None:
    frame = complexity.data(line_of(store, "cifar10", "depth"))
    canvas = render(figures()["complexity"], frame, CAPTION)
    shown = {text.get_text() for text in canvas.axes[0].texts}
    assert len(shown & set(frame["name"])) >= len(frame) - 2
