"""The tabular controller: one independent distribution for each decision.

Ying et al. 2019 (NAS-Bench-101, arXiv 1902.09635), and the NAS-Bench-201 code.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from raysweep.nas.controllers import Controller
from raysweep.nas.space import Decision, Generator


class TabularPolicy:
    """Independent decisions with one logit per option, initially all 0."""

    def __init__(self, options: Controller, decisions: Sequence[Decision]) -> None:
        sizes = np.array([len(decision.options) for decision in decisions])
        self.options = options
        self.there = np.arange(sizes.max()) < sizes[:, None]
        self.logits = np.where(self.there, 0.0, -np.inf)
        self.adam = Adam(options, self.logits.shape)
        self.gradient = np.zeros_like(self.logits)

    def sample(self, rng: Generator) -> list[int]:
        """A draw from the softmax: the largest logit after adding Gumbel noise."""
        code: list[int] = (self.logits + rng.gumbel(size=self.logits.shape)).argmax(1).tolist()
        return code

    def learn(self, code: Sequence[int], advantage: float, update: bool) -> None:
        """Add the gradient of the code's log probability times the advantage, and with `update` take the step."""
        taken = np.zeros_like(self.logits)
        taken[np.arange(len(code)), list(code)] = 1.0
        share = self._probabilities()
        self.gradient += advantage * (taken - share) + self.options.entropy * self._entropy_gradient(share)
        if update:
            self.logits += np.where(self.there, self.adam.step(self.gradient / self.options.aggregate), 0.0)
            self.gradient[:] = 0.0

    def _probabilities(self) -> NDArray[np.float64]:
        grown: NDArray[np.float64] = np.exp(self.logits - self.logits.max(1, keepdims=True))
        grown /= grown.sum(1, keepdims=True)
        return grown

    def _entropy_gradient(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        logs = np.log(share, where=self.there & (share > 0), out=np.zeros_like(share))
        found: NDArray[np.float64] = -share * (logs - (share * logs).sum(1, keepdims=True))
        return found


class Adam:
    """Adam (Kingma & Ba 2015), ascending, for numpy arrays; importing torch would take half a second."""

    beta2 = 0.999

    def __init__(self, options: Controller, shape: tuple[int, ...]) -> None:
        self.options = options
        self.mean, self.square = np.zeros(shape), np.zeros(shape)
        self.num_steps = 0

    def step(self, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """The step to add to the parameters."""
        beta1, self.num_steps = self.options.beta1, self.num_steps + 1
        self.mean = beta1 * self.mean + (1 - beta1) * gradient
        self.square = self.beta2 * self.square + (1 - self.beta2) * gradient**2
        mean = self.mean / (1 - beta1**self.num_steps)
        root = np.sqrt(self.square / (1 - self.beta2**self.num_steps))
        found: NDArray[np.float64] = self.options.lr * mean / (root + self.options.epsilon)
        return found
