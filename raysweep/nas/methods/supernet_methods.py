"""Search methods with a supernet: architectures are not trained individually but scored with shared weights.

    supernet = SupernetTraining(space, recipe, "images", store="runs/enas")  # raysweep.train.supernet
    method = Enas(epochs=31, rewards=60)
    history = search(space, supernet, method=method, budget=method.evaluations, seed=0, log="runs/enas/search.log")

Before each round of evaluations the supernet is trained for an epoch, each update on a new architecture drawn by the
method. After the last epoch, architectures are sampled and scored, and the best of them are scored again on all
validation images; the best of these is `history.best`. Its accuracy is that of the supernet: train it individually.

Everything but the weights follows from the log. The supernet stores its weights after each epoch; log and weights are
resumed together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from raysweep.errors import RaysweepError
from raysweep.nas.ask_tell import AskTell
from raysweep.nas.evaluation import Evaluated, Evaluation, call
from raysweep.nas.method import METHODS, Candidate, Proposer
from raysweep.nas.methods.random_search import RandomProposer
from raysweep.nas.methods.reinforce import Reinforce
from raysweep.nas.space import DecisionSpace, Generator, Space

A = TypeVar("A")
Scored_contra = TypeVar("Scored_contra", contravariant=True)
ALL = math.inf
"""The fidelity of a score on all validation images."""


class Supernet(Protocol[Scored_contra]):
    """Weights that can score every architecture of a space."""

    @property
    def seconds(self) -> Sequence[float]:
        """Duration of each epoch so far."""
        ...

    @property
    def num_epochs(self) -> int:
        """Number of epochs in total, for which the learning rates are planned."""
        ...

    @property
    def diverged(self) -> bool:
        """Whether the loss is no longer finite; the epoch in which this happened is the last."""
        ...

    def train(self, sample: Callable[[int], Scored_contra]) -> None:
        """Train one more epoch, update k (counted from 0 over all epochs) on architecture sample(k), and save it."""
        ...

    def __call__(self, architecture: Scored_contra, fidelity: float | None = None) -> Evaluation:
        """Accuracy with the present weights on `fidelity` minibatches of validation images. None or `ALL`: on all.

        If the weights have diverged, so has every evaluation.
        """
        ...


@dataclass(frozen=True)
class SupernetMethod:
    """The options that all methods with a supernet have."""

    epochs: int = 150
    """Epochs of training of the supernet."""
    rewards: int = 0
    """Number of evaluations after each epoch, from which the method learns."""
    sampled: int = 1000
    """Number of architectures scored at the end."""
    batches: int = 10
    """Number of minibatches of validation images that each of them is scored on."""
    rescored: int = 10
    """Number of the best of them that are scored again on all validation images."""

    def __post_init__(self) -> None:
        for name, least in {"epochs": 1, "rewards": 0, "sampled": 1, "batches": 1, "rescored": 1}.items():
            if getattr(self, name) < least:
                raise RaysweepError(f"{name} is {getattr(self, name)}: it must be {least} or more.")

    @property
    def evaluations(self) -> int:
        """Number of evaluations of the whole search, if those rescored all differ: the budget that it needs."""
        return self.epochs * self.rewards + self.sampled + self.rescored

    def evaluations_of(self, ended: Sequence[Evaluated[Any]]) -> int:
        """The same, given the results so far: fewer if samples were equal or the weights have diverged."""
        if ended and ended[-1].status == "diverged":
            return len(ended)
        before = self.epochs * self.rewards
        sampled = {one.key for one in ended[before : before + self.sampled]}
        return before + self.sampled + min(self.rescored, len(sampled) or self.rescored)

    def epochs_before(self, evaluation: int) -> int:
        """Number of epochs of the supernet before this evaluation, counted from 0."""
        return min(self.epochs, evaluation // self.rewards + 1) if self.rewards else self.epochs


@METHODS.add(
    "random_weight_sharing",
    "samples of the space, scored with a supernet",
    "Li & Talwalkar 2019, arXiv 1902.07638",
)
@dataclass(frozen=True)
class RandomWeightSharing(SupernetMethod):
    """A supernet trained on uniform samples; the sampling does not learn.

    The defaults are those of Li and Talwalkar (1,000 on 10 minibatches, the best 10 on all), with the epochs of ENAS.
    """

    def begin(self, space: Space[A]) -> SupernetProposer[A]:
        """The state before the first sample."""
        return SupernetProposer(self, RandomProposer(space))


@METHODS.add("enas", "a controller and a supernet, trained in turn", "Pham et al. 2018, arXiv 1802.03268")
@dataclass(frozen=True)
class Enas(SupernetMethod):
    """The defaults are those of the released script, which scores 10 architectures on one minibatch each at the end."""

    rewards: int = 300
    """A reward is the accuracy on one minibatch of validation images."""
    sampled: int = 10
    batches: int = 1
    controller: str = "enas_code"
    """One of `raysweep.nas.controllers.CONTROLLERS`."""
    lr: float | None = None
    """Learning rate of the controller. None: that of its source."""

    def begin(self, space: DecisionSpace[A]) -> SupernetProposer[A]:
        """The state with an untrained controller."""
        return SupernetProposer(self, Reinforce(self.controller, lr=self.lr).begin(space))


class SupernetProposer(Generic[A]):
    """State of both methods: the drawer of architectures, and the scores of those sampled at the end."""

    def __init__(self, options: SupernetMethod, drawer: Proposer[A]) -> None:
        self.options = options
        self.drawer = drawer
        self.num_observed = 0
        self.sampled: dict[str, Evaluated[A]] = {}
        self.diverged = False

    def draw(self, rng: Generator) -> A:
        """The architecture for one update of the supernet."""
        candidate = self.drawer.propose(rng)
        assert candidate is not None, "both drawers always return one"
        return candidate.architecture

    def propose(self, rng: Generator) -> Candidate[A] | None:
        """The next architecture to reward, sample or score again. None at the end or if the supernet has diverged."""
        options = self.options
        at = self.num_observed - options.epochs * options.rewards
        if self.diverged:
            return None
        if at < options.sampled:
            return Candidate(self.draw(rng), 1.0 if at < 0 else float(options.batches))
        best = sorted(self.sampled.values(), key=lambda one: (-one.value, one.number))[: options.rescored]
        again = at - options.sampled
        return Candidate(best[again].architecture, ALL) if again < len(best) else None

    def observe(self, result: Evaluated[A]) -> None:
        """Learn from the result in the rounds; after them store the sample, with the first score of equal ones."""
        at = self.num_observed - self.options.epochs * self.options.rewards
        self.num_observed += 1
        self.diverged = result.status == "diverged"
        if at < 0:
            self.drawer.observe(result)
        elif at < self.options.sampled:
            self.sampled.setdefault(result.key, result)


def run_supernet(search: AskTell[A], options: SupernetMethod, supernet: Supernet[A]) -> None:
    """Train and evaluate in turn until the search is over; raises the same errors as `supernet_steps`."""
    for _ in supernet_steps(search, options, supernet):
        pass


def supernet_steps(search: AskTell[A], options: SupernetMethod, supernet: Supernet[A]) -> Iterator[None]:
    """Train and evaluate in turn until the search is over; yields after each epoch and each evaluation.

    An epoch is charged to the first evaluation after it.

    Raises:
        RaysweepError: a supernet that does not match the log, or one planned for another number of epochs.
    """
    if supernet.num_epochs != options.epochs:
        raise RaysweepError(
            f"the supernet is planned for {supernet.num_epochs} epochs (training.epochs), but the method for "
            f"{options.epochs} (epochs): set both to the same number."
        )
    while (proposal := search.ask(search.spent.cost_s)) is not None:
        yield from _train_until(search, options.epochs_before(proposal.number), supernet)
        ended = call(supernet, proposal.architecture, proposal.fidelity)
        new = supernet.seconds[int(search.spent.epochs) :]
        ended = replace(ended, cost_s=ended.cost_s + sum(new), epochs=float(len(new)))
        search.tell(proposal.number, ended, search.spent.cost_s + ended.cost_s)
        yield


def _train_until(search: AskTell[A], epochs: int, supernet: Supernet[A]) -> Iterator[None]:
    if not int(search.spent.epochs) <= len(supernet.seconds) <= epochs:
        raise RaysweepError(
            f"the supernet has been trained for {len(supernet.seconds)} epochs, but its search has used "
            f"{search.spent.epochs:g} of {epochs}: they belong to different runs. Begin a new log with new weights."
        )
    while len(supernet.seconds) < epochs and not supernet.diverged:
        # Scores of the present weights cannot be repeated once these have changed.
        search.flush()
        supernet.train(search.draw)
        yield


def as_supernet(evaluate: Any, method: SupernetMethod) -> Supernet[Any]:
    """The `evaluate` of a user, checked to be a supernet.

    Raises:
        RaysweepError: it is not one.
    """
    for part in ("train", "seconds", "num_epochs", "diverged"):
        if not hasattr(evaluate, part):
            raise RaysweepError(
                f"{type(method).__name__} needs a supernet as `evaluate`, such as "
                f"raysweep.train.supernet.SupernetTraining; this one has no `{part}`. Use a supernet or another method."
            )
    found: Supernet[Any] = evaluate
    return found
