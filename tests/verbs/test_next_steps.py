"""The next step of an error fits its cause."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from raysweep.arguments import take_request
from raysweep.data.manifest import read_manifest
from raysweep.errors import RaysweepError, cannot_write
from raysweep.request import Request
from raysweep.store.files import Files
from raysweep.store.store import Store
from raysweep.study import Study, Variant, find_study
from raysweep.sweeps.needed_images import find_data
from raysweep.verbs.entry import raysweep as command
from raysweep.verbs.nas import check_rank, take_nas
from raysweep.verbs.options import write_output
from tests.store.rows import write_members, write_trial


def refused(*words: object) -> str:
    with pytest.raises(RaysweepError) as caught:
        CliRunner().invoke(command, [*map(str, words)], catch_exceptions=False)
    return str(caught.value)


def steps(message: str) -> list[list[str]]:
    """The commands of a message, as a shell reads them."""
    return [shlex.split(part) for part in message.split("`")[1::2]]


@pytest.mark.parametrize(
    ("number", "step"),
    [(errno.ENOSPC, "space"), (errno.EACCES, "permissions"), (errno.EROFS, "read-only"), (errno.EISDIR, "folder")],
)
def test_a_file_that_cannot_be_written_has_the_step_of_its_cause(number: int, step: str) -> None:
    message = cannot_write("x.csv", OSError(number, os.strerror(number)))
    assert message.startswith(f"cannot write x.csv: {os.strerror(number)}. ")
    assert step in message.partition(". ")[2]


def test_outputs_say_what_is_wrong_with_the_name(tmp_path: Path) -> None:
    for path, step in ((tmp_path, "not a folder"), (tmp_path / "no" / "x", "Create the folder")):
        with pytest.raises(RaysweepError, match=step):
            write_output(path, b"")


@pytest.mark.parametrize("folder", ["my images", "it's", "a;b", "$(x)"])
def test_commands_about_images_are_read_as_they_are_meant(folder: str, tmp_path: Path) -> None:
    place = tmp_path / folder
    with pytest.raises(RaysweepError) as caught:
        read_manifest(place)
    assert steps(str(caught.value)) == [["raysweep", "data", "write", "SOURCE", str(place)]]
    with pytest.raises(RaysweepError) as caught:
        find_data(Request(("activation",), "cifar10"))
    assert "--data" in str(caught.value)


def test_commands_about_stores_are_read_as_they_are_meant(tmp_path: Path) -> None:
    uri = str(tmp_path / "my store's")
    assert steps(refused("status", "--store", uri)) == [["raysweep", "run", "STUDY", "--store", uri]]
    Store.open(uri, create=True)
    assert steps(refused("show", "abc", "--store", uri)) == [["raysweep", "results", "STUDY", "--store", uri]]
    assert steps(refused("report", "all", "--store", uri)) == [["raysweep", "run", "STUDY", "--store", uri]]


def test_addresses_fail_for_different_reasons(tmp_path: Path) -> None:
    with pytest.raises(RaysweepError, match="s3://BUCKET/FOLDER"):
        Files.at("nonsense://x")
    (tmp_path / "file").write_text("")
    with pytest.raises(RaysweepError) as caught:
        Store.open(str(tmp_path / "file" / "results"), create=True)
    assert "credentials" not in str(caught.value)


def test_a_trial_without_images_asks_for_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store.open("s", create=True)
    write_members(store, "a")
    write_trial(store, "a", recipe="{}")
    message = refused("trial", "a", "--store", "s")
    assert "--data" in message
    assert steps(message) == []


@pytest.mark.parametrize("words", [("trial", "a", "--store", "s"), ("init-stats", "--protocol", "demo")])
def test_a_device_that_does_not_exist_is_refused(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_members(Store.open("s", create=True), "a")
    assert "--device gpu" in refused(*words, "--device", "gpu")


def test_only_what_is_shipped_can_be_listed() -> None:
    own = Study("mine", "?", "p", "f", "base", (Variant("base"),))
    with pytest.raises(RaysweepError) as caught:
        own.variant("bse")
    assert steps(str(caught.value)) == []
    with pytest.raises(RaysweepError) as caught:
        find_study("activation").variant("bse")
    assert steps(str(caught.value)) == [["raysweep", "list", "variants", "activation"]]


def test_a_ranking_says_which_of_its_conditions_fails() -> None:
    def asked(*methods: str) -> dict[str, object]:
        given = {"methods": methods, "seeds": 1, "budgets": ("3",), "method_options": (), "space": "enas"}
        return given | {"holdout": 0.1, "max_params": None, "max_macs": None}

    with pytest.raises(RaysweepError, match=r"supernet.* random"):
        check_rank(take_nas(asked("random")), 20)
    with pytest.raises(RaysweepError, match=r"--rank is 1"):
        check_rank(take_nas(asked("enas")), 1)


def test_a_network_without_sub_batches_is_not_told_to_use_fewer() -> None:
    with pytest.raises(RaysweepError) as caught:
        take_request({"batch_size": 1, "assignments": ("network.norm=batch",)}, ("activation",)).plan()
    assert "lower" not in str(caught.value)
