"""A whole sweep, images included, from and into object storage."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from tests.store.s3 import bucket
from tests.verbs.test_cli import SMALL

CODE = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.long


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    with bucket() as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield dict(os.environ) | {"RAY_AUTH_MODE": "disabled"}


def call(environment: dict[str, str], *words: object) -> str:
    """What the words print after Python's name; they must succeed."""
    done = subprocess.run(
        [sys.executable, *map(str, words)], env=environment, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_sweep_reads_its_images_from_a_bucket_and_writes_its_results_into_it(
    environment: dict[str, str], small_images: Path, tmp_path: Path
) -> None:
    store = "s3://bucket/results"
    pafs.copy_files(str(small_images), "s3://bucket/images")
    call(environment, CODE / "cluster" / "fetch_images.py", "s3://bucket/images", tmp_path / "images")
    words = ("-m", "raysweep", "run", "activation", *SMALL, "--data", tmp_path / "images", "--store", store)
    assert "3 finished, 0 diverged, 0 failed" in call(environment, *words, "--workers", "2")
    assert "3 trials, 3 finished before" in call(environment, *words)
    assert "finished" in call(environment, "-m", "raysweep", "status", "--store", store)
    call(environment, "-m", "raysweep", "report", "activation", "--store", store, "--out", tmp_path / "report")
    assert list((tmp_path / "report").glob("*.html"))
