"""Training images/s of the paper's network by precision and memory format, on one CPU thread.

CaffeNet at a quarter of its width and 128 px, batch size 64: whole updates (forward, backward, solver).
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._harness import measure, report, seconds
from raysweep.networks import build_network
from raysweep.nn.inits import INITS
from raysweep.optim.solvers import make_solver
from raysweep.patch import patch
from raysweep.recipe import Recipe

BATCH, UPDATES, REPEATS = 64, 4, 7


def side(precision: str, layout: torch.memory_format) -> Callable[[], float]:
    """Return a function that measures images per second of a few updates."""
    recipe = patch(Recipe(), {"network.width": 0.25, "network.outputs": 10})
    torch.manual_seed(0)
    network = build_network(recipe.network, recipe.data.shape).to(memory_format=layout)  # type: ignore[call-overload]
    images = torch.randn(BATCH, 3, 128, 128).contiguous(memory_format=layout)
    labels = torch.randint(10, (BATCH,))
    INITS["lsuv"](network, images, torch.Generator().manual_seed(0))
    solver = make_solver(network, recipe.solver)

    def update() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = F.cross_entropy(network(images).float(), labels)
        solver.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        solver.step()

    def updates() -> None:
        for _ in range(UPDATES):
            update()

    update()  # the first update allocates
    return lambda: BATCH * UPDATES / seconds(updates)


def main() -> None:
    """Measure all four sides."""
    torch.set_num_threads(1)
    layouts = {"nchw": torch.contiguous_format, "channels-last": torch.channels_last}
    sides = {f"{p} {name}": side(p, layouts[name]) for p, name in itertools.product(("float32", "bfloat16"), layouts)}
    rows = measure(sides, REPEATS)
    medians = {row.side: row.median for row in rows}
    report(
        "arithmetic",
        "images/s",
        rows,
        {
            "channels-last over nchw, float32": medians["float32 channels-last"] / medians["float32 nchw"],
            "bfloat16 over float32": medians["bfloat16 channels-last"] / medians["float32 channels-last"],
        },
    )


if __name__ == "__main__":
    main()
