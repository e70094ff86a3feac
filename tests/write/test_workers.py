"""Workers that die, hang or cannot start."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.errors import RaysweepError
from raysweep.write import workers
from raysweep.write.encode import Task, encode_all
from raysweep.write.forms import Form
from raysweep.write.sources.base import Samples
from raysweep.write.sources.generated import GeneratedSamples, GeneratedSource
from raysweep.write.workers import Workers
from raysweep.write.write_sets import write_images

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
FORMS = (Form(side=16, encoding="raw"), Form(side=20, encoding="jpg"))


class Faulty(GeneratedSamples):
    """Fails at some images: always, or until it has left a mark."""

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
def test_every_task_has_its_whole_result(workers: int) -> None:
    samples = GeneratedSamples("train", 40, 20, 0)
    tasks = [Task("train", list(range(first, min(first + 7, 40))), FORMS) for first in range(0, 40, 7)]
    with Workers({"train": samples}, workers) as pool:
        found = {task.indices[0]: encoded for task, encoded in pool.results(iter(tasks))}
        again = {task.indices[0]: encoded for task, encoded in pool.results(iter(tasks[:2]))}
        processes = [worker.process for worker in pool.workers]
    assert all(process.poll() is not None for process in processes)
    assert len(found) == len(tasks)
    for task in tasks:
        encoded = found[task.indices[0]]
        expected = encode_all(samples.picture, task.indices, FORMS)
        np.testing.assert_array_equal(encoded.rows, expected.rows)
        assert encoded.data == expected.data
        assert encoded.seconds > 0
    assert {first: encoded.data for first, encoded in again.items()} == {k: found[k].data for k in (0, 7)}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (die, "SIGKILL"),
        (fail, r"exit status 1\b.*ValueError: a bug"),
    ],
)
def test_images_that_end_their_process_are_named(tmp_path: Path, fault: Callable[[], None], words: str) -> None:
    source = source_of(Faulty(fault, (0, 30)))
    with pytest.raises(RaysweepError) as caught:
        write_images(source, tmp_path / "out")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("2 of 50 images")
    assert [line.partition(" (")[0] for line in lines[1:3]] == [f"  generated train image {k}" for k in (0, 30)]
    assert re.search(words, lines[1])
    assert re.search(words, lines[2])
    manifest = write_images(source, tmp_path / "out", skip_bad=True)
    assert manifest.splits["train"].images == 38


def test_a_worker_that_was_killed_by_chance_is_replaced(tmp_path: Path) -> None:
    source = source_of(Faulty(die, (30,), tmp_path / "mark"))
    manifest = write_images(source, tmp_path / "out")
    assert (tmp_path / "mark").exists()
    assert manifest == write_images(GeneratedSource(40, 10, side=20), tmp_path / "plain")


def test_an_image_that_never_finishes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "STALL_S", 5.0)
    tasks = [Task("train", [index], FORMS) for index in (29, 30, 31)]
    with Workers({"train": Faulty(hang, (30,))}, 2) as pool:
        found = {task.indices[0]: encoded for task, encoded in pool.results(iter(tasks))}
    assert {index: list(encoded.reasons) for index, encoded in found.items()} == {29: [], 30: [30], 31: []}
    assert "5 s" in found[30].reasons[30]
    assert {index: len(encoded.data[0]) > 0 for index, encoded in found.items()} == {29: True, 30: False, 31: True}


def test_workers_that_end_again_and_again_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "MAX_DEATHS", 3)
    with pytest.raises(RaysweepError, match=r"SIGKILL.*--workers"):
        write_images(source_of(Faulty(die, tuple(range(40)))), tmp_path / "out")


def test_a_worker_that_cannot_start_is_an_error_with_its_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = tmp_path / "modules"  # not the working directory, which workers leave out
    modules.mkdir()
    (modules / "cv2.py").write_text("raise ImportError('no libGL')")
    (modules / "PIL.py").write_text("raise ImportError('no libjpeg')")
    monkeypatch.syspath_prepend(modules)
    with pytest.raises(RaysweepError, match=r"exit status 1\b.*ImportError: no libjpeg"):
        write_images(GeneratedSource(40, 10, side=20), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_workers_end_with_the_process_that_started_them() -> None:
    pool = Workers({"train": GeneratedSamples("train", 40, 20, 0)}, 1)
    list(pool.results(iter([Task("train", [0], FORMS)])))
    process = pool.workers[0].process
    pool.workers[0].connection.close()
    assert process.wait(timeout=20) == 0
    with pool:
        pass


def test_leaving_the_pool_ends_workers_that_are_busy_and_none_is_replaced() -> None:
    tasks = [Task("train", [index], FORMS) for index in range(40)]
    start = time.monotonic()
    with Workers({"train": Faulty(hang, (1, 2, 3))}, 2) as pool:
        next(pool.results(iter(tasks)))
    assert time.monotonic() - start < workers.STALL_S / 2
    assert all(worker.process.returncode == -signal.SIGKILL for worker in pool.workers)


def test_a_task_that_is_split_up_has_one_result() -> None:
    tasks = [Task("train", list(range(first, first + 20)), FORMS) for first in (0, 20)]
    with Workers({"train": Faulty(die, (3, 9, 30))}, 3) as pool:
        found = list(pool.results(iter(tasks)))
    assert sorted(task.indices[0] for task, _ in found) == [0, 20]
    for task, encoded in found:
        assert encoded.rows["index"].tolist() == list(task.indices)
        assert list(encoded.reasons) == [index for index in (3, 9, 30) if index in task.indices]
