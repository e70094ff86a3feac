"""`raysweep new`: write commented starting points for a user's own studies and networks."""

from __future__ import annotations

import re
from pathlib import Path

import click

from raysweep.disk.whole import write_whole
from raysweep.errors import RaysweepError
from raysweep.study import study_names
from raysweep.terminal.notes import note, say

STUDY = '''"""Does {title} help?

Try it:    raysweep plan ./{file} --protocol demo
Run it:    raysweep run ./{file} --protocol demo --seeds 3 --inline
Or:        raysweep decide ./{file} --protocol cifar10 --data data/mine --budget 1h
Report:    raysweep report {name}
"""

import torch

from raysweep.nn.activations import pointwise  # also: norms.py, pooling.py, heads.py, inits.py, ...
from raysweep.study import Study, Times, Variant

# A layer of your own: whatever this file registers is available to its variants, and travels to the workers with it.
pointwise("{name}_act", "x sigmoid(1.7 x)")(lambda x: x * torch.sigmoid(1.7 * x))

STUDY = Study(
    name="{name}",
    question="Does {title} help?",
    paper="",  # where the idea is from
    finding="",  # what was found there
    baseline="as_it_is",  # every other variant is compared with this one
    variants=(
        Variant("as_it_is", {{}}, "the protocol"),
        # Any field of `raysweep list fields`, with a value, or with Times(...) of the baseline's value.
        Variant("{name}_act", {{"network.activation": "{name}_act"}}, "our own non-linearity"),
        Variant("twice_the_rate", {{"solver.lr": Times(2.0)}}, "twice the learning rate"),
        # A network of your own: Variant("mine", {{"network.name": "models.py:build"}}, "our own network"),
    ),
)
'''
NETWORK = '''"""A network of our own.

Try it:    raysweep plan activation --network ./{file}:build --protocol demo
Run it:    raysweep run activation --network ./{file}:build --protocol demo --variants elu --inline
"""

from torch import Tensor, nn


def build(num_classes: int, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """Arguments are optional: raysweep passes num_classes, in_channels, image_size and width where they are taken."""
    channels = round(32 * width)
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1),
        nn.ReLU(),  # `network.activation` replaces it, wherever it is
        nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * channels, num_classes),
    )
'''
TEXTS = {"study": STUDY, "network": NETWORK}


@click.command()
@click.argument("kind", type=click.Choice(sorted(TEXTS)))
@click.argument("name")
def new(kind: str, name: str) -> None:
    """Write NAME.py to start your own study or network from.

    \b
    raysweep new study my_study      then: raysweep plan ./my_study.py --protocol demo
    raysweep new network my_network  then: raysweep plan activation --network ./my_network.py:build --protocol demo
    """
    name = name.removesuffix(".py")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,60}", name):
        raise RaysweepError(f"{name!r} is no name for a {kind}: use lower-case letters, digits and _, e.g. my_{kind}.")
    if kind == "study" and name in study_names():
        raise RaysweepError(f"{name} is the name of a shipped study: choose another one.")
    path = Path(f"{name}.py")
    if path.exists():
        raise RaysweepError(f"{path} exists already: choose another name, or move it elsewhere.")
    write_whole(path, TEXTS[kind].format(name=name, file=path.name, title=name.replace("_", " ")).encode())
    say(str(path))
    what = f"./{path}" if kind == "study" else f"activation --network ./{path}:build"
    note(f"next: `raysweep plan {what} --protocol demo`")
