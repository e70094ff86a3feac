"""How fast this machine trains: remembered measurements, and the seconds of a trial that follow from them.

A pace is measured on the baseline (`raysweep.sweeps.measured_pace`) and scaled to its variants, half by
multiply-accumulates and half by activations: twice the width has four times the former and twice the latter, and takes
about three times as long. Predicted over actual time of whole trials is 0.8 to 1.1 for most variants and 0.6 for the
slowest layers, such as stochastic pooling, whose work neither number has (`benchmarks/trial_seconds.py`, on a CPU).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from raysweep.cost import Cost, cost_key, find_cost
from raysweep.disk.cache import recall, remember
from raysweep.errors import RaysweepError
from raysweep.fitting import Speed, makespan
from raysweep.identity import digest
from raysweep.planning import PlannedTrial
from raysweep.process.machine import gpus, processor, usable_cores
from raysweep.recipe import Recipe
from raysweep.units import rough_duration


@dataclass(frozen=True)
class Pace:
    """The speed of one trial while as many others train as run at once here."""

    train_images_per_s: float
    test_images_per_s: float
    start_s: float
    """From the start of a trial to its first update."""
    macs: int
    """Multiply-accumulates of the network that was measured."""
    workers: int
    """Number of trials at once on this machine."""
    measured: str
    """Date, ISO 8601."""
    activations: int = 0
    """Those of the network that was measured; 0: variants are scaled by multiply-accumulates alone."""

    def speed(self, recipe: Recipe, baseline: Recipe, cost: Cost | None = None) -> Speed:
        """What a variant takes per unit of its baseline's length; `cost` is that of the variant, if it is known."""
        ratio = self._ratio(cost or _cost(recipe))
        images = recipe.length.images * recipe.training.epochs / baseline.length.images / baseline.training.epochs
        tests = recipe.training.epochs / baseline.training.epochs * num_tested(recipe)
        return Speed(images * ratio / self.train_images_per_s, tests * ratio / self.test_images_per_s, self.start_s)

    def trial_s(self, recipe: Recipe, cost: Cost | None = None) -> float:
        """Seconds of a trial: its start, its updates, and a test after each epoch."""
        length, ratio = recipe.length, self._ratio(cost or _cost(recipe))
        train_s = length.iterations * length.batch_size * ratio / self.train_images_per_s
        return self.start_s + train_s + length.num_epochs * num_tested(recipe) * ratio / self.test_images_per_s

    def left_s(self, planned: PlannedTrial) -> float:
        """Seconds that are left of a planned trial; 0 if it is not run."""
        return planned.share_left * self.trial_s(planned.recipe, planned.cost) if planned.is_paid else 0.0

    def sentence(self, plan: Iterable[PlannedTrial]) -> str:
        """The wall time of a plan: about 1.8 h here (2 trials at a time; measured 2026-11-30)."""
        left = rough_duration(makespan(map(self.left_s, plan), self.workers))
        return f"about {left} here ({self.workers} trial(s) at a time; measured {self.measured})"

    def _ratio(self, cost: Cost) -> float:
        macs = cost.macs / self.macs
        return (macs + cost.activations / self.activations) / 2 if self.activations else macs


def num_tested(recipe: Recipe) -> int:
    """Number of images of one test."""
    data = recipe.data
    return round(data.train_images * data.holdout) if data.holdout else data.test_images


def _cost(recipe: Recipe) -> Cost:
    """The cost; 0 for a network that cannot be built, whose trial will fail at once."""
    try:
        return find_cost(recipe)
    except RaysweepError:
        return Cost(0, 0, 0)


def recalled(baseline: Recipe, threads: int = 1) -> Pace | None:
    """The pace that was measured here for this baseline, with these images; None if it has not been measured."""
    with suppress(TypeError):  # missing, or of another version
        return Pace(**recall(_name(baseline, threads)))
    return None


def keep(baseline: Recipe, threads: int, pace: Pace) -> None:
    """Remember a measurement."""
    remember(_name(baseline, threads), asdict(pace))


def today() -> str:
    """The date, ISO 8601."""
    return datetime.now(UTC).date().isoformat()


def _name(baseline: Recipe, threads: int) -> str:
    return f"pace/{pace_key(baseline, threads)}"  # one file each, as those of costs


def pace_key(baseline: Recipe, threads: int) -> str:
    """Digest of what decides the speed: the network, its images, how it is trained, and on what."""
    training, data = baseline.training, baseline.data
    how = [training.batch_size, training.accumulate, training.precision, training.channels_last, baseline.solver.name]
    images = [data.digest, data.short_side, list(data.scales), data.rotation]
    return digest([cost_key(baseline), how, images, threads, here()])


def here() -> list[str]:
    """What identifies this machine and the versions of what trains on it. Loads neither torch nor ray."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return [processor(), str(usable_cores()), *gpus(), visible, *map(_version, ("raysweep", "torch"))]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
