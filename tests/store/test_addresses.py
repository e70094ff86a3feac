"""Addresses of stores that would be taken for others or hold credentials, and names that would lead outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from raysweep.addresses import check_address, check_name, redacted
from raysweep.errors import RaysweepError
from raysweep.request import found_in
from raysweep.store.store import Store
from raysweep.verbs.entry import raysweep

SECRET = "wJalrXUtnFEMI"


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("s3:/bucket/x", "s3://bucket/x"),
        ("s3:bucket", "s3://bucket"),
        ("gs:/bucket", "gs://bucket"),
        ("S3://bucket", "s3://bucket"),
        ("file:results", "file:///results"),
        ("FILE:/tmp/x", "file:///tmp/x"),
        ("abfs:/x", "abfs://x"),
    ],
)
def test_a_uri_in_a_form_that_would_be_a_folder_is_refused(address: str, form: str, tmp_path: Path) -> None:
    for use in (check_address, found_in, lambda uri: Store.open(uri, create=True)):
        with pytest.raises(RaysweepError) as error:
            use(address)
        assert form in str(error.value)
        assert f"./{address}" in str(error.value)
    assert not [path for path in tmp_path.iterdir() if ":" in path.name]


@pytest.mark.parametrize(
    "words",
    [["results", "x", "--out", "s3://b/x.csv"], ["report", "x", "--out", "s3:/b"], ["data", "write", "x", "gs://b"]],
)
def test_a_uri_where_a_path_is_needed_makes_no_folder(words: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(raysweep, words)
    assert isinstance(done.exception, RaysweepError)
    assert words[-1] in str(done.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", ["", "a\0b"])
def test_no_address_at_all(address: str) -> None:
    with pytest.raises(RaysweepError):
        Store.open(address, create=True)


@pytest.mark.parametrize("address", ["results", "~/x", "./s3:/bucket", "run:3", "s3://b/x:y@z", "gs://anonymous@b/x"])
def test_folders_and_uris_are_left_as_they_are(address: str) -> None:
    assert check_address(address) == redacted(address) == address


def test_the_folder_that_an_earlier_version_made_can_be_opened(tmp_path: Path) -> None:
    Store.open(str(tmp_path / "s3:" / "bucket"), create=True)
    assert Store.open("./s3:/bucket").uri == str(tmp_path / "s3:" / "bucket")


@pytest.mark.parametrize(
    "address",
    [
        f"s3://AKIA:{SECRET}@bucket/x",
        f"s3://AKIA:a/{SECRET}@bucket/x",
        f"gs://:{SECRET}@bucket",
        f"s3://bucket/x?region=eu&secret_key={SECRET}",
        f"abfs://c@a.dfs.core.windows.net/x?sig={SECRET}&scheme=https",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(address: str) -> None:
    assert SECRET not in redacted(f"cannot reach {address}: no route")
    for words in (["status"], ["run", "activation"], ["plan", "activation"]):
        done = CliRunner().invoke(raysweep, [*words, "--store", address])
        assert isinstance(done.exception, RaysweepError)
        assert "***" in str(done.exception)
        assert SECRET not in str(done.exception) + done.output


def test_credentials_in_errors_that_are_stored_already_are_not_shown(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    error = f"RaysweepError: cannot write trials/a in the store s3://AKIA:{SECRET}@bucket/x: no route"
    store.write_trial({"trial": "a", "status": "failed", "error": error})
    row = store.trial("a")
    assert row is not None
    for text in (row["error"], store.trials()["error"][0].as_py()):
        assert text == error.replace(f"AKIA:{SECRET}", "***")
    assert "error" not in store.trials(["trial"]).column_names


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a//b", "a\0b", "", "a/..\\b", "trials/.."])
def test_a_name_that_leads_outside_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RaysweepError):
        check_name(name)
    store = Store.open(str(tmp_path / "store"), create=True)
    for use in (store.files.find, store.files.delete, lambda name: store.files.write(name, b"x")):
        with pytest.raises(RaysweepError):
            use(name)


def test_ids_and_studies_are_no_paths(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"), create=True)
    with pytest.raises(RaysweepError, match=r"\.\./x"):
        store.write_trial({"trial": "../../x", "status": "failed"})
    with pytest.raises(RaysweepError, match="a/b"):
        store.write_members([{"study": "a/b", "variant": "v", "trial": "a"}])
    with pytest.raises(RaysweepError, match=r"\.\./x"):
        store.write_checkpoint("../../x", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
