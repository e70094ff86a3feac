"""Reinforcement learning: a controller that writes architectures and is rewarded with their values.

Zoph & Le 2017 ("Neural architecture search with reinforcement learning", arXiv 1611.01578): REINFORCE with a moving
average of rewards as baseline. Controllers: `raysweep.nas.tabular_policy` and `raysweep.nas.recurrent_policy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from raysweep.errors import RaysweepError, unknown
from raysweep.nas.controllers import CONTROLLERS, Controller
from raysweep.nas.evaluation import Evaluated
from raysweep.nas.method import METHODS, Candidate, need
from raysweep.nas.space import Decision, DecisionSpace, Generator
from raysweep.nas.tabular_policy import TabularPolicy

if TYPE_CHECKING:
    from raysweep.nas.recurrent_policy import LSTMPolicy

A = TypeVar("A")
TRIES = 1000
"""Invalid codes drawn in a row after which the search stops with an error."""


@METHODS.add(
    "reinforce",
    "a controller rewarded with the values of the architectures it writes",
    "Zoph & Le 2017, arXiv 1611.01578",
)
@dataclass(frozen=True)
class Reinforce:
    """The controller, and options that override those of its source."""

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
        """An untrained controller."""
        need(space, ("decisions", "decode"), "reinforce")
        return ReinforceProposer(self.options, space)


class ReinforceProposer(Generic[A]):
    """State of `reinforce`: the controller and the baseline of its rewards.

    With several workers the gradient uses the present weights of the controller, not those that wrote the code.
    """

    def __init__(self, options: Controller, space: DecisionSpace[A]) -> None:
        self.options = options
        self.space = space
        self.policy: TabularPolicy | LSTMPolicy | None = None
        self.worst: float | None = None
        self.average = 0.0
        self.num_rewards = 0

    def propose(self, rng: Generator) -> Candidate[A]:
        """An architecture written by the controller, which writes again while it is not in the space.

        Raises:
            RaysweepError: none of the controller's codes is in the space.
        """
        if self.policy is None:
            self.policy = make_policy(self.options, self.space.decisions, rng)
        for _ in range(TRIES):
            try:
                return Candidate(self.space.decode(self.policy.sample(rng)))
            except RaysweepError as error:
                refused = error
        raise RaysweepError(f"none of {TRIES} codes of the controller is in the space. The last error: {refused}")

    def observe(self, result: Evaluated[A]) -> None:
        """Reward the controller; a failed evaluation gets the worst reward so far, a lost one is ignored."""
        if result.status == "finished":
            self.worst = result.value if self.worst is None else min(self.worst, result.value)
        reward = result.value if result.status == "finished" else self.worst
        if result.status == "lost" or reward is None or self.policy is None:
            return
        code = self.space.encode(result.architecture)
        advantage = reward - self._baseline(reward)
        self.policy.learn(code, advantage, update=self.num_rewards % self.options.aggregate == 0)

    def _baseline(self, reward: float) -> float:
        """The moving average including this reward, as in all sources."""
        decay = self.options.baseline_decay
        self.num_rewards += 1
        self.average = decay * self.average + (1 - decay) * reward
        return self.average / (1 - decay**self.num_rewards) if self.options.debias else self.average


def make_policy(options: Controller, decisions: Sequence[Decision], rng: Generator) -> TabularPolicy | LSTMPolicy:
    """A new controller. Only a recurrent one draws initial weights and loads torch."""
    if not options.hidden:
        return TabularPolicy(options, decisions)
    from raysweep.nas.recurrent_policy import LSTMPolicy

    return LSTMPolicy(options, decisions, rng)
