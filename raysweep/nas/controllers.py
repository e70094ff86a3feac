"""Options of the controllers that write architectures, as their sources have them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Controller:
    """The options of a controller and its learning, from one source."""

    lr: float
    beta1: float = 0.9
    epsilon: float = 1e-8
    baseline_decay: float = 0.9
    debias: bool = True
    """Whether to correct the baseline for its start at 0."""
    entropy: float = 0.0
    """Weight of the decisions' entropy in the reward."""
    aggregate: int = 1
    """Number of results per update."""
    hidden: int = 0
    """Units of the LSTM; 0: no LSTM, each decision has its own logits."""
    init: float = 0.1
    """Initial weights of the LSTM are uniform between plus and minus this."""
    temperature: float = 1.0
    tanh: float = 0.0
    """Replace each logit by this times its tanh; 0: leave it unchanged."""
    operation_tanh: float = 0.0
    """The same for logits of operations; 0: as `tanh`."""
    favoured: str = ""
    """A prefix of names. Operations with it start with a learned bias of 10; in the normal cell 0.25 is added to
    their logits and subtracted from those of others."""


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
    # Pham et al. 2018, arXiv 1802.03268, from memory: the values have not been checked against the paper.
    "enas_paper": Controller(lr=0.00035, entropy=0.1, baseline_decay=0.99, hidden=100, temperature=5.0, tanh=2.5),
}
"""Options of controllers by source."""
