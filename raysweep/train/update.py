"""One update of a trial's weights, in as many sub-batches as the recipe says or memory demands."""

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
    """A network and what updates it."""

    recipe: Recipe
    place: Placement
    device: torch.device
    network: nn.Module
    model: nn.Module
    """The network, or what averages its gradients over the ranks."""
    solver: torch.optim.Optimizer
    parts: int
    """Sub-batches of every update: the recipe's, or more where memory was short."""

    def autocast(self) -> AbstractContextManager[Any]:
        """The recipe's precision."""
        dtype = DTYPES[self.recipe.training.precision]
        return torch.autocast(self.device.type, dtype) if dtype != torch.float32 else nullcontext()


def fitted_update(trial: Training, inputs: Tensor, labels: Tensor) -> Tensor:
    """One update; where memory does not suffice, with more sub-batches from here on. Returns the mean loss.

    Without statistics over the batch the gradient is the same but for rounding. The epoch's row says how many.

    Raises:
        OutOfMemoryError: memory does not suffice and the batch may not be divided.
    """
    while True:
        try:
            return update(trial, inputs, labels)
        except torch.OutOfMemoryError:
            pass  # left before the next attempt, so that the failed one's tensors are freed
        trial.parts = more_parts(trial, len(labels))
        trial.solver.zero_grad()
        if trial.device.type == "cuda":
            torch.cuda.empty_cache()


def more_parts(trial: Training, rows: int) -> int:
    """The next larger number of equal sub-batches of so many rows, at least twice as many.

    Raises:
        OutOfMemoryError: a batch that may not be divided; says what to do.
    """
    larger = next((parts for parts in range(2 * trial.parts, rows + 1) if rows % parts == 0), None)
    reason = "a single image does not fit" if larger is None else ""
    if uses_batch_statistics(trial.network):
        reason = "the network normalises by the statistics of its batches, which fewer images would change"
    if trial.place.world_size > 1:
        reason = "its workers would have to agree"
    if larger is None or reason:
        raise OutOfMemoryError(
            f"out of memory on {trial.device} with {rows // trial.parts} images at a time, and {reason}: use a larger "
            f"device, or change the recipe with --set training.accumulate={2 * trial.parts}."
        )
    return larger


def update(trial: Training, inputs: Tensor, labels: Tensor) -> Tensor:
    """One update from this rank's rows of a batch; returns the mean loss."""
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
    """Mean cross-entropy, nats: of logits (N, outputs), or of (1 + heads, N, outputs) with the weight for each head."""
    if logits.dim() == 2:
        return F.cross_entropy(logits, classes)
    last, *others = logits
    return F.cross_entropy(last, classes) + aux_weight * sum(F.cross_entropy(head, classes) for head in others)


def _gradients_shared(trial: Training, share: bool) -> AbstractContextManager[Any]:
    # Ranks exchange gradients once per update, with the last sub-batch.
    if isinstance(trial.model, DistributedDataParallel) and not share:
        return trial.model.no_sync()
    return nullcontext()
