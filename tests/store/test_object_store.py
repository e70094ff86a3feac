"""The store on object storage, which has neither folders nor renaming."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.data.manifest import read_manifest
from raysweep.errors import RaysweepError
from raysweep.store.store import Store
from tests.store.test_store import member_row, trial_row

TRIAL = "0123456789ab"


def test_everything_comes_back(uri: str, small_images: Path) -> None:
    store = Store.open(uri, create=True)
    manifest = read_manifest(small_images)
    for status in ("running", "finished"):
        store.write_trial(trial_row(status=status))
    store.write_epochs(TRIAL, [{"trial": TRIAL, "epoch": 1, "top1": 0.2}])
    store.write_members([member_row()])
    store.write_manifest(manifest)
    again = Store.open(uri)
    assert again.trials()["status"].to_pylist() == ["finished"]
    assert again.epochs()["top1"].to_pylist() == [0.2]
    assert again.members()["variant"].to_pylist() == ["relu"]
    assert again.manifests() == {manifest.digest: manifest}
    assert again.find_trial("0123") == TRIAL
    assert not again.problems


def test_checkpoints_come_and_go(uri: str) -> None:
    store = Store.open(uri, create=True)
    store.write_checkpoint(TRIAL, b"state" * 1000)
    assert Store.open(uri).read_checkpoint(TRIAL) == b"state" * 1000
    for _ in range(2):
        store.delete_checkpoint(TRIAL)
    assert store.read_checkpoint(TRIAL) is None


def test_an_empty_bucket_holds_no_store(uri: str) -> None:
    assert Store.open_if_exists(uri) is None
    with pytest.raises(RaysweepError, match=uri):
        Store.open(uri)


def test_a_bucket_that_is_not_there_is_refused(uri: str) -> None:
    with pytest.raises(RaysweepError, match="s3://nobody"):
        Store.open("s3://nobody/results", create=True)
