"""The last test of one trial, image by image: counts of class and prediction."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, eq=False)
class LastTest:
    """A trial, and what its network took the test images for."""

    trial: str
    variant: str
    seed: int
    top1: float
    """Final accuracy (0..1)."""
    classes: tuple[str, ...]
    """Names of the classes; empty if the store does not know them."""
    counts: pd.DataFrame
    """One row per class and prediction that occur: numbers `label` and `predicted`, and `images`."""

    @property
    def title(self) -> str:
        """The variant and seed."""
        return f"{self.variant}, seed {self.seed}"

    def name(self, number: int) -> str:
        """The name of a class; `output N` for a network's output without one."""
        return self.classes[number] if number < len(self.classes) else f"output {number}"
