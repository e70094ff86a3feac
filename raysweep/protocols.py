"""Protocols: the baseline recipes that every study can be run on.

`imagenet128` is the paper's set-up. The others keep its network and solver, and adapt them to smaller image sets.
"""

from __future__ import annotations

from collections.abc import Callable

from raysweep.patch import patch
from raysweep.recipe import Recipe
from raysweep.registry import Registry

PAPER = "Mishkin et al. 2017"
PROTOCOLS: Registry[Callable[[], Recipe]] = Registry("protocol", "raysweep list protocols")


@PROTOCOLS.add("imagenet128", "CaffeNet128-FC2048 on ImageNet at 128 px, 320,000 iterations of 256", PAPER)
def imagenet128() -> Recipe:
    """The paper's baseline: all defaults."""
    return Recipe()


@PROTOCOLS.add("imagenette128", "the paper's network on Imagenette (10 classes) at 128 px, 64 epochs, batch 64", PAPER)
def imagenette128() -> Recipe:
    """A quarter of the paper's batch: with its full batch, 9,469 images would give only 2,365 updates."""
    images = {"data.train_images": 9_469, "data.test_images": 3_925}
    return patch(Recipe(), images | {"network.outputs": 10, "training.batch_size": 64, "training.epochs": 64.0})


@PROTOCOLS.add(
    "cifar10", "the paper's network with a first layer for 32 px (3x3, stride 1), 64 epochs, batch 128", PAPER
)
def cifar10() -> Recipe:
    """After the first layer the maps have the sizes of the 128 px network, so the other layers are unchanged.

    Padding by 4 px before the 32 px crop and batches of 128 are as in the authors' CIFAR experiments with FitNets.
    """
    images = {"data.train_images": 50_000, "data.test_images": 10_000, "data.side": 32, "data.short_side": 32}
    stem = {"network.stem_kernel": 3, "network.stem_stride": 1, "network.outputs": 10}
    return patch(Recipe(), images | stem | {"data.pad": 4, "training.batch_size": 128, "training.epochs": 64.0})


@PROTOCOLS.add("demo", "generated images of 32 px, an eighth of the width; takes a minute or two on a laptop", "")
def demo() -> Recipe:
    """Small enough for two cores, and hard enough for design choices to differ after four epochs.

    Layers of an eighth of the width are too narrow to drop half of their units: dropout is 0.2.
    """
    images = {"data.train_images": 4_000, "data.test_images": 1_000, "data.short_side": 36, "data.pad": 0}
    small = {"network.width": 0.125, "network.dropout": 0.2, "training.batch_size": 32, "training.epochs": 4.0}
    return patch(cifar10(), images | small)


def find_protocol(name: str) -> Recipe:
    """The baseline recipe of the protocol of that name.

    Raises:
        RaysweepError: no such protocol; the message lists the nearest ones.
    """
    return PROTOCOLS[name]()
