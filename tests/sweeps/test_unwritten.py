"""`--data` that names originals instead of an image set."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from raysweep.data.manifest import read_manifest
from raysweep.errors import RaysweepError
from raysweep.protocols import find_protocol
from raysweep.request import Request
from raysweep.sweeps.unwritten import image_set, needed_images, with_images
from raysweep.verbs.entry import raysweep as command
from tests.images import Folder, tiny

DEMO = ("--protocol", "demo", "--epochs", "1")


def run(*words: object) -> str:
    done = CliRunner().invoke(command, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def trials(*words: object) -> list[str]:
    rows: list[dict[str, Any]] = json.loads(run("plan", "activation", *DEMO, "--variants", "elu", "--json", *words))
    return [row["trial"] for row in rows]


def refused(request: Request) -> str:
    with pytest.raises(RaysweepError) as caught:
        with_images(request)
    return str(caught.value)


@pytest.fixture
def originals(class_folder: Folder) -> Path:
    return class_folder(tiny())


def test_the_command_of_the_error_gives_the_trials_that_write_gives(originals: Path) -> None:
    message = refused(Request(("activation",), "demo", data=originals))
    assert "4 train and 4 test images of 2 classes" in message
    (words,) = [shlex.split(line) for line in message.splitlines() if line.startswith("  raysweep")]
    assert words == ["raysweep", "data", "write", str(originals), "data/set-36", "--side", "36"]
    run("data", "write", originals, "by-hand", *words[5:])
    assert not Path("data").exists()
    first = trials("--data", originals, "--write")
    assert first == trials("--data", "by-hand") == trials("--data", "data/set-36") == trials("--data", originals)
    assert read_manifest(Path("data/set-36")).short_side == 36


@pytest.mark.parametrize("words", [("run",), ("plan",), ("decide", "--budget", "1h"), ("nas", "--budget", "2")])
def test_every_command_that_takes_data_names_the_next_step(originals: Path, words: tuple[str, ...]) -> None:
    verb, *more = words
    what = "random" if verb == "nas" else "activation"
    with pytest.raises(RaysweepError, match=r"data/set-36(.|\n)*--write"):
        CliRunner().invoke(command, [verb, what, *more, *DEMO, "--data", str(originals)], catch_exceptions=False)
    assert not Path("data").exists()


def test_all_sizes_that_a_study_needs_are_written_together(originals: Path) -> None:
    request = Request(("image_size",), "imagenet128", data=originals)
    images = needed_images(request)
    sides = {planned.recipe.data.short_side for planned in Request(("image_size",), "imagenet128").plan()}
    assert {images.main.short_side, *map(int, images.also)} == sides
    assert len(sides) > 2


@pytest.mark.long
def test_missing_sizes_are_added(originals: Path) -> None:
    few = with_images(Request(("activation",), "demo", data=originals, write=True))
    assert few.data is not None
    digest = read_manifest(few.data).digest
    images = needed_images(Request(("image_size",), "demo", data=originals))
    assert images.missing() == images.also != ()
    with_images(Request(("image_size",), "demo", data=originals, write=True))
    assert images.missing() == ()
    assert read_manifest(few.data).digest == digest


def test_another_source_of_the_same_name_is_not_taken(originals: Path, small_images: Path) -> None:
    shutil.copytree(small_images, "data/set-36")
    message = refused(Request(("activation",), "demo", data=originals, write=True))
    assert "generated" in message
    assert "data/set-36-other" in message


def test_bad_images_name_the_command_that_skips_them(class_folder: Folder) -> None:
    root = class_folder(tiny() | {"train/cat/9.png": b"\x89PNG\r\n\x1a\n"})
    message = refused(Request(("activation",), "demo", data=root, write=True))
    assert "9.png" in message
    assert f"raysweep data write {root} data/set-36 --side 36" in message


def test_a_single_trial_names_the_size_of_its_recipe(originals: Path) -> None:
    data = find_protocol("cifar10").data
    with pytest.raises(RaysweepError) as caught:
        image_set(originals, replace(data, short_side=40, rescale="area"))
    words = shlex.split(str(caught.value).split("`")[1])
    assert words[4:] == ["data/set-40-area", "--side", "40", "--rescale", "area"]


def test_the_number_of_classes_is_named_if_the_network_has_another(originals: Path) -> None:
    assert "--classes 2" in refused(Request(("activation",), "demo", data=originals))
    assert "--classes" not in refused(Request(("activation",), "demo", {"network.outputs": 2}, data=originals))


def test_what_is_no_source_is_refused_as_before(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("?")
    with pytest.raises(RaysweepError, match=r"x\.txt"):
        with_images(Request(("activation",), "demo", data=tmp_path / "x.txt"))
    with pytest.raises(RaysweepError, match="nowhere"):
        Request(("activation",), "imagenet128", data=tmp_path / "nowhere").plan()
    with pytest.raises(RaysweepError, match="--data"):
        with_images(Request(("activation",), "demo", write=True))
    with pytest.raises(RaysweepError, match="nowhere"):
        with_images(Request(("activation",), "demo", data=tmp_path / "nowhere", write=True))


@pytest.mark.long
def test_a_folder_as_it_is_found_is_trained_on(originals: Path) -> None:
    words = (
        "run",
        "activation",
        *DEMO,
        "--batch-size",
        "2",
        "--variants",
        "elu",
        "--inline",
        "--data",
        originals,
        "--store",
        "s",
    )
    run(*words, "--write")
    rows = json.loads(run("results", "activation", "--store", "s", "--json"))
    assert [row["status"] for row in rows] == ["finished"] * 2
    assert sorted(row["trial"] for row in rows) == sorted(trials("--data", "data/set-36", "--batch-size", "2"))
    run(*words)
