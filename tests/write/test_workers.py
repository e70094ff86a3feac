"""Workers that die, hang or cannot start."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.errors import RaysweepError
from raysweep.write import workers
from raysweep.write.encode import encode_all
from raysweep.write.forms import Form
from raysweep.write.sources.base import Samples
from raysweep.write.sources.generated import GeneratedSamples, GeneratedSource
from raysweep.write.workers import Encoders, Task
from raysweep.write.write_sets import write_images

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
FORMS = (Form(side=16, encoding="raw"), Form(side=20, encoding="jpg"))


class Faulty(GeneratedSamples):
    """Does something at some images: always, or until it has left a mark."""

    def __init__(self, fault: Callable[[], None], at: tuple[int, ...], mark: Path | None = None) -> None:
        super().__init__("train", 40, 20, 0)
        self.fault, self.at, self.mark = fault, at, mark

    def picture(self, index: int) -> Pixels:
        if index in self.at and not (self.mark and self.mark.exists()):
            if self.mark:
                self.mark.touch()
            self.fault()
        return super().picture(index)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise ValueError("a bug")


def hang() -> None:
    time.sleep(1000)


def source_of(samples: Samples) -> GeneratedSource:
    source = GeneratedSource(40, 10, side=20)
    source.splits = {"train": samples, "test": source.splits["test"]}
    return source


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_tasks_and_whole(workers: int) -> None:
    samples = GeneratedSamples("train", 40, 20, 0)
    tasks = [Task("train", list(range(first, min(first + 7, 40))), FORMS) for first in range(0, 40, 7)]
    with Encoders({"train": samples}, workers) as pool:
        found = list(pool.encode(iter(tasks)))
        again = list(pool.encode(iter(tasks[:2])))
        processes = [worker.process for worker in pool.workers]
    assert all(process.poll() is not None for process in processes)
    for task, encoded in zip(tasks, found, strict=True):
        expected = encode_all(samples, task.indices, FORMS)
        np.testing.assert_array_equal(encoded.rows, expected.rows)
        assert encoded.data == expected.data
        assert encoded.seconds > 0
    assert [encoded.data for encoded in again] == [encoded.data for encoded in found[:2]]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (die, "the process that decodes it ended by SIGKILL"),
        (fail, "with exit status 1. Its last words: ValueError: a bug"),
    ],
)
def test_images_that_end_their_process_are_named(tmp_path: Path, fault: Callable[[], None], words: str) -> None:
    source = source_of(Faulty(fault, (0, 30)))
    with pytest.raises(RaysweepError) as caught:
        write_images(source, tmp_path / "out")
    lines = str(caught.value).splitlines()
    assert lines[0] == "2 of 50 images cannot be stored:"
    assert [line.partition(" (")[0] for line in lines[1:3]] == [f"  generated train image {k}" for k in (0, 30)]
    assert words in lines[1]
    assert words in lines[2]
    manifest = write_images(source, tmp_path / "out", skip_bad=True)
    assert manifest.splits["train"].images == 38


def test_a_worker_that_was_killed_by_chance_is_replaced(tmp_path: Path) -> None:
    source = source_of(Faulty(die, (30,), tmp_path / "mark"))
    manifest = write_images(source, tmp_path / "out")
    assert (tmp_path / "mark").exists()
    assert manifest == write_images(GeneratedSource(40, 10, side=20), tmp_path / "plain")


def test_an_image_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "STALL_S", 5.0)
    tasks = [Task("train", [index], FORMS) for index in (29, 30, 31)]
    with Encoders({"train": Faulty(hang, (30,))}, 2) as pool:
        found = list(pool.encode(iter(tasks)))
    assert [encoded.reasons for encoded in found] == [
        {},
        {30: "the process that decodes it did not answer for 5 s"},
        {},
    ]
    assert [len(part.data[0]) > 0 for part in found] == [True, False, True]


def test_workers_that_end_again_and_again_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "MAX_DEATHS", 3)
    with pytest.raises(RaysweepError, match=r"the last one ended by SIGKILL.*fewer --workers"):
        write_images(source_of(Faulty(die, tuple(range(40)))), tmp_path / "out")


def test_a_worker_that_cannot_start_is_an_error_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('no libGL')")
    (tmp_path / "PIL.py").write_text("raise ImportError('no libjpeg')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RaysweepError, match=r"ended with exit status 1.*ImportError: no libjpeg"):
        write_images(GeneratedSource(40, 10, side=20), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_workers_end_with_the_process_that_started_them() -> None:
    pool = Encoders({"train": GeneratedSamples("train", 40, 20, 0)}, 1)
    list(pool.encode(iter([Task("train", [0], FORMS)])))
    process = pool.workers[0].process
    pool.workers[0].connection.close()
    assert process.wait(timeout=20) == 0
    with pool:
        pass
