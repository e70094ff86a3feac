"""Speed and memory of one network on one device: `python -m raysweep.train.bench` runs in a process of its own.

It reads a `Question` and the number of repeats as JSON from standard input and writes the row to standard output.
"""

from __future__ import annotations

import json
import statistics
import sys
from typing import Any

from raysweep.train import memory
from raysweep.train.work import Question, Work, images_per_s


def measure(question: Question, repeats: int) -> dict[str, Any]:
    """Measure images per second of training and testing (median, least and most of the repeats), and peak memory, GiB.

    Raises:
        RaysweepError: a recipe that cannot be trained.
        torch.OutOfMemoryError: the device has too little memory.
    """
    work = Work.begin(question)
    memory.reset_peak(work.device)
    work.network.train()
    trained = images_per_s(work.train, work, repeats)
    peak = memory.peak_gib(work.device)
    work.network.eval()
    tested = images_per_s(work.test, work, repeats)
    return {**_named("train", trained), **_named("test", tested), "peak_memory_gib": peak}


def _named(what: str, found: list[float]) -> dict[str, float]:
    return {
        f"{what}_images_per_s": statistics.median(found),
        f"{what}_images_per_s_least": min(found),
        f"{what}_images_per_s_most": max(found),
    }


if __name__ == "__main__":
    question, repeats = json.load(sys.stdin)
    print(json.dumps(measure(Question(**question), repeats)))
