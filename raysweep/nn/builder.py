"""Builds a network layer by layer from a recipe: every layer with its non-linearity, normalisation and dropout.

Keeps count of the shape of one image's activations, so that a layer is declared by its width and kernel alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raysweep.errors import RaysweepError
from raysweep.nn.activations import ACTIVATIONS, Shape
from raysweep.nn.input_nets import INPUT_NETS
from raysweep.nn.norms import NORMS
from raysweep.nn.pooling import POOLINGS, Window, replaces_pooling
from raysweep.recipe import NetworkRecipe

Kernel = int | tuple[int, int]


class Unit(nn.Module):
    """One layer, or several in parallel, and the non-linearity that takes their outputs; normalised before or after.

    `bypassed` is the normalisation of the unit before, when only the first of the parallel layers is to see its output.
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
        activation: nn.Module,
        before: Sequence[nn.Module] = (),
        after: nn.Module | None = None,
        bypassed: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.activation = activation
        self.before = nn.ModuleList(before)
        self.after = after
        self.bypassed = bypassed

    def forward(self, x: Tensor) -> Tensor:
        """activation(layer_1(x), layer_2(x), ...), normalised."""
        first = x if self.bypassed is None else self.bypassed(x)
        pieces = [layer(first if number == 0 else x) for number, layer in enumerate(self.layers)]
        if self.before:
            pieces = [norm(piece) for norm, piece in zip(self.before, pieces, strict=True)]
        result: Tensor = self.activation(*pieces)
        return result if self.after is None else self.after(result)


class ConcatImage(nn.Module):
    """Appends the image, averaged to the size of the map, as further channels."""

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """x (N, C, H, W) and an image (N, c, ...) -> (N, C + c, H, W)."""
        return torch.cat([x, F.adaptive_avg_pool2d(image, (x.shape[2], x.shape[3]))], 1)


class Layers(nn.Sequential):
    """Layers in sequence; those that ask for the image get it too."""

    def forward(self, image: Tensor) -> Tensor:
        """image (N, C, H, W) -> logits (N, outputs)."""
        x = image
        for layer in self:
            x = layer(x, image) if isinstance(layer, ConcatImage) else layer(x)
        return x


class Builder:
    """Adds layers one by one. Names of layers are those of the published files: conv1, pool1, fc6, ..."""

    def __init__(self, recipe: NetworkRecipe, shape: Shape) -> None:
        """`shape` is that of one image: (channels, height, width)."""
        self.recipe = recipe
        self.image = shape
        self.shape: Shape = shape
        self.layers: OrderedDict[str, nn.Module] = OrderedDict()
        self._bypassed: nn.Module | None = None

    def build(self) -> Layers:
        """The network."""
        return Layers(self.layers)

    def add(self, name: str, layer: nn.Module, shape: Shape | None = None) -> None:
        """A layer as it is; its output has the given shape, or that of its input."""
        self.layers[name] = layer
        self.shape = shape or self.shape

    def scaled(self, width: int) -> int:
        """A width times the recipe's multiplier; even, so that two groups divide it."""
        return max(2, 2 * round(width * self.recipe.width / 2))

    def input(self) -> None:
        """Dropout of the image, and what stands between it and the first layer."""
        self.dropout("input_drop", self.recipe.input_dropout)
        if self.recipe.input_net != "none":
            net = INPUT_NETS[self.recipe.input_net](self.shape[0])
            self.add("input_net", net.layer, (net.channels, *self.shape[1:]))

    def conv(
        self, name: str, width: int, kernel: Kernel, stride: int = 1, pad: Kernel = 0, groups: int = 1, number: int = 0
    ) -> None:
        """A convolution of that width with all that follows it but pooling.

        `number` is its place in the network, counted from 1, by which `norm_bypass` and `norm_layers` name it.
        """
        kernels, pads = _pair(kernel), _pair(pad)
        channels, *sizes = self.shape
        out = [(size + 2 * p - k) // stride + 1 for size, k, p in zip(sizes, kernels, pads, strict=True)]
        if min(out) < 1:
            raise RaysweepError(f"no map is left after {name}: {self._too_small()}")
        shape = (width, *out)
        spec = ACTIVATIONS[self.recipe.activation]
        layers = [
            nn.Conv2d(channels, width, kernels, stride, pads, groups=groups, bias=self.recipe.bias)
            for _ in range(spec.pieces)
        ]
        self._unit(name, layers, spec.build(shape), shape, number)

    def fc(self, name: str, width: int, number: int = 0) -> None:
        """A fully connected layer on the flattened map, with all that follows it."""
        self.flatten()
        spec = ACTIVATIONS[self.recipe.fc_activation or self.recipe.activation]
        layers = [nn.Linear(self.shape[0], width, bias=self.recipe.bias) for _ in range(spec.pieces)]
        self._unit(name, layers, spec.build((width,)), (width,), number)

    def _unit(self, name: str, layers: Sequence[nn.Module], activation: nn.Module, shape: Shape, number: int) -> None:
        recipe, make = self.recipe, NORMS[self.recipe.norm]
        wanted = recipe.norm != "none" and (not recipe.norm_layers or number in recipe.norm_layers)
        before = [make(shape[0]) for _ in layers] if wanted and recipe.norm_position == "before" else []
        after = make(shape[0]) if wanted and recipe.norm_position == "after" else None
        bypassed, self._bypassed = self._bypassed, None
        if number + 1 in recipe.norm_bypass:
            self._bypassed, after = after, None
        self.add(name, Unit(layers, activation, before, after, bypassed), shape)

    def pool(self, name: str, stride: int = 2) -> None:
        """The recipe's pooling, and the image beside it where the recipe wants that."""
        recipe = self.recipe
        if not replaces_pooling(recipe.pooling):
            window = Window(recipe.pool_kernel, stride, recipe.pool_pad)
            sizes = [window.output(size) for size in self.shape[1:]]
            if min(sizes) < 1:
                raise RaysweepError(f"no map is left after {name}: {self._too_small()}")
            self.add(name, POOLINGS[recipe.pooling](window), (self.shape[0], *sizes))
        if recipe.concat_rgb:
            self.add(f"{name}_image", ConcatImage(), (self.shape[0] + self.image[0], *self.shape[1:]))

    def dropout(self, name: str, share: float) -> None:
        """Dropout of single values; nothing where the share is 0."""
        if share:
            self.add(name, nn.Dropout(share))

    def flatten(self) -> None:
        """The map as one vector, once."""
        if len(self.shape) > 1:
            self.add("flatten", nn.Flatten(), (prod(self.shape),))

    def _too_small(self) -> str:
        stem = f"{self.recipe.stem_kernel}x{self.recipe.stem_kernel}, stride {self.recipe.stem_stride}"
        return (
            f"images of {self.image[1]} px are too small for {self.recipe.name} with a first layer of {stem}. Use "
            "larger images, or --set network.stem_kernel=3 --set network.stem_stride=1."
        )


def _pair(value: Kernel) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
