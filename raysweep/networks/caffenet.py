"""CaffeNet128-FC2048: the network of Mishkin et al. 2017, an AlexNet (Krizhevsky et al. 2012) with fc layers of 2048.

Five convolutions, three poolings, two hidden fully connected layers and a classifier; a non-linearity follows every
layer but the classifier. Convolutions round their output size down, poolings up (Caffe's rule).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from raysweep.errors import RaysweepError, unknown
from raysweep.networks import CELL_FACTORS, OPTIONAL_FACTORS, network
from raysweep.recipe import NetworkRecipe

if TYPE_CHECKING:
    from raysweep.nn.builder import Kernel
    from raysweep.nn.network_builder import NetworkBuilder


@dataclass(frozen=True)
class ConvStage:
    """A convolution and what follows it. The pooling after the last one belongs to the head."""

    width: int
    kernel: int
    stride: int = 1
    pad: int = 0
    groups: int = 1
    pool: bool = False
    pool_stride: int = 2
    lrn: bool = False


CONV_STAGES = (
    ConvStage(96, 11, stride=4, pool=True, lrn=True),
    ConvStage(256, 5, pad=2, groups=2, pool=True, lrn=True),
    ConvStage(384, 3, pad=1),
    ConvStage(384, 3, pad=1, groups=2),
    ConvStage(256, 3, pad=1, groups=2),
)
FC_WIDTHS = (2048, 2048)
STRIDED_CONVS = {"strided_conv": (2, 3, 5), "strided_conv_234": (2, 3, 4)}
"""Convolutions, counted from 1, whose stride of 2 replaces the pooling."""
CONV_FORMS: Mapping[str, Mapping[int, tuple[Kernel, ...]]] = {
    "whole": {},
    "3x3_1x1": {5: (3, 1, 3, 1), 3: (3, 1)},
    "1x3_3x1": {5: ((1, 3), (3, 1), (1, 3), (3, 1)), 3: ((1, 3), (3, 1))},
    "1x5_5x1": {5: ((1, 5), (5, 1)), 3: ((1, 3), (3, 1))},
    "1x5_5x1_twice": {5: ((1, 5), (5, 1), (1, 5), (5, 1)), 3: ((1, 5), (5, 1))},
    "1x5_1x1_5x1": {5: ((1, 5), 1, (5, 1)), 3: ((1, 3), (3, 1))},
}
"""The convolutions that replace a kernel of 5 or 3 px, each with a non-linearity.

A convolution has two groups only if it has the kernel of the one that it replaces.
"""
SHIELDED = "1x5_1x1_5x1"
"""The form whose 1x1 convolution goes back to the width of the stage's input."""


def layer_widths(recipe: NetworkRecipe) -> tuple[int, ...]:
    """Widths of conv1..conv5, fc6, fc7 after the multiplier.

    Scaled widths are rounded to even numbers, so that two groups divide them; the recipe's own are used unchanged.

    Raises:
        RaysweepError: `network.widths` does not hold seven widths, or two groups do not divide them.
    """
    own = tuple(stage.width for stage in CONV_STAGES) + FC_WIDTHS
    widths = recipe.widths or own
    if len(widths) != len(own):
        raise RaysweepError(f"network.widths has {len(widths)} entries; caffenet takes {len(own)}, e.g. {own}.")
    if recipe.width != 1:
        widths = tuple(max(2, 2 * round(width * recipe.width / 2)) for width in widths)
    odd = [width for width in widths[: len(CONV_STAGES)] if width % 2]
    if recipe.groups and odd:
        raise RaysweepError(f"network.widths: {odd[0]} is not divisible into two groups; add network.groups=false.")
    return widths


def conv_stages(recipe: NetworkRecipe) -> tuple[ConvStage, ...]:
    """The convolutional stages as the recipe's factors change them."""
    stages = [replace(stage, width=width) for stage, width in zip(CONV_STAGES, layer_widths(recipe), strict=False)]
    stages[0] = replace(stages[0], kernel=recipe.stem_kernel, stride=recipe.stem_stride)
    strided = STRIDED_CONVS.get(recipe.pooling, ())
    stages = [replace(stage, stride=2 if n in strided else stage.stride) for n, stage in enumerate(stages, 1)]
    if not recipe.groups:
        stages = [replace(stage, groups=1) for stage in stages]
    return tuple(stages if recipe.conv_pad else _without_padding(stages))


def _without_padding(stages: list[ConvStage]) -> list[ConvStage]:
    # The published network without padding halves the first stride, since otherwise no map would be left. If that is
    # already 1, the first pooling has stride 1 instead, which gives maps of the same sizes.
    first = stages[0]
    halved = replace(first, pool_stride=1) if first.stride == 1 else replace(first, stride=first.stride // 2)
    return [replace(stage, pad=0) for stage in (halved, *stages[1:])]


def _stem_layers(net: NetworkBuilder, width: int) -> None:
    recipe = net.recipe
    kernel = recipe.stem_layers_kernel
    names = [f"conv1_{number}" for number in range(1, recipe.stem_layers + 1)]
    for name in names:
        net.conv(name, width, kernel, pad=None, number=1)
    if recipe.stem_residual and names:
        net.pair_skips("conv1_pairs", names)


def _stage(net: NetworkBuilder, number: int, stage: ConvStage) -> None:
    kernels = CONV_FORMS[net.recipe.conv_form].get(stage.kernel, (stage.kernel,)) if number > 1 else (stage.kernel,)
    incoming, last = net.shape[0], len(kernels) - 1
    for part, kernel in enumerate(kernels):
        # One group if the channels are not divisible, as with a concatenated image.
        groups = stage.groups if kernel == stage.kernel and net.shape[0] % stage.groups == 0 else 1
        stride, pad = stage.stride if part == 0 else 1, None if stage.pad else 0
        width = incoming if kernel == 1 and net.recipe.conv_form == SHIELDED else stage.width
        name, norm = f"conv{number}{'abcd'[part] if part else ''}", part == last or not net.recipe.norm_layers
        net.conv(name, width, kernel, stride, pad, groups, number, norm=norm)


def _features(net: NetworkBuilder) -> None:
    recipe = net.recipe
    dropouts = net.conv_dropouts(len(CONV_STAGES))
    for number, stage in enumerate(conv_stages(recipe), 1):
        _stage(net, number, stage)
        if number == 1:
            _stem_layers(net, stage.width)
        net.dropout(f"conv_drop{number}", dropouts[number - 1])
        if stage.pool:
            net.pool(f"pool{number}", stage.pool_stride)
        if stage.lrn and recipe.lrn:
            net.lrn(f"norm{number}")


FACTORS = OPTIONAL_FACTORS - CELL_FACTORS - {"survival"}
ALEXNET = {"widths": (96, 256, 384, 384, 256, 4096, 4096), "lrn": True}


@network(
    "alexnet",
    "the original, 227 px: LRN, two groups, fc layers of 4096",
    "Krizhevsky et al. 2012",
    side=227,
    own=ALEXNET,
    factors=FACTORS,
)
@network("caffenet", "AlexNet at 128 px with fc layers of 2048", "Mishkin et al. 2017", side=128, factors=FACTORS)
def caffenet(net: NetworkBuilder) -> None:
    """CaffeNet, for images of any size that leaves maps.

    Raises:
        RaysweepError: an unknown factor, incompatible factors, or images too small.
    """
    if net.recipe.conv_form not in CONV_FORMS:
        raise unknown("network.conv_form", net.recipe.conv_form, CONV_FORMS)
    net.input()
    _features(net)
    net.head(*layer_widths(net.recipe)[len(CONV_STAGES) :])
