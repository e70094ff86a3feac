"""The store on object storage, which has neither folders nor renaming."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.data.manifest import read_manifest
from raysweep.errors import RaysweepError
from raysweep.store.asked_questions import AskedQuestions
from raysweep.store.decision_log import DecisionLog
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


def test_a_question_of_decide_is_followed_and_protected_from_another_writer(uri: str) -> None:
    store = Store.open(uri, create=True)
    head = {"study": "activation", "variants": ["relu", "elu"], "baseline": "relu", "margin": 1.0, "level": 0.05}
    questions = AskedQuestions(store.files, store.note)
    assert questions.refresh() == []
    slow, fast = (DecisionLog(store.files, "activation-1", head | {"settings": {}}) for _ in range(2))
    fast.add({"variant": "elu", "seed": 0, "trial": "a", "value": 61.5})
    (found,) = questions.refresh()
    assert (found.trials["elu"], found.stop) == (["a"], "")
    with pytest.raises(RaysweepError, match=r"decisions/activation-1\.jsonl"):
        slow.add({"variant": "elu", "seed": 0, "trial": "a", "value": 99.9})
    again = DecisionLog(store.files, "activation-1", head | {"settings": {}})
    again.add({"stop": "the time is used"})
    (found,) = questions.refresh()
    assert (found.trials["elu"], found.stop, store.problems) == (["a"], "the time is used", [])
    with pytest.raises(RaysweepError, match=r"solver\.lr"):
        DecisionLog(store.files, "activation-1", head | {"settings": {"solver.lr": 0.1}})
