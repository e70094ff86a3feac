"""Measure how fast this machine trains: a few seconds of the baseline, in as many processes as trials run at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from raysweep.cost import find_cost
from raysweep.errors import RaysweepError
from raysweep.pace import Pace, keep, recalled, today
from raysweep.patch import patch
from raysweep.process.machine import usable_cores, usable_memory
from raysweep.recipe import Recipe
from raysweep.request import Request

if TYPE_CHECKING:
    from raysweep.train.work import Question

GENERATED_TRAIN, GENERATED_TEST = 512, 256
BUSY = 0.5
"""Load of each core above which a measurement is not that of this machine alone."""


def pace_here(request: Request, note: Callable[[str], None], threads: int = 1, again: bool = False) -> Pace:
    """The pace of this machine for the baseline of a request: remembered, or measured now (`again`: in any case).

    It is measured on the images of the request if they have been written, else on generated ones of the same side.

    Raises:
        RaysweepError: the baseline cannot be trained here. Nothing is remembered then.
    """
    baseline = request.baseline()
    if not again and (found := recalled(baseline, threads)):
        return found
    note("measuring how fast this machine trains; the result is remembered")
    if (load := os.getloadavg()[0]) > BUSY * usable_cores():
        note(f"other work keeps this machine busy (load {load:.1f}): `raysweep plan ... --measure` measures again")
    with _images(request, baseline) as (folder, recipe):
        pace = measured(recipe, folder, threads)
    keep(baseline, threads, pace)
    return pace


def measured(recipe: Recipe, folder: Path, threads: int = 1) -> Pace:
    """Measure the pace of a recipe on the images of a folder.

    Raises:
        RaysweepError: it cannot be trained here.
    """
    import torch

    from raysweep.train.pace import rates
    from raysweep.train.work import Question

    device = "cuda" if torch.cuda.is_available() else "cpu"
    question = Question.about(recipe, device, threads)
    cost = find_cost(recipe)
    try:
        each = _per_gpu(question) if device == "cuda" else workers_on_cpus(threads)
        found = rates(question, folder, each)
    except RuntimeError as error:
        raise RaysweepError(f"cannot measure how fast this machine trains: {error}") from None
    workers = min(each * max(1, torch.cuda.device_count()), workers_on_cpus(threads))
    return Pace(**asdict(found), macs=cost.macs, workers=workers, measured=today(), activations=cost.activations)


def workers_on_cpus(threads: int) -> int:
    """The number of trials at once for which this machine has cores and memory, as for a sweep on a local Ray."""
    from raysweep.orchestrate.packing import Layout, bounded
    from raysweep.train.worker import GangShape

    cores = usable_cores()
    layout = Layout(GangShape(cpus=min(threads, cores)), [{"CPU": float(cores)}], [], None, cores)
    return bounded(layout, usable_memory().free, lambda _text: None).gangs


def _per_gpu(question: Question) -> int:
    """The number of trials that share a GPU."""
    import torch

    from raysweep.train.probe import MOST, carried

    return carried(question, max(1, min(MOST, workers_on_cpus(question.threads) // torch.cuda.device_count()))).trials


@contextmanager
def _images(request: Request, baseline: Recipe) -> Iterator[tuple[Path, Recipe]]:
    """The folder of the request's images, or a temporary one of generated images, and the baseline for it."""
    if sets := request.image_sets():
        yield sets.folder_of(baseline.data), baseline
        return
    from raysweep.write.sources.generated import CLASSES, GeneratedSource
    from raysweep.write.write_sets import write_images

    data = baseline.data
    with TemporaryDirectory(prefix="raysweep-pace-") as name:
        folder = Path(name) / "images"
        write_images(
            GeneratedSource(GENERATED_TRAIN, GENERATED_TEST, side=data.short_side), folder, rescale=data.rescale
        )
        yield folder, patch(baseline, {"network.outputs": max(len(CLASSES), baseline.network.outputs)})
