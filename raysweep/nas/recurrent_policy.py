"""The recurrent controller of ENAS: an LSTM that makes one decision at a time, conditioned on the earlier ones.

Pham et al. 2018 ("Efficient neural architecture search via parameter sharing", arXiv 1802.03268), after the released
code: operations come from a linear layer, inputs from attention over the states so far. Skips, which ENAS chooses
together by attention, come from a linear layer here, one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from raysweep.nas.controllers import Controller
from raysweep.nas.space import Decision, Generator

START_BIAS, NORMAL_BIAS = 10.0, 0.25
"""Biases of favoured operations in the released code: the learned one at the start, and the fixed one."""
INPUTS = 2
"""Number of states a cell starts with."""


class LSTMPolicy:
    """A distribution over codes, trained with Adam."""

    def __init__(self, options: Controller, decisions: Sequence[Decision], rng: Generator) -> None:
        self.options = options
        self.network = ControllerNetwork(options, decisions, int(rng.integers(2**63)))
        self.adam = torch.optim.Adam(
            self.network.parameters(), options.lr, betas=(options.beta1, 0.999), eps=options.epsilon
        )

    def sample(self, rng: Generator) -> list[int]:
        """A code. Its random numbers come from numpy, so that they depend only on the proposal."""
        with torch.no_grad():
            code, _, _ = self.network.forward(draws=rng.random(len(self.network.decisions)).tolist())
        return code

    def learn(self, code: Sequence[int], advantage: float, update: bool) -> None:
        """Add the gradient of the code's log probability times the advantage, and with `update` take the step."""
        _, log_probability, entropy = self.network.forward(code=code)
        loss = -(advantage * log_probability + self.options.entropy * entropy) / self.options.aggregate
        loss.backward()  # type: ignore[no-untyped-call]
        if update:
            self.adam.step()
            self.adam.zero_grad()


class ControllerNetwork(nn.Module):
    """The weights of the controller and its pass over the decisions, in double precision."""

    def __init__(self, options: Controller, decisions: Sequence[Decision], seed: int) -> None:
        super().__init__()
        self.options, self.decisions = options, tuple(decisions)
        hidden = options.hidden
        self.cell = nn.LSTMCell(hidden, hidden, bias=False, dtype=torch.float64)
        self.start = _weight(1, hidden)
        self.attend_state, self.attend_now = _weight(hidden, hidden), _weight(hidden, hidden)
        self.attend = _weight(hidden)
        lists = {decision.options for decision in decisions if decision.kind != "input"}
        self.names = {options: f"list{at}" for at, options in enumerate(sorted(lists))}
        self.embed = nn.ParameterDict({name: _weight(len(of), hidden) for of, name in self.names.items()})
        self.score = nn.ParameterDict({name: _weight(hidden, len(of)) for of, name in self.names.items()})
        self._draw(seed)
        biases = {name: nn.Parameter(START_BIAS * self._favoured(of)) for of, name in self.names.items()}
        self.bias = nn.ParameterDict(biases)

    def forward(
        self, code: Sequence[int] | None = None, draws: Sequence[float] = ()
    ) -> tuple[list[int], Tensor, Tensor]:
        """A code, given or drawn with uniform random numbers; its log probability; the entropy of all decisions."""
        taken: list[int] = []
        log_probability, entropy = torch.zeros(2, dtype=torch.float64)
        walk = Walk(self)
        for at, (before, decision) in enumerate(pairwise((None, *self.decisions))):
            assert decision is not None
            walk.reach(before, decision)
            logs = torch.log_softmax(self._logits(decision, walk), 0)
            taken.append(code[at] if code is not None else _drawn(logs, draws[at]))
            log_probability = log_probability + logs[taken[-1]]
            entropy = entropy - (logs.exp() * logs).sum()
            walk.take(decision, taken[-1])
        return taken, log_probability, entropy

    def _logits(self, decision: Decision, walk: Walk) -> Tensor:
        options, now = self.options, walk.step()
        if decision.kind == "input" and walk.states:
            query = torch.tanh(torch.stack(walk.keys) + now @ self.attend_now)
            return _squashed(query @ self.attend, options.temperature, options.tanh)
        name = self.names[decision.options]
        tanh = options.operation_tanh or options.tanh
        return _squashed(now @ self.score[name] + self.bias[name], options.temperature, tanh) + self._fixed(decision)

    def _favoured(self, names: Sequence[str]) -> Tensor:
        favoured = [bool(self.options.favoured) and name.startswith(self.options.favoured) for name in names]
        return torch.tensor(favoured, dtype=torch.float64)

    def _fixed(self, decision: Decision) -> Tensor:
        """The fixed biases."""
        if not self.options.favoured or decision.kind != "operation" or decision.part != "normal":
            return torch.zeros((), dtype=torch.float64)
        return NORMAL_BIAS * (2 * self._favoured(decision.options) - 1)

    def _draw(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -self.options.init, self.options.init, generator=generator)


class Walk:
    """The progress of one pass: the recurrent state, and the states of the cell so far."""

    def __init__(self, network: ControllerNetwork) -> None:
        self.network = network
        zero = torch.zeros(network.options.hidden, dtype=torch.float64)
        self.memory = (zero, zero)
        self.input = network.start[0]
        self.states: list[Tensor] = []
        self.keys: list[Tensor] = []

    def step(self) -> Tensor:
        """Run one step of the LSTM on the last decision."""
        self.memory = self.network.cell(self.input, self.memory)
        return self.memory[0]

    def reach(self, before: Decision | None, decision: Decision) -> None:
        """Prepare for a decision: each part starts with its inputs, and a completed node becomes a state."""
        if decision.kind != "input":
            return
        if before is None or before.part != decision.part:
            self.states, self.keys = [], []
            for _ in range(INPUTS):
                self._add(torch.zeros_like(self.step()))
        elif before.node != decision.node:
            self._add(self.step())
            self.input = self.network.start[0]

    def take(self, decision: Decision, taken: int) -> None:
        """Record a decision: the chosen option is the next input."""
        if decision.kind == "input" and self.states:
            self.input = self.states[taken]
        else:
            self.input = self.network.embed[self.network.names[decision.options]][taken]

    def _add(self, state: Tensor) -> None:
        self.states.append(state)
        self.keys.append(self.memory[0] @ self.network.attend_state)


def _weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape, dtype=torch.float64))


def _squashed(logits: Tensor, temperature: float, tanh: float) -> Tensor:
    cooled = logits / temperature
    return tanh * torch.tanh(cooled) if tanh else cooled


def _drawn(logs: Tensor, uniform: float) -> int:
    """The option at this point of the cumulative probabilities."""
    below = int((logs.exp().cumsum(0) < uniform).sum())
    return min(below, len(logs) - 1)
