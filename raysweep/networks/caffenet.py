"""CaffeNet128-FC2048: the network of Mishkin et al. 2017, an AlexNet (Krizhevsky et al. 2012) with fc layers of 2048.

Five convolutions, three poolings, two hidden fully connected layers and a classifier; the non-linearity follows all
but the classifier. Convolutions round their output size down, poolings up (Caffe's rule).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from torch import Tensor, nn

from raysweep.errors import RaysweepError, unknown
from raysweep.networks import NETWORKS
from raysweep.nn.activations import ACTIVATIONS, Shape
from raysweep.recipe import NetworkRecipe


@dataclass(frozen=True)
class ConvStage:
    """A convolution, its non-linearity, and what follows it."""

    width: int
    kernel: int
    stride: int = 1
    pad: int = 0
    groups: int = 1
    pool: bool = False
    lrn: bool = False


CONV_STAGES = (
    ConvStage(96, 11, stride=4, pool=True, lrn=True),
    ConvStage(256, 5, pad=2, groups=2, pool=True, lrn=True),
    ConvStage(384, 3, pad=1),
    ConvStage(384, 3, pad=1, groups=2),
    ConvStage(256, 3, pad=1, groups=2, pool=True),
)
FC_WIDTHS = (2048, 2048)
POOL_KERNEL, POOL_STRIDE = 3, 2
STRIDED_CONVS = (2, 3, 5)
"""Convolutions that get stride 2 where there is no pooling, counted from 1."""


class Unit(nn.Module):
    """One layer, or several in parallel, and the non-linearity that takes their outputs."""

    def __init__(self, layers: list[nn.Module], activation: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """activation(layer_1(x), layer_2(x), ...)."""
        result: Tensor = self.activation(*[layer(x) for layer in self.layers])
        return result


def scaled_widths(recipe: NetworkRecipe) -> tuple[int, ...]:
    """Widths of conv1..conv5, fc6, fc7 after the multiplier, each a multiple of 2 so that two groups divide it.

    Raises:
        RaysweepError: `network.widths` does not hold seven widths.
    """
    own = tuple(stage.width for stage in CONV_STAGES) + FC_WIDTHS
    widths = recipe.widths or own
    if len(widths) != len(own):
        raise RaysweepError(f"network.widths has {len(widths)} entries; caffenet takes {len(own)}, e.g. {own}.")
    return tuple(max(2, 2 * round(width * recipe.width / 2)) for width in widths)


def conv_stages(recipe: NetworkRecipe) -> tuple[ConvStage, ...]:
    """The convolutional stages as the recipe's factors change them.

    Raises:
        RaysweepError: unknown pooling.
    """
    if recipe.pooling not in ("max", "strided_conv"):
        raise unknown("pooling", recipe.pooling, ("max", "strided_conv"))
    stages = [replace(stage, width=width) for stage, width in zip(CONV_STAGES, scaled_widths(recipe), strict=False)]
    stages[0] = replace(stages[0], kernel=recipe.stem_kernel, stride=recipe.stem_stride)
    if recipe.pooling == "strided_conv":
        stages = [
            replace(stage, pool=False, stride=2 if number in STRIDED_CONVS else stage.stride)
            for number, stage in enumerate(stages, 1)
        ]
    return tuple(replace(stage, lrn=stage.lrn and recipe.lrn) for stage in stages)


def _conv(stage: ConvStage, shape: Shape, activation: str) -> tuple[Unit, Shape]:
    size = (shape[1] + 2 * stage.pad - stage.kernel) // stage.stride + 1
    out = (stage.width, size, size)
    spec = ACTIVATIONS[activation]
    layers: list[nn.Module] = [
        nn.Conv2d(shape[0], stage.width, stage.kernel, stage.stride, stage.pad, groups=stage.groups)
        for _ in range(spec.pieces)
    ]
    return Unit(layers, spec.build(out)), out


def _fc(inputs: int, width: int, activation: str) -> Unit:
    spec = ACTIVATIONS[activation]
    return Unit([nn.Linear(inputs, width) for _ in range(spec.pieces)], spec.build((width,)))


def pooled(size: int) -> int:
    """Side of the map after a 3x3 pooling of stride 2 without padding, rounded up; 0 where the window does not fit."""
    return -(-(size - POOL_KERNEL) // POOL_STRIDE) + 1 if size >= POOL_KERNEL else 0


def _features(recipe: NetworkRecipe, side: int) -> tuple[OrderedDict[str, nn.Module], Shape]:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    shape: Shape = (3, side, side)
    for number, stage in enumerate(conv_stages(recipe), 1):
        layers[f"conv{number}"], shape = _conv(stage, shape, recipe.activation)
        if stage.pool:
            layers[f"pool{number}"] = nn.MaxPool2d(POOL_KERNEL, POOL_STRIDE, ceil_mode=True)
            shape = (shape[0], pooled(shape[1]), pooled(shape[2]))
        if stage.lrn:
            layers[f"norm{number}"] = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)
        if shape[1] < 1:
            raise RaysweepError(
                f"images of {side} px leave no map after conv{number} of caffenet with a first layer of "
                f"{recipe.stem_kernel}x{recipe.stem_kernel}, stride {recipe.stem_stride}: use larger images or "
                "--set network.stem_kernel=3 --set network.stem_stride=1."
            )
    return layers, shape


@NETWORKS.add(
    "caffenet", "AlexNet at 128 px with fc layers of 2048: 13.3 M parameters, 209 M MACs", "Mishkin et al. 2017"
)
def caffenet(recipe: NetworkRecipe, side: int) -> nn.Module:
    """CaffeNet for images (N, 3, side, side); returns logits (N, outputs).

    Raises:
        RaysweepError: unknown activation or pooling, or images too small.
    """
    layers, shape = _features(recipe, side)
    layers["flatten"] = nn.Flatten()
    inputs = shape[0] * shape[1] * shape[2]
    for number, width in enumerate(scaled_widths(recipe)[len(CONV_STAGES) :], len(CONV_STAGES) + 1):
        layers[f"fc{number}"] = _fc(inputs, width, recipe.fc_activation or recipe.activation)
        layers[f"drop{number}"] = nn.Dropout(recipe.dropout)
        inputs = width
    layers["fc8"] = nn.Linear(inputs, recipe.outputs)
    return nn.Sequential(layers)
