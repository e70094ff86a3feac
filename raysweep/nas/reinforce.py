"""Reinforcement learning: a controller that writes architectures down, rewarded with their values.

Zoph & Le 2017 ("Neural architecture search with reinforcement learning", arXiv 1611.01578): REINFORCE with a moving
average of rewards as baseline. The tabular controller, one distribution for each decision, is that of Ying et al. 2019
(NAS-Bench-101, arXiv 1902.09635) and of the NAS-Bench-201 code; the recurrent one is in `lstm.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from raysweep.errors import RaysweepError, unknown
from raysweep.nas.evaluation import Evaluated
from raysweep.nas.method import METHODS, Candidate, need
from raysweep.nas.space import Decision, DecisionSpace, Generator

A = TypeVar("A")
TRIES = 1000
"""Codes drawn in a row that the space does not have, after which the search stops with an error."""


@dataclass(frozen=True)
class Controller:
    """How a controller is made and learns, as one source has it."""

    lr: float
    beta1: float = 0.9
    epsilon: float = 1e-8
    baseline_decay: float = 0.9
    debias: bool = True
    """Whether the baseline, which starts at 0, is corrected for that."""
    entropy: float = 0.0
    """Weight of the entropy of the decisions in the reward."""
    aggregate: int = 1
    """Results that make one update."""
    hidden: int = 0
    """Units of the LSTM; 0: there is none, each decision has logits of its own."""
    init: float = 0.1
    """Weights of the LSTM start uniform within plus and minus this."""
    temperature: float = 1.0
    tanh: float = 0.0
    """Logits are this times the tanh of what they were; 0: as they were."""
    operation_tanh: float = 0.0
    """The same for operations, where it is another."""
    favoured: str = ""
    """Operations whose names begin so start with a learned bias of 10, and have 0.25 more in the normal cell, others
    0.25 less."""


CONTROLLERS = {
    "tabular": Controller(lr=0.01),  # NAS-Bench-201's code: lr of NATS-Bench's script
    # The released code (melodyguan/enas, micro search). Reward in 0..1.
    "enas_code": Controller(
        *(0.0035, 0.0, 1e-3, 0.99, False, 1e-4, 10),
        hidden=64,
        tanh=1.10,
        operation_tanh=1.10 / 2.5,
        favoured="sep",
    ),
    # Pham et al. 2018, arXiv 1802.03268, as recalled: the paper could not be read where this was written.
    "enas_paper": Controller(lr=0.00035, entropy=0.1, baseline_decay=0.99, hidden=100, temperature=5.0, tanh=2.5),
}
"""Sources of a controller's options."""


@METHODS.add("reinforce", "a controller rewarded with the values of what it writes", "Zoph & Le 2017, arXiv 1611.01578")
@dataclass(frozen=True)
class Reinforce:
    """Which controller, and what of it is another than its source has."""

    controller: str = "tabular"
    """One of `CONTROLLERS`."""
    lr: float | None = None
    aggregate: int | None = None
    entropy: float | None = None

    @property
    def options(self) -> Controller:
        """The controller's options.

        Raises:
            RaysweepError: no such controller.
        """
        if self.controller not in CONTROLLERS:
            raise unknown("controller", self.controller, CONTROLLERS)
        own = {"lr": self.lr, "aggregate": self.aggregate, "entropy": self.entropy}
        given: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
        return replace(CONTROLLERS[self.controller], **given)

    def begin(self, space: DecisionSpace[A]) -> ReinforceProposer[A]:
        """A controller that knows nothing."""
        need(space, ("decisions", "decode"), "reinforce")
        return ReinforceProposer(self.options, space)


class Policy(Protocol):
    """A distribution over codes."""

    def sample(self, rng: Generator) -> list[int]:
        """A code."""
        ...

    def learn(self, code: Sequence[int], advantage: float, update: bool) -> None:
        """Add the gradient of the code's log probability times the advantage; `update`: and take the step."""
        ...


class ReinforceProposer(Generic[A]):
    """State of `reinforce`: the controller and the baseline of its rewards.

    With several workers the gradient is taken at the controller's present weights, not at those that wrote the code.
    """

    def __init__(self, options: Controller, space: DecisionSpace[A]) -> None:
        self.options = options
        self.space = space
        self.policy: Policy | None = None
        self.worst: float | None = None
        self.average = 0.0
        self.num_rewards = 0

    def propose(self, rng: Generator) -> Candidate[A]:
        """What the controller writes; what the space does not have is written anew.

        Raises:
            RaysweepError: it writes nothing that the space has.
        """
        if self.policy is None:
            self.policy = make_policy(self.options, self.space.decisions, rng)
        for _ in range(TRIES):
            try:
                return Candidate(self.space.decode(self.policy.sample(rng)))
            except RaysweepError as error:
                refused = error
        raise RaysweepError(f"the controller wrote {TRIES} codes that the space does not have; the last one: {refused}")

    def observe(self, result: Evaluated[A]) -> None:
        """Reward the controller; a failed evaluation has the worst reward so far, a lost one none."""
        if result.status == "finished":
            self.worst = result.value if self.worst is None else min(self.worst, result.value)
        reward = result.value if result.status == "finished" else self.worst
        if result.status == "lost" or reward is None or self.policy is None:
            return
        code = self.space.encode(result.architecture)
        advantage = reward - self._baseline(reward)
        self.policy.learn(code, advantage, update=self.num_rewards % self.options.aggregate == 0)

    def _baseline(self, reward: float) -> float:
        """The average with this reward in it, as all sources have it."""
        decay = self.options.baseline_decay
        self.num_rewards += 1
        self.average = decay * self.average + (1 - decay) * reward
        return self.average / (1 - decay**self.num_rewards) if self.options.debias else self.average


def make_policy(options: Controller, decisions: Sequence[Decision], rng: Generator) -> Policy:
    """The controller at its start; only a recurrent one draws weights, and needs torch."""
    if not options.hidden:
        return TabularPolicy(options, decisions)
    from raysweep.nas.recurrent_policy import LSTMPolicy

    return LSTMPolicy(options, decisions, rng)


class TabularPolicy:
    """Independent decisions, each with a logit for every option, all 0 at first."""

    def __init__(self, options: Controller, decisions: Sequence[Decision]) -> None:
        sizes = np.array([len(decision.options) for decision in decisions])
        self.options = options
        self.there = np.arange(sizes.max()) < sizes[:, None]
        self.logits = np.where(self.there, 0.0, -np.inf)
        self.adam = Adam(options, self.logits.shape)
        self.gradient = np.zeros_like(self.logits)

    def sample(self, rng: Generator) -> list[int]:
        """The largest logit after Gumbel noise: a draw from the softmax."""
        code: list[int] = (self.logits + rng.gumbel(size=self.logits.shape)).argmax(1).tolist()
        return code

    def learn(self, code: Sequence[int], advantage: float, update: bool) -> None:
        """See `Policy`."""
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
    """Kingma & Ba 2015, upwards. For arrays that numpy holds: torch would be half a second of import."""

    beta2 = 0.999

    def __init__(self, options: Controller, shape: tuple[int, ...]) -> None:
        self.options = options
        self.mean, self.square = np.zeros(shape), np.zeros(shape)
        self.num_steps = 0

    def step(self, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """What to add to the parameters."""
        beta1, self.num_steps = self.options.beta1, self.num_steps + 1
        self.mean = beta1 * self.mean + (1 - beta1) * gradient
        self.square = self.beta2 * self.square + (1 - self.beta2) * gradient**2
        mean = self.mean / (1 - beta1**self.num_steps)
        root = np.sqrt(self.square / (1 - self.beta2**self.num_steps))
        found: NDArray[np.float64] = self.options.lr * mean / (root + self.options.epsilon)
        return found
