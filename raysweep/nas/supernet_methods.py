"""Searches whose architectures share their weights: none is trained by itself, all are scored with the weights of one.

    shared = SharedTraining(space, recipe, "images", store="runs/enas")  # raysweep.train.supernet
    method = Enas(epochs=31, rewards=60)
    history = search(space, shared, method=method, budget=method.evaluations, seed=0, log="runs/enas/search.log")

Before each round of evaluations the shared weights are trained for an epoch, each update on another architecture that
the method draws; after the last one architectures are sampled and scored, and the best of them scored again on all
validation images: the best of these is `history.best`. Its accuracy is that of shared weights; train it by itself.

Everything but the weights follows from the log. They are their owner's to keep, an epoch at a time: log and weights are
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
from raysweep.nas.random_search import RandomProposer
from raysweep.nas.reinforce import Reinforce
from raysweep.nas.space import DecisionSpace, Generator, Space

A = TypeVar("A")
Scored_contra = TypeVar("Scored_contra", contravariant=True)
ALL = math.inf
"""Fidelity of a score on all validation images."""


class SharedWeights(Protocol[Scored_contra]):
    """Weights that serve every architecture of a space."""

    @property
    def seconds(self) -> Sequence[float]:
        """What each epoch trained so far took."""
        ...

    @property
    def num_epochs(self) -> int:
        """How many there will be: learning rates are laid out for so many."""
        ...

    @property
    def diverged(self) -> bool:
        """Whether their loss has stopped being finite: the epoch in which it did is the last."""
        ...

    def train(self, sample: Callable[[int], Scored_contra]) -> None:
        """Train one more epoch, update k (counted from 0 over all epochs) on architecture sample(k), and keep it."""
        ...

    def __call__(self, architecture: Scored_contra, fidelity: float | None = None) -> Evaluation:
        """Accuracy with the weights as they are, on so many minibatches of validation images; none or `ALL`: on all.

        Diverged, whatever the architecture, where the weights are.
        """
        ...


@dataclass(frozen=True)
class WeightSharing:
    """Lengths of such a search."""

    epochs: int = 150
    """Of the shared weights."""
    rewards: int = 0
    """Evaluations after each epoch, from which the method learns."""
    sampled: int = 1000
    """Architectures that are scored at the end."""
    batches: int = 10
    """Minibatches of validation images that each of them is scored on."""
    rescored: int = 10
    """The best of them, which are scored on all validation images."""

    def __post_init__(self) -> None:
        for name, least in {"epochs": 1, "rewards": 0, "sampled": 1, "batches": 1, "rescored": 1}.items():
            if getattr(self, name) < least:
                raise RaysweepError(f"{name} is {getattr(self, name)}: it must be {least} or more.")

    @property
    def evaluations(self) -> int:
        """Of the whole search, if the best ones sampled are all different: the budget that it needs."""
        return self.epochs * self.rewards + self.sampled + self.rescored

    def evaluations_of(self, ended: Sequence[Evaluated[Any]]) -> int:
        """The same, by what has ended: fewer where those sampled are equal, or the weights have diverged."""
        if ended and ended[-1].status == "diverged":
            return len(ended)
        before = self.epochs * self.rewards
        sampled = {one.key for one in ended[before : before + self.sampled]}
        return before + self.sampled + min(self.rescored, len(sampled) or self.rescored)

    def epochs_before(self, evaluation: int) -> int:
        """Epochs of the shared weights before an evaluation, counted from 0."""
        return min(self.epochs, evaluation // self.rewards + 1) if self.rewards else self.epochs


@METHODS.add(
    "random_weight_sharing",
    "samples of the space, scored with weights that all of them share",
    "Li & Talwalkar 2019, arXiv 1902.07638",
)
@dataclass(frozen=True)
class RandomWeightSharing(WeightSharing):
    """Shared weights trained on uniform samples; nothing is learned of which architectures are better.

    The defaults are Li and Talwalkar's (1,000 on 10 minibatches, the best 10 on all), with ENAS' number of epochs.
    """

    def begin(self, space: Space[A]) -> SharingProposer[A]:
        """Nothing sampled."""
        return SharingProposer(self, RandomProposer(space))


@METHODS.add(
    "enas", "a controller and weights that all architectures share, in turns", "Pham et al. 2018, arXiv 1802.03268"
)
@dataclass(frozen=True)
class Enas(WeightSharing):
    """The defaults are the script of the released code; it prints 10 architectures with a minibatch's accuracy each."""

    rewards: int = 300
    """Each is the accuracy on one minibatch of validation images."""
    sampled: int = 10
    batches: int = 1
    controller: str = "enas_code"
    """One of `raysweep.nas.reinforce.CONTROLLERS`."""
    lr: float | None = None
    """Of the controller; none: its source's."""

    def begin(self, space: DecisionSpace[A]) -> SharingProposer[A]:
        """A controller that knows nothing."""
        return SharingProposer(self, Reinforce(self.controller, lr=self.lr).begin(space))


class SharingProposer(Generic[A]):
    """State of both: what draws architectures, and the scores of those sampled at the end."""

    def __init__(self, options: WeightSharing, drawer: Proposer[A]) -> None:
        self.options = options
        self.drawer = drawer
        self.num_observed = 0
        self.sampled: dict[str, Evaluated[A]] = {}
        self.diverged = False

    def draw(self, rng: Generator) -> A:
        """The architecture of one update of the shared weights."""
        candidate = self.drawer.propose(rng)
        assert candidate is not None, "both drawers always have one"
        return candidate.architecture

    def propose(self, rng: Generator) -> Candidate[A] | None:
        """The next to be rewarded, sampled or scored again; none after that, or once the shared weights diverged."""
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
        """Learn from it in the rounds; remember what was sampled after them, the first score of equal ones."""
        at = self.num_observed - self.options.epochs * self.options.rewards
        self.num_observed += 1
        self.diverged = result.status == "diverged"
        if at < 0:
            self.drawer.observe(result)
        elif at < self.options.sampled:
            self.sampled.setdefault(result.key, result)


def run_with_shared_weights(search: AskTell[A], options: WeightSharing, shared: SharedWeights[A]) -> None:
    """Train and evaluate in turns until the search is over; raises what `with_shared_weights` does."""
    for _ in with_shared_weights(search, options, shared):
        pass


def with_shared_weights(search: AskTell[A], options: WeightSharing, shared: SharedWeights[A]) -> Iterator[None]:
    """Train and evaluate in turns until the search is over; yields after each epoch and each evaluation.

    The first evaluation after an epoch is charged with it.

    Raises:
        RaysweepError: weights that are not where the log is, or laid out for another number of epochs.
    """
    if shared.num_epochs != options.epochs:
        raise RaysweepError(
            f"the shared weights are laid out for {shared.num_epochs} epochs (training.epochs), the method for "
            f"{options.epochs} (epochs): name the same number."
        )
    while (proposal := search.ask(search.spent.cost_s)) is not None:
        yield from _train_until(search, options.epochs_before(proposal.number), shared)
        ended = call(shared, proposal.architecture, proposal.fidelity)
        new = shared.seconds[int(search.spent.epochs) :]
        ended = replace(ended, cost_s=ended.cost_s + sum(new), epochs=float(len(new)))
        search.tell(proposal.number, ended, search.spent.cost_s + ended.cost_s)
        yield


def _train_until(search: AskTell[A], epochs: int, shared: SharedWeights[A]) -> Iterator[None]:
    if not int(search.spent.epochs) <= len(shared.seconds) <= epochs:
        raise RaysweepError(
            f"the shared weights have {len(shared.seconds)} epochs behind them, the search {search.spent.epochs:g} of "
            f"{epochs}: they are not of one run. Begin a new log with new weights."
        )
    while len(shared.seconds) < epochs and not shared.diverged:
        # Scored with the weights as they are: once they have changed it could not be done again.
        search.flush()
        shared.train(search.draw)
        yield


def shared_weights(evaluate: Any, method: WeightSharing) -> SharedWeights[Any]:
    """What a user has given as `evaluate`, where weights have to be shared.

    Raises:
        RaysweepError: it shares none.
    """
    for part in ("train", "seconds", "num_epochs", "diverged"):
        if not hasattr(evaluate, part):
            raise RaysweepError(
                f"{type(method).__name__} needs shared weights as `evaluate`, an object with `{part}` such as "
                "raysweep.train.supernet.SharedTraining: use another method, or that."
            )
    found: SharedWeights[Any] = evaluate
    return found
