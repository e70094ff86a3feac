"""Speed and memory of one network on one device: `python -m raysweep.train.bench` runs in a process of its own.

It reads a `Question` as JSON from standard input and writes the row to standard output.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
from typing import Any

from raysweep.train import memory
from raysweep.train.work import Question as WorkQuestion
from raysweep.train.work import Work, images_per_s


@dataclasses.dataclass(frozen=True)
class Question(WorkQuestion):
    """What to measure, and how many times."""

    repeats: int


def measure(question: Question) -> dict[str, Any]:
    """Measure images per second of training and testing (median, least and most of the repeats), and peak memory, GiB.

    Raises:
        RaysweepError: a recipe that cannot be trained.
        torch.OutOfMemoryError: the device has too little memory.
    """
    work = Work.begin(question)
    memory.reset_peak(work.device)
    work.network.train()
    trained = images_per_s(work.train, work, question.repeats)
    peak = memory.peak_gib(work.device)
    work.network.eval()
    tested = images_per_s(work.test, work, question.repeats)
    return {**_named("train", trained), **_named("test", tested), "peak_memory_gib": peak}


def _named(what: str, found: list[float]) -> dict[str, float]:
    return {
        f"{what}_images_per_s": statistics.median(found),
        f"{what}_images_per_s_least": min(found),
        f"{what}_images_per_s_most": max(found),
    }


if __name__ == "__main__":
    print(json.dumps(measure(Question(**json.load(sys.stdin)))))
