"""Trials of a sweep on Ray that share the images they decode: numbers are those of trials that share nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from raysweep.store.store import Store
from tests.end_to_end.few_images import few_images
from tests.verbs.test_cli import good

EXACT = ("trial", "epoch", "train_loss", "top1", "logloss")
IN_ORDER = [("trial", "ascending"), ("epoch", "ascending")]


def sharers() -> set[str]:
    """Ids of the processes that have a shared stream of images mapped."""
    found = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            if f"/dev/shm/raysweep-{Path('/proc/self').stat().st_uid}-" in maps.read_text():
                found.add(maps.parent.name)
        except OSError:  # it has just ended
            continue
    return found


@pytest.mark.long
def test_trials_on_ray_share_what_they_decode_and_nothing_changes(real_images: Path, tmp_path: Path) -> None:
    source = few_images(real_images / "imagenette144.parquet", tmp_path / "few.parquet", train=30, test=5)
    good("data", "write", source, tmp_path / "data", "--encoding", "jpg")
    # Equalised in the stream: not what is decoded once and kept, but what trials share as they go.
    words = ["run", "activation", "--variants", "elu,tanh", "--protocol", "imagenette128", "--data", tmp_path / "data"]
    words += ["--set", "data.preprocess=histeq", "--width", "0.125", "--epochs", "4", "--batch-size", "16"]
    good(*words, "--store", tmp_path / "apart", "--inline")
    command = [sys.executable, "-m", "raysweep", *map(str, words), "--store", str(tmp_path / "shared")]
    most: set[str] = set()
    with subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.PIPE, text=True) as sweep:
        while sweep.poll() is None:
            most = max(most, sharers(), key=len)
            time.sleep(0.1)
        assert sweep.returncode == 0, sweep.stderr and sweep.stderr.read()
    assert len(most) == 2
    assert not sharers()
    apart, shared = (
        Store.open(str(tmp_path / name))
        .epochs()
        .select(EXACT)
        .sort_by([("trial", "ascending"), ("epoch", "ascending")])
        for name in ("apart", "shared")
    )
    assert len(apart) == 3 * 4
    assert shared.equals(apart)
