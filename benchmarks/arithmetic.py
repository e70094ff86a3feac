"""Training images/s of the paper's network by precision and memory format, on one CPU thread.

Quarter width at 128 px, batch 64, whole updates (forward, backward, solver) on resident images.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
import torch.nn.functional as F

from benchmarks._harness import measure, medians, report, seconds
from raysweep.networks import build_network
from raysweep.nn.inits import INITS
from raysweep.optim.solvers import make_solver
from raysweep.patch import patch
from raysweep.recipe import Recipe

BATCH, UPDATES, REPEATS = 64, 4, 7
LAYOUTS = {"nchw": torch.contiguous_format, "channels-last": torch.channels_last}


def side(precision: str, layout: torch.memory_format) -> Callable[[], float]:
    """Images per second of a few updates."""
    recipe = patch(Recipe(), {"network.width": 0.25, "network.outputs": 10})
    torch.manual_seed(0)
    network = build_network(recipe.network, recipe.data.shape).to(memory_format=layout)  # type: ignore[call-overload]
    images = torch.randn(BATCH, 3, 128, 128).contiguous(memory_format=layout)
    labels = torch.randint(10, (BATCH,))
    INITS["lsuv"](network, images, torch.Generator().manual_seed(0))
    solver = make_solver(network, recipe.solver)

    def updates(number: int = UPDATES) -> None:
        for _ in range(number):
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                loss = F.cross_entropy(network(images).float(), labels)
            solver.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            solver.step()

    updates(1)  # the first one allocates
    return lambda: BATCH * UPDATES / seconds(updates)


def main() -> None:
    """Measure all four sides in turn."""
    torch.set_num_threads(1)
    sides = {f"{p} {name}": side(p, LAYOUTS[name]) for p, name in itertools.product(("float32", "bfloat16"), LAYOUTS)}
    rows = measure(sides, REPEATS)
    median = medians(rows)
    claims = {
        "channels-last over nchw, float32": median["float32 channels-last"] / median["float32 nchw"],
        "bfloat16 over float32": median["bfloat16 channels-last"] / median["float32 channels-last"],
    }
    report("arithmetic", "images/s", rows, claims)


if __name__ == "__main__":
    main()
