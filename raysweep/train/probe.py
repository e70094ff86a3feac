"""How many trials a device can train at once: the same network in one process, then in two, four and eight together.

Each process makes updates on random images, as a trial would. Memory is that of the first one; speed is what all of
them reach together, by the clock. `python -m raysweep.train.probe` is one of these processes: it reads a `Question` as
a line of JSON. Then it answers each further line: `null` with its `Memory`, and a number of seconds with the images per
second that it trained in about this time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise

from raysweep.train.asking import answer, process, send
from raysweep.train.memory import free_and_total_gib, reserved_gib
from raysweep.train.work import Question, Work, batches_in, seconds

MODULE = "raysweep.train.probe"
SECONDS = 1.0
"""Duration of each measurement, with all processes at once."""
MOST = 8
"""Largest number of processes at once."""
ROOM = 0.5
"""Share of the device's memory that networks may fill: images may take the other half, see `train/feed.py`."""
LEAST_GAIN = 1.1
"""Twice as many processes must train at least this many times the images, or the smaller number is as good."""
MOST_BATCHES = 10**6


@dataclass(frozen=True)
class Carried:
    """A measurement: how many trials a device can train at once, and why no more."""

    trials: int
    memory_gib: float
    """Memory that one trial takes: of the accelerator if there is one, else of the machine."""
    images_per_s: dict[int, float]
    """Number of trials at once -> training images per second of all of them."""


@dataclass(frozen=True)
class Memory:
    """What a process reports about its device, GiB."""

    own: float
    """What the process has taken; on an accelerator without the driver's part, which it cannot see."""
    free: float
    total: float


def carried(question: Question, most: int = MOST) -> Carried:
    """Measure with more and more processes, until memory is full or more of them train no more images.

    Raises:
        RuntimeError: not even one process can train; holds the last line of its error.
    """
    with ExitStack() as stack:
        processes = [stack.enter_context(process(MODULE, asdict(question)))]
        memory = _memory(processes[0])
        needed, speeds = memory.own, {1: _together(processes)}
        while fewest_that_pay(speeds) == len(processes) <= min(most, int(ROOM * memory.total / needed)) // 2:
            free = _memory(processes[0]).free
            started = [stack.enter_context(process(MODULE, asdict(question))) for _ in processes]
            left = min(_memory(asked).free for asked in started)
            if question.device != "cpu":
                needed = max(needed, (free - left) / len(started))
            processes += started
            speeds[len(processes)] = _together(processes)
    return Carried(fewest_that_pay(speeds), needed, speeds)


def fewest_that_pay(speeds: Mapping[int, float]) -> int:
    """Return the number of trials at once beyond which twice as many gain too little."""
    counts = sorted(speeds)
    for fewer, more in pairwise(counts):
        if speeds[more] < LEAST_GAIN * speeds[fewer]:
            return fewer
    return counts[-1]


def _memory(asked: subprocess.Popen[str]) -> Memory:
    """Ask a process that has started to train for its memory."""
    send(asked, None)
    return Memory(**answer(asked))


def _together(processes: Sequence[subprocess.Popen[str]]) -> float:
    """Measure images per second of all processes at once."""
    for asked in processes:
        send(asked, SECONDS)
    return sum(float(answer(asked)) for asked in processes)


def serve(lines: Iterator[str]) -> None:
    """Run one of the processes."""
    work = Work.begin(Question(**json.loads(next(lines))))
    for _ in range(2):  # the second update holds what the first has left behind, such as momentum
        work.train()
    for line in lines:
        wanted_s = json.loads(line)
        answer = asdict(_own_memory(work)) if wanted_s is None else _rate(work, wanted_s)
        print(json.dumps(answer), flush=True)


def _own_memory(work: Work) -> Memory:
    return Memory(reserved_gib(work.device), *free_and_total_gib(work.device))


def _rate(work: Work, wanted_s: float) -> float:
    batches = batches_in(wanted_s, work.train, work.device, MOST_BATCHES)
    return work.images * batches / seconds(work.train, batches, work.device)


if __name__ == "__main__":
    serve(sys.stdin)
