"""Protocols: baseline recipes on which every study holds.

`imagenet128` is the paper's set-up. The others keep its network and solver and change what smaller images need.
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


@PROTOCOLS.add("imagenette128", "the paper's network at 128 px on Imagenette's 10 classes, 64 epochs, batch 64", PAPER)
def imagenette128() -> Recipe:
    """9,469 images would give 2,365 updates at the paper's batch; a quarter of it gives four times as many."""
    images = {"data.train_images": 9_469, "data.test_images": 3_925}
    return patch(Recipe(), images | {"network.outputs": 10, "training.batch_size": 64, "training.epochs": 64.0})


@PROTOCOLS.add("cifar10", "the network with the paper's 32 px first layer (3x3, stride 1), 64 epochs, batch 128", PAPER)
def cifar10() -> Recipe:
    """Maps after the first layer are those of 128 px, so the rest of the network is unchanged.

    Images padded by 4 px before the 32 px crop, batch 128: as in the authors' CIFAR experiments with FitNets.
    """
    images = {"data.train_images": 50_000, "data.test_images": 10_000, "data.side": 32, "data.short_side": 32}
    stem = {"network.stem_kernel": 3, "network.stem_stride": 1, "network.outputs": 10}
    return patch(Recipe(), images | stem | {"data.pad": 4, "training.batch_size": 128, "training.epochs": 64.0})


@PROTOCOLS.add("demo", "an eighth of the width on generated images of 32 px, a minute or two on a laptop", "")
def demo() -> Recipe:
    """Small enough for two cores, hard enough that design choices differ in four epochs.

    A layer of an eighth of the width cannot spare half of its units: dropout is 0.2.
    """
    images = {"data.train_images": 4_000, "data.test_images": 1_000, "data.short_side": 36, "data.pad": 0}
    small = {"network.width": 0.125, "network.dropout": 0.2, "training.batch_size": 32, "training.epochs": 4.0}
    return patch(cifar10(), images | small)


def find_protocol(name: str) -> Recipe:
    """The baseline recipe of that protocol.

    Raises:
        RaysweepError: no such protocol; the message holds the nearest ones.
    """
    return PROTOCOLS[name]()
