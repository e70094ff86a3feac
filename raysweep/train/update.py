"""One update of a trial's weights, in as many sub-batches as the recipe says or memory requires."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from raysweep.errors import OutOfMemoryError
from raysweep.nn.norms import uses_batch_statistics
from raysweep.optim.solvers import clip_gradients
from raysweep.recipe import Recipe
from raysweep.train.task import Placement

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass
class Training:
    """A network, and the solver and settings of its updates."""

    recipe: Recipe
    place: Placement
    device: torch.device
    network: nn.Module
    model: nn.Module
    """The network, or its wrapper that averages gradients over the ranks."""
    solver: torch.optim.Optimizer
    parts: int
    """Number of sub-batches per update: the recipe's, or more if memory was short."""

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context with the recipe's precision."""
        dtype = DTYPES[self.recipe.training.precision]
        return torch.autocast(self.device.type, dtype) if dtype != torch.float32 else nullcontext()


def fitted_update(trial: Training, inputs: Tensor, labels: Tensor) -> Tensor:
    """Make one update; if memory is too small, use more sub-batches from then on. Returns the mean loss.

    Without statistics over the batch the gradient is the same but for rounding. The epoch's row records the number.

    Raises:
        OutOfMemoryError: memory is too small and the batch must not be divided.
    """
    while True:
        try:
            return update(trial, inputs, labels)
        except torch.OutOfMemoryError:
            pass  # leave the handler before the next attempt, so that the failed one's tensors are freed
        trial.parts = more_parts(trial, len(labels))
        trial.solver.zero_grad()
        if trial.device.type == "cuda":
            torch.cuda.empty_cache()


def more_parts(trial: Training, rows: int) -> int:
    """Return the next larger number of equal sub-batches of N rows, at least twice the current one.

    Raises:
        OutOfMemoryError: the batch must not be divided.
    """
    larger = next((parts for parts in range(2 * trial.parts, rows + 1) if rows % parts == 0), None)
    reason = "a single image does not fit" if larger is None else ""
    if uses_batch_statistics(trial.network):
        reason = "the batch cannot be divided further because normalisation depends on it"
    if trial.place.world_size > 1:
        reason = "the batch cannot be divided further because the trial has several workers"
    if larger is None or reason:
        raise OutOfMemoryError(
            f"out of memory on {trial.device} with {rows // trial.parts} images at a time, and {reason}: use a device "
            f"with more memory, or change the recipe with --set training.accumulate={2 * trial.parts}."
        )
    return larger


def update(trial: Training, inputs: Tensor, labels: Tensor) -> Tensor:
    """Make one update from this rank's rows of a batch; returns the mean loss."""
    trial.solver.zero_grad()
    total = torch.zeros((), device=trial.device)
    for part, (images, classes) in enumerate(zip(inputs.chunk(trial.parts), labels.chunk(trial.parts), strict=True), 1):
        with _gradients_shared(trial, part == trial.parts):
            with trial.autocast():
                loss = loss_of(trial.model(images).float(), classes, trial.recipe.network.aux_weight) / trial.parts
            loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    clip_gradients(trial.network, trial.recipe.solver.clip_norm)
    trial.solver.step()
    return total


def loss_of(logits: Tensor, classes: Tensor, aux_weight: float) -> Tensor:
    """Return the mean cross-entropy, nats, of logits (N, outputs) or, with auxiliary heads, (1 + heads, N, outputs)."""
    if logits.dim() == 2:
        return F.cross_entropy(logits, classes)
    last, *others = logits
    return F.cross_entropy(last, classes) + aux_weight * sum(F.cross_entropy(head, classes) for head in others)


def _gradients_shared(trial: Training, share: bool) -> AbstractContextManager[Any]:
    # Ranks exchange gradients once per update, with the last sub-batch.
    if isinstance(trial.model, DistributedDataParallel) and not share:
        return trial.model.no_sync()
    return nullcontext()
