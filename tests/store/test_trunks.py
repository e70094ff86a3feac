"""Transfer as a user asks for it: networks trained on one set of images, their trunks on another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raysweep.analysis.figures import figures, render
from raysweep.analysis.figures import transfer_ranks as ranking
from raysweep.analysis.load import load_lines
from raysweep.analysis.page.report import write_report
from raysweep.errors import RaysweepError
from raysweep.identity import recipe_from_json
from raysweep.recipe import Recipe
from raysweep.request import Request
from raysweep.store.store import Store
from raysweep.store.trunks import Trunks, fits
from raysweep.sweeps.resources import Resources
from raysweep.sweeps.study_sweep import execute, prepare
from tests.analysis.test_figures import CAPTION, overlaps

INLINE = Resources(inline=True)
SMALL: dict[str, Any] = {"network.width": 0.0625, "training.epochs": 2.0, "training.batch_size": 32}
VARIANTS = tuple(f"{name}_{way}" for name in ("caffenet", "nin") for way in ("scratch", "frozen", "fine_tuned"))


def request(data: Path, store: Path, trunks: Path | None = None, **more: Any) -> Request:
    asked: dict[str, Any] = {"settings": SMALL, "variants": VARIANTS} | more
    return Request(
        ("transfer",), "demo", data=data, store=str(store), trunks=None if trunks is None else str(trunks), **asked
    )


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, small_images: Path) -> Path:
    """Both networks trained on the first images, weights kept; of the third variant not."""
    store = tmp_path_factory.mktemp("first") / "store"
    prepared = prepare(request(small_images, store), INLINE)
    assert [planned.members[0].variant for planned in prepared.plan] == ["caffenet_scratch", "nin_scratch"]
    assert {planned.members[0].variant for planned in prepared.omitted} == set(VARIANTS) - {
        *("caffenet_scratch", "nin_scratch")
    }
    execute(prepared, INLINE, keep_checkpoints=True)
    return store


@pytest.fixture(scope="module")
def second(first: Path, tmp_path_factory: pytest.TempPathFactory, other_images: Path) -> Path:
    """All ways on the second images."""
    store = tmp_path_factory.mktemp("second") / "store"
    outcome = execute(prepare(request(other_images, store, first), INLINE), INLINE)
    assert len(outcome.finished) == len(VARIANTS)
    return store


def test_every_trial_records_its_trunk_and_the_accuracy_of_that(first: Path, second: Path) -> None:
    trained = {recipe_from_json(row["recipe"]).network.name: row for row in Store.open(str(first)).trials().to_pylist()}
    rows = Store.open(str(second)).trials().to_pylist()
    for row in rows:
        recipe = recipe_from_json(row["recipe"])
        if recipe.init.trunk == "none":
            assert row["trunk_top1"] is None
            continue
        assert recipe.init.trunk_trial == trained[recipe.network.name]["trial"]
        assert row["trunk_top1"] == trained[recipe.network.name]["top1"]
        assert row["trunk_data"] == trained[recipe.network.name]["data_name"]


def test_a_second_run_trains_nothing(first: Path, second: Path, other_images: Path) -> None:
    prepared = prepare(request(other_images, second, first), INLINE)
    assert {planned.action for planned in prepared.plan} == {"skip"}


def test_one_store_serves_both(first: Path, small_images: Path, other_images: Path) -> None:
    """A network trained on the same images is not a trunk."""
    plan = request(other_images, first, first).plan()
    assert {planned.action for planned in plan} == {"run"}
    with pytest.raises(RaysweepError, match="same images"):
        request(small_images, first, first).plan()


def test_the_report_ranks_the_networks_on_both(second: Path, tmp_path: Path) -> None:
    (line,) = load_lines(Store.open(str(second)), ["transfer"])
    frame = ranking.data(line)
    assert list(dict.fromkeys(frame["place"])) == ["first", "frozen", "fine_tuned", "none"]
    assert set(frame["network"]) == {"caffenet", "nin"}
    for _, rows in frame.groupby("place"):
        assert rows.sort_values("rank")["top1"].is_monotonic_decreasing
    assert not overlaps(render(figures()["transfer"], frame, CAPTION))
    page = write_report(str(second), ["transfer"], tmp_path / "report")
    assert "networks ranked on both data sets" in page.read_text()


def test_the_correlation_is_spearmans(second: Path) -> None:
    """Five networks whose order on the second set is that of the first but for one exchange: 1 - 6 * 2 / (5 * 24)."""
    (line,) = load_lines(Store.open(str(second)), ["transfer"])
    frozen = line.trials[line.trials["variant"] == "caffenet_frozen"].iloc[0]
    recipe = recipe_from_json(frozen["recipe"])
    names = ("caffenet", "nin", "vgg16", "resnet50", "googlenet")
    rows = [
        frozen.to_dict() | {"recipe": _named(recipe, name), "trunk_top1": before, "top1": after}
        for name, before, after in zip(names, (0.5, 0.6, 0.7, 0.8, 0.9), (0.2, 0.1, 0.3, 0.4, 0.5), strict=True)
    ]
    frame = ranking.data(replace(line, trials=type(line.trials)(rows)))
    assert frame[frame["place"] == "frozen"]["spearman"].iloc[0] == pytest.approx(0.9)


def _named(recipe: Recipe, name: str) -> str:
    from raysweep.identity import recipe_json

    return recipe_json(replace(recipe, network=replace(recipe.network, name=name)))


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({"network.width": 0.125}, r"network\.width 0\.0625"),
        ({"seed": 0, "network.stem_kernel": 5}, r"network\.stem_kernel 3"),
        ({"init.trunk_trial": "0123456789ab", "init.trunk": "frozen"}, "0123456789ab"),
    ],
)
def test_the_error_for_a_missing_trunk_names_the_differences(
    first: Path, other_images: Path, tmp_path: Path, settings: dict[str, Any], values: str
) -> None:
    with pytest.raises(RaysweepError, match=values):
        prepare(request(other_images, tmp_path / "s", first, settings=SMALL | settings), INLINE)
    assert not (tmp_path / "s").exists()


def test_no_such_store_and_too_many_seeds_are_refused(first: Path, other_images: Path, tmp_path: Path) -> None:
    with pytest.raises(RaysweepError, match="nowhere"):
        request(other_images, tmp_path / "s", tmp_path / "nowhere").plan()
    with pytest.raises(RaysweepError, match="caffenet.*seed 1"):
        request(other_images, tmp_path / "s", first, seeds=2).plan()


def test_the_error_for_weights_that_were_not_kept_names_the_command(
    first: Path, other_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "has_checkpoint", lambda self, trial: False)
    with pytest.raises(RaysweepError, match=r"raysweep trial \w{12} --store"):
        request(other_images, tmp_path / "s", first).plan()


def test_the_user_chooses_between_two_trunks_that_fit(first: Path, other_images: Path, tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "both"), create=True)
    for row in Store.open(str(first)).trials().to_pylist():
        store.write_trial(row)
        store.write_checkpoint(row["trial"], b"weights")
    twin = row | {"trial": "f" * 12}
    store.write_trial(twin)
    with pytest.raises(RaysweepError, match="nin.*f{12}"):
        request(other_images, tmp_path / "s", tmp_path / "both").plan()
    chosen = {"init.trunk": "frozen", "init.trunk_trial": "f" * 12, "network.name": "nin"}
    store.write_checkpoint("f" * 12, b"weights")
    bound = Trunks(store.uri)._one(replace(recipe_from_json(row["recipe"]), init=_init(**chosen)))
    assert bound.trial == "f" * 12


def _init(**settings: Any) -> Any:
    from raysweep.recipe import InitRecipe

    return InitRecipe(trunk=settings["init.trunk"], trunk_trial=settings["init.trunk_trial"])


def test_layers_of_other_sizes_are_refused_before_training(first: Path, other_images: Path, tmp_path: Path) -> None:
    asked = request(
        other_images, tmp_path / "s", first, settings=SMALL | {"data.side": 16}, variants=("caffenet_frozen",)
    )
    with pytest.raises(RaysweepError, match="32 px.*16 px"):
        asked.plan()


def test_a_trunk_fits_by_network_seed_and_images() -> None:
    recipe = replace(Recipe(), data=replace(Recipe().data, digest="b"))
    assert fits(Recipe(), recipe)
    assert fits(replace(Recipe(), network=replace(Recipe().network, outputs=10)), recipe)
    assert not fits(replace(Recipe(), seed=1), recipe)
    assert not fits(recipe, recipe)


def test_unused_trunks_are_refused() -> None:
    from raysweep.patch import patch
    from raysweep.validate import check_recipe

    with pytest.raises(RaysweepError, match=r"init\.trunk_trial.*0123456789ab"):
        check_recipe(patch(Recipe(), {"init.trunk_trial": "0123456789ab"}))
    with pytest.raises(RaysweepError, match=r"init\.trunk is cold.*frozen"):
        check_recipe(patch(Recipe(), {"init.trunk": "cold"}))


def test_the_plan_names_the_trunk(first: Path, other_images: Path, tmp_path: Path) -> None:
    plan = request(other_images, tmp_path / "s", first).plan()
    shown = json.dumps([planned.to_json() for planned in plan], default=str)
    trial = Store.open(str(first)).trials()["trial"].to_pylist()[0]
    assert f'"init.trunk_trial": "{trial}"' in shown
