"""The effect of an initialisation: activations and gradients of every layer in the first updates.

For the figures of the talk by Mishkin et al., "weight initialisation influences activations" and "activations influence
gradient magnitude". The numbers are recorded during the updates themselves, so the training is that of the trial.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from raysweep.nn.blocks import Unit
from raysweep.nn.inits import weighted_layers
from raysweep.train.loop import Trial, train_updates

Row = dict[str, Any]
STEPS = (1, 2, 5)
"""Updates measured in every power of ten, in addition to the first and the last."""


def measured_updates(last: int) -> list[int]:
    """Return the updates to measure: 0, 1, 2, 5, 10, 20, 50, ... up to the last."""
    powers = range(len(str(last)))
    return sorted({0, last, *(step * 10**power for power in powers for step in STEPS if step * 10**power < last)})


class Watch:
    """Records every layer's numbers in one update: variances in the forward pass, magnitudes before the step.

    It is a context manager around the update. With several sub-batches the variances are averaged.
    """

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.names = {layer: name for name, layer in trial.network.named_modules()}
        self.units = {layer: unit for unit in _units(trial.network) for layer in unit.layers}
        self.variances: defaultdict[nn.Module, list[Tensor]] = defaultdict(list)
        self.rows: list[Row] = []
        self.stack = ExitStack()

    def __enter__(self) -> Watch:
        watched: list[nn.Module] = [*weighted_layers(self.trial.network), *_units(self.trial.network)]
        for layer in watched:
            self.stack.callback(layer.register_forward_hook(self._note).remove)
        self.stack.callback(self.trial.solver.register_step_pre_hook(self._read).remove)
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def _note(self, layer: nn.Module, _inputs: object, output: Tensor) -> None:
        self.variances[layer].append(output.detach().float().var(correction=0))

    def _read(self, *_: object) -> None:
        # In the order of the hooks' calls, that is, of execution.
        layers = [layer for layer in self.variances if isinstance(layer, nn.Conv2d | nn.Linear)]
        self.rows = [self._row(depth, layer) for depth, layer in enumerate(layers, 1)]

    def _row(self, depth: int, layer: nn.Conv2d | nn.Linear) -> Row:
        unit = self.units.get(layer)
        weight, gradient = _rms(layer.weight), _rms(layer.weight.grad)
        return {
            "depth": depth,
            "layer": layer_name(self.names[layer]),
            "kind": "conv" if isinstance(layer, nn.Conv2d) else "fc",
            "output_variance": self._variance(layer),
            "activation_variance": None if unit is None else self._variance(unit),
            "weight_rms": weight,
            "gradient_rms": gradient,
            "gradient_to_weight": None if gradient is None or not weight else finite(gradient / weight),
        }

    def _variance(self, layer: nn.Module) -> float | None:
        return finite(torch.stack(self.variances[layer]).mean().item())


def _units(network: nn.Module) -> list[Unit]:
    return [layer for layer in network.modules() if isinstance(layer, Unit)]


def layer_name(path: str) -> str:
    """Return a weighted layer's name as in published files: conv1 for conv1.layers.0, conv1[2] for its 2nd piece."""
    name, piece = re.subn(r"\.layers\.(\d+)$", "", path)
    number = int(path.rpartition(".")[2]) + 1 if piece else 1
    return name if number == 1 else f"{name}[{number}]"


def _rms(values: Tensor | None) -> float | None:
    return None if values is None else finite(values.detach().float().square().mean().sqrt().item())


def finite(value: float) -> float | None:
    """Return the value, or None if it is not finite."""
    return value if math.isfinite(value) else None


def record(
    trial: Trial, updates: Iterable[int], done: Callable[[int], None] = lambda update: None
) -> Iterator[list[Row]]:
    """Train from the start; yields the rows of each of these updates, with the columns of `INIT_STATS`.

    Ends at the first update whose loss is not finite, which is still recorded. `done` is called with the progress.

    Raises:
        RaysweepError: images cannot be read, or memory is too small.
    """
    position = 0
    for update in updates:
        if position < update:
            loss, _ = train_updates(trial, position, update)
        with Watch(trial) as watch:
            loss, _ = train_updates(trial, update, update + 1)
        position = update + 1
        done(position)
        yield [row | {"update": update, "train_loss": finite(loss)} for row in watch.rows]
        if not math.isfinite(loss):
            return
