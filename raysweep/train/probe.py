"""How many trials a device carries at once: the same network trained in one process, then two, four, eight together.

Each is a process of its own that makes updates on random images as a trial would. Memory is what the first one takes;
speed is what all of them together reach by the clock. `python -m raysweep.train.probe` is one of them: it reads a
`Question` as a line of JSON and then, line after line, `null`, which it answers with its `Memory`, or a number of
seconds, which it answers with the images per second it has trained for about so long.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from raysweep.identity import recipe_from_json
from raysweep.train.task import Placement

if TYPE_CHECKING:
    import torch

    from raysweep.train.bench import Work

SECONDS = 1.0
"""Of each measurement, all processes at once."""
MOST = 8
"""Processes at once."""
ROOM = 0.5
"""Share of the device's memory that networks may fill: images may take the other half, see `train/feed.py`."""
LEAST_GAIN = 1.1
"""Twice as many processes must train so many times the images, or the fewer ones are as good."""


@dataclass(frozen=True)
class Question:
    """What to train, and where."""

    recipe: str
    """Canonical JSON."""
    device: str
    threads: int


@dataclass(frozen=True)
class Carried:
    """What was measured: how many trials a device carries at once, and why no more."""

    trials: int
    memory_gib: float
    """Of one of them: of the device, where it is an accelerator, else of the machine."""
    images_per_s: dict[int, float]
    """Number of trials at once -> training images per second of all of them."""


@dataclass(frozen=True)
class Memory:
    """What a process says of its device, GiB."""

    own: float
    """What it has taken; of an accelerator without the driver's part, which it cannot see."""
    free: float
    total: float


def carried(question: Question, most: int = MOST) -> Carried:
    """Measure with more and more processes, until memory is full or more of them train no more images.

    Raises:
        RuntimeError: not even one can train; says its last words.
    """
    with ExitStack() as stack:
        processes = [stack.enter_context(_process(question))]
        memory = _memory(processes[0])
        needed, speeds = memory.own, {1: _together(processes)}
        while fewest_that_pay(speeds) == len(processes) <= min(most, int(ROOM * memory.total / needed)) // 2:
            free = _memory(processes[0]).free
            started = [stack.enter_context(_process(question)) for _ in processes]
            left = min(_memory(process).free for process in started)
            if question.device != "cpu":
                needed = max(needed, (free - left) / len(started))
            processes += started
            speeds[len(processes)] = _together(processes)
    return Carried(fewest_that_pay(speeds), needed, speeds)


def fewest_that_pay(speeds: Mapping[int, float]) -> int:
    """The number of trials at once beyond which twice as many gain too little."""
    counts = sorted(speeds)
    for fewer, more in pairwise(counts):
        if speeds[more] < LEAST_GAIN * speeds[fewer]:
            return fewer
    return counts[-1]


@contextmanager
def _process(question: Question) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "raysweep.train.probe"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            _say(process, asdict(question))
            yield process
        finally:
            process.kill()


def _memory(process: subprocess.Popen[str]) -> Memory:
    """Of a process that has begun to train."""
    _say(process, None)
    return Memory(**_answer(process))


def _together(processes: Sequence[subprocess.Popen[str]]) -> float:
    """Images per second of all of them at once."""
    for process in processes:
        _say(process, SECONDS)
    return sum(float(_answer(process)) for process in processes)


def _say(process: subprocess.Popen[str], words: object) -> None:
    assert process.stdin
    with suppress(BrokenPipeError):  # it has ended: its answer says why
        print(json.dumps(words), file=process.stdin, flush=True)


def _answer(process: subprocess.Popen[str]) -> Any:
    assert process.stdout
    assert process.stderr
    if line := process.stdout.readline():
        return json.loads(line)
    said = process.stderr.read().strip().splitlines()
    raise RuntimeError(said[-1] if said else f"a process of the measurement ended with status {process.wait()}")


def serve(lines: Iterator[str]) -> None:
    """Be one of the processes."""
    import torch

    from raysweep.train.bench import Work

    question = Question(**json.loads(next(lines)))
    torch.set_num_threads(question.threads)
    work = Work.begin(recipe_from_json(question.recipe), Placement(device=question.device, threads=question.threads))
    for _ in range(2):  # the second one holds what the first has left behind, such as momentum
        work.train()
    for line in lines:
        seconds = json.loads(line)
        answer = asdict(_own_memory(work.device)) if seconds is None else _rate(work, seconds)
        print(json.dumps(answer), flush=True)


def _own_memory(device: torch.device) -> Memory:
    from raysweep.train.memory import free_and_total_gib, reserved_gib

    return Memory(reserved_gib(device), *free_and_total_gib(device))


def _rate(work: Work, seconds: float) -> float:
    from raysweep.train import bench

    batches = max(1, round(seconds / bench.seconds(work.train, 1, work.device)))
    return work.images * batches / bench.seconds(work.train, batches, work.device)


if __name__ == "__main__":
    serve(sys.stdin)
