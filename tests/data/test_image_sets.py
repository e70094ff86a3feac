"""Recipes and the image sets of one folder: which set a recipe uses, and errors if it is missing."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from raysweep.data.fit import bind_data, check_data
from raysweep.data.image_sets import ImageSets, image_folder
from raysweep.data.manifest import FILE_NAME, read_manifest, subfolder_name
from raysweep.errors import RaysweepError
from raysweep.patch import patch
from raysweep.planning import PlannedTrial, make_plan
from raysweep.protocols import find_protocol
from raysweep.recipe import DataRecipe
from raysweep.request import Request
from raysweep.study import Study, Variant
from raysweep.sweeps.resources import Resources
from raysweep.sweeps.study_sweep import execute, prepare
from raysweep.verbs.trial import trial
from raysweep.write.sources.generated import GeneratedSource
from raysweep.write.write_sets import write_images, write_sets

SIZES = Study(
    name="sizes",
    question="Which size?",
    paper="p",
    finding="f",
    baseline="s32",
    variants=(
        Variant("s32"),
        Variant("s28", {"data.side": 28}),
        Variant("s20", {"data.side": 20, "data.short_side": 24}),
        Variant("nearest", {"data.rescale": "nearest"}),
    ),
)
SMALL = {"network.width": 0.0625, "training.epochs": 1.0}


@pytest.fixture
def folder(small_images: Path, tmp_path: Path) -> Path:
    """The small set, with a manifest of images that cannot be generated again."""
    shutil.copytree(small_images, tmp_path / "images")
    change_manifest(tmp_path / "images", source="/pictures")
    return tmp_path / "images"


def change_manifest(folder: Path, **changes: object) -> None:
    value = json.loads((folder / FILE_NAME).read_text()) | changes
    (folder / FILE_NAME).write_text(json.dumps(value))


def add_short24(folder: Path) -> Path:
    write_images(GeneratedSource(300, 100, side=36, seed=0), folder / "short24", side=24)
    return folder / "short24"


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> Study:
    """The study above in the place of a shipped one."""
    monkeypatch.setattr("raysweep.request.find_studies", lambda names: tuple(SIZES for _ in names))
    return SIZES


def request(folder: Path, **changes: object) -> Request:
    return Request(("sizes",), protocol="demo", settings=SMALL, data=folder, **changes)  # type: ignore[arg-type]


def by_variant(plan: list[PlannedTrial]) -> dict[str, PlannedTrial]:
    return {planned.members[0].variant: planned for planned in plan}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (DataRecipe(short_side=80), "short80"),
        (DataRecipe(rescale="nearest"), "short144-nearest"),
        (DataRecipe(short_side=36), ""),
    ],
)
def test_a_recipe_uses_the_folder_or_a_subfolder(folder: Path, data: DataRecipe, name: str) -> None:
    assert ImageSets(folder).folder_of(data) == folder / name
    if not name:
        assert image_folder(folder, data) == folder
        return
    assert subfolder_name(data.short_side, data.rescale) == name
    with pytest.raises(RaysweepError, match=f"raysweep data write SOURCE {folder}/{name} --side {data.short_side}"):
        image_folder(folder, data)


def test_a_folder_of_rescaled_images_serves_recipes_with_that_method(folder: Path) -> None:
    change_manifest(folder, rescale="nearest")
    assert image_folder(folder, DataRecipe(short_side=36, rescale="nearest")) == folder
    assert ImageSets(folder).folder_of(DataRecipe(short_side=36)) == folder / "short36"


def test_manifests_without_rescale_read_as_auto(folder: Path) -> None:
    value = json.loads((folder / FILE_NAME).read_text())
    del value["rescale"]
    (folder / FILE_NAME).write_text(json.dumps(value))
    assert read_manifest(folder).rescale == "auto"
    assert image_folder(folder, DataRecipe(short_side=36)) == folder


def test_images_rescaled_by_another_method_are_refused(folder: Path) -> None:
    recipe = patch(find_protocol("demo"), {"data.rescale": "nearest"})
    with pytest.raises(RaysweepError, match=r"nearest.*auto.*--rescale nearest"):
        check_data(recipe, folder)


def test_a_rescale_that_does_not_exist_is_refused(folder: Path) -> None:
    change_manifest(folder, rescale="bicubic")
    with pytest.raises(RaysweepError, match="bicubic"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.scales": (1.0, 0.8)}, r"32\b.* 0\.8 .*data\.scales.* 40 px.*data\.side=28`"),
        ({"data.test_scale": 0.5}, r" 0\.5 .*data\.test_scale.* 64 px.*data\.side=18`"),
    ],
)
def test_scales_that_need_more_than_the_image_are_refused_before_training(
    folder: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(RaysweepError, match=message):
        check_data(patch(find_protocol("demo"), changes), folder)


def test_variants_on_the_folders_own_images_keep_their_ids(folder: Path, sizes: Study) -> None:
    """The ids are those of plans whose baseline was bound before its variants were made."""
    bound = bind_data(patch(find_protocol("demo"), SMALL), read_manifest(folder))
    before = make_plan([sizes], bound, [0, 1])
    after = request(folder, seeds=2).plan()
    own = [k for k, planned in enumerate(after) if planned.members[0].variant in ("s32", "s28")]
    assert len(own) == 4
    for k in own:
        assert after[k].trial == before[k].trial
        assert after[k].recipe == before[k].recipe
    assert {planned.members[0].line for planned in after} == {before[0].members[0].line}


def test_shipped_variants_are_bound_to_the_same_images_as_before(small_images: Path) -> None:
    plan = Request(("activation",), protocol="demo", data=small_images).plan()
    bound = bind_data(find_protocol("demo"), read_manifest(small_images))
    assert [planned.trial for planned in plan] == [
        planned.trial for planned in make_plan(Request(("activation",)).find_studies(), bound, [0])
    ]


def test_a_plan_lists_the_commands_for_missing_sets(folder: Path, sizes: Study) -> None:
    plan = by_variant(request(folder).plan())
    assert plan["s32"].reason == "not in the store"
    assert plan["s20"].action == "run"
    command = f"raysweep data write SOURCE {folder}"
    assert plan["s20"].reason == f"needs images: {command}/short24 --side 24"
    assert plan["nearest"].reason == f"needs images: {command}/short36-nearest --side 36 --rescale nearest"
    assert plan["s20"].recipe.data.digest == ""


def test_a_variant_is_bound_to_its_own_images(folder: Path, sizes: Study) -> None:
    manifest = read_manifest(add_short24(folder))
    plan = by_variant(request(folder).plan())
    assert plan["s20"].reason == "not in the store"
    assert plan["s20"].recipe.data.digest == manifest.digest != plan["s32"].recipe.data.digest
    assert plan["s20"].members[0].line == plan["s32"].trial


def test_a_subfolder_with_other_images_than_its_name_says_is_refused(folder: Path, sizes: Study) -> None:
    change_manifest(add_short24(folder), short_side=25)
    with pytest.raises(RaysweepError, match=r"24\b.*short24.*25 px"):
        request(folder).plan()


def test_a_baseline_that_does_not_fit_is_an_error_rather_than_a_missing_set(folder: Path, sizes: Study) -> None:
    with pytest.raises(RaysweepError, match=r"40\b.*36 px"):
        Request(("sizes",), protocol="demo", settings={"data.short_side": 40}, data=folder).plan()


def test_a_run_refuses_missing_sets_and_lists_the_variants_without_them(
    folder: Path, sizes: Study, tmp_path: Path
) -> None:
    with pytest.raises(RaysweepError) as caught:
        prepare(request(folder, store=str(tmp_path / "s")), Resources(inline=True))
    lines = str(caught.value).splitlines()
    assert [line for line in lines if line.startswith("  raysweep")] == [
        f"  raysweep data write SOURCE {folder} --side 36 --also 24,36-nearest",
        f"  raysweep data write SOURCE {folder}/short24 --side 24    # for sizes/s20",
        f"  raysweep data write SOURCE {folder}/short36-nearest --side 36 --rescale nearest    # for sizes/nearest",
    ]
    assert "--variants s28" in lines[-1]
    assert not (tmp_path / "s").exists()
    assert len(prepare(request(folder, store=str(tmp_path / "s"), variants=("s28",)), Resources(inline=True)).plan) == 2


@pytest.mark.parametrize("rescale", ["auto", "nearest"])
def test_the_command_for_all_missing_sets_writes_them_and_keeps_existing_ones(folder: Path, rescale: str) -> None:
    change_manifest(folder, rescale=rescale)
    wanted = [DataRecipe(short_side=side, rescale=how) for side in (36, 24, 20) for how in ("auto", "nearest")]
    before = read_manifest(folder)
    sets = ImageSets(folder)
    words = shlex.split(sets.need_together([*wanted, *wanted]))
    also = words[words.index("--also") + 1].split(",")
    write_sets(GeneratedSource(300, 100, side=36, seed=0), folder, side=int(words[6]), also=also, rescale=rescale)
    assert words[:6] == ["raysweep", "data", "write", "SOURCE", str(folder), "--side"]
    assert (words[7:9] == ["--rescale", rescale]) == (rescale != "auto")
    assert read_manifest(folder) == before
    assert len(also) == 5
    for data in wanted:
        manifest = read_manifest(ImageSets(folder).folder_of(data))
        assert (manifest.short_side, manifest.rescale) == (data.short_side, data.rescale)


@pytest.mark.parametrize(
    ("study", "advice"),
    [
        (replace(SIZES, baseline="s20"), "baseline"),
        (replace(SIZES, variants=(SIZES.variants[0], SIZES.variants[2])), "study"),
    ],
)
def test_an_error_if_no_variant_can_be_left_out(
    folder: Path, study: Study, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raysweep.request.find_studies", lambda names: (study,))
    with pytest.raises(RaysweepError, match=advice):
        prepare(request(folder), Resources(inline=True))


def test_trials_are_trained_each_on_its_own_images(folder: Path, sizes: Study, tmp_path: Path) -> None:
    from raysweep.store.store import Store

    own = read_manifest(add_short24(folder))
    prepared = prepare(request(folder, store=str(tmp_path / "s"), variants=("s20",)), Resources(inline=True))
    assert [Path(task.data).name for task in prepared.tasks()] == ["images", "short24"]
    assert not execute(prepared, Resources(inline=True)).failed
    store = Store.open(str(tmp_path / "s"))
    assert store.manifests().keys() == {own.digest, read_manifest(folder).digest}
    found = {row["trial"]: row["data_digest"] for row in store.trials().to_pylist()}
    assert found == {planned.trial: planned.recipe.data.digest for planned in prepared.plan}
    assert len(set(found.values())) == 2
    # A single trial also finds its images in the subfolder.
    small = by_variant(prepared.plan)["s20"].trial
    words = [small, "--store", str(tmp_path / "s"), "--data", str(folder), "--into", str(tmp_path / "again")]
    assert CliRunner().invoke(trial, words, catch_exceptions=False).exit_code == 0
    again, before = (Store.open(str(tmp_path / name)).trial(small) for name in ("again", "s"))
    assert again
    assert before
    assert (again["data_digest"], again["logloss"]) == (own.digest, before["logloss"])
    assert {planned.action for planned in request(folder, store=str(tmp_path / "s"), variants=("s20",)).plan()} == {
        "skip"
    }


def test_a_changed_byte_in_a_subfolder_is_found_before_training(folder: Path, sizes: Study, tmp_path: Path) -> None:
    file = add_short24(folder) / "train.beton"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(RaysweepError, match=r"short24/train.beton"):
        prepare(request(folder, store=str(tmp_path / "s"), variants=("s20",)), Resources(inline=True))


def test_missing_sets_of_generated_images_are_generated(small_images: Path, sizes: Study, tmp_path: Path) -> None:
    copy = tmp_path / "generated"
    shutil.copytree(small_images, copy)
    wanted = request(copy, store=str(tmp_path / "s"), variants=("s20",))
    assert "needs" not in by_variant(wanted.plan())["s20"].reason
    prepared = prepare(wanted, Resources(inline=True))
    manifest = read_manifest(copy / "short24")
    assert (manifest.short_side, manifest.splits["train"].images) == (24, 300)
    assert by_variant(prepared.plan)["s20"].recipe.data.digest == manifest.digest


def test_each_manifest_is_read_once(folder: Path, sizes: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(
        "raysweep.data.image_sets.read_manifest", lambda folder: read.append(folder) or read_manifest(folder)
    )
    sets = ImageSets(folder)
    for _ in range(3):
        sets.bind(patch(find_protocol("demo"), SMALL))
    assert read == [folder]


def test_binding_twice_is_binding_once(folder: Path) -> None:
    bound = ImageSets(folder).bind(find_protocol("demo"))
    assert ImageSets(folder).bind(bound) == bound != find_protocol("demo")


def test_image_sets_load_nothing_heavy() -> None:
    code = (
        "import sys, raysweep.data.image_sets\n"
        "print(*[m for m in ('numpy', 'torch', 'cv2', 'pyarrow') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""
