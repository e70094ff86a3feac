"""Builds a network layer by layer from a recipe: every layer with its non-linearity, normalisation and dropout.

The builder tracks the shape of one image's activations, so a layer is declared by its width and kernel only. The files
in `networks/` describe networks with these methods, on a `NetworkBuilder`, and load no torch themselves.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Self, TypeVar

from torch import nn

from raysweep.errors import InapplicableError, RaysweepError
from raysweep.nn.activations import ACTIVATIONS, Shape
from raysweep.nn.blocks import (
    AuxiliaryHead,
    Branches,
    ConcatImage,
    Layers,
    Residual,
    StochasticDepth,
    Unit,
    convolution,
)
from raysweep.nn.input_nets import INPUT_NETS
from raysweep.nn.norms import NORMS
from raysweep.nn.pooling import POOLINGS, Window, replaces_pooling
from raysweep.recipe import NetworkRecipe

Kernel = int | tuple[int, int]
B = TypeVar("B", bound="Builder")
Part = Callable[[B], None]
"""Describes a part of a network on a builder that starts at the current map."""


class Builder:
    """Adds layers one by one. Layers have the names of the published files: conv1, pool1, fc6, ..."""

    def __init__(self, recipe: NetworkRecipe, shape: Shape, strides_itself: bool = False) -> None:
        """Start at one image of `shape` (channels, height, width).

        `strides_itself`: the network handles the poolings that are replaced by strided convolutions.
        """
        self.recipe = recipe
        self.image = shape
        self.shape: Shape = shape
        self.layers: OrderedDict[str, nn.Module] = OrderedDict()
        self._strides_itself = strides_itself
        self._whole = self
        """The builder of the whole network; differs from this one if this one builds a part."""
        self._numbers: Iterator[int] = itertools.count(1)
        self._pools = 0
        self._bypassed: nn.Module | None = None

    def build(self) -> Layers:
        """The finished network.

        Raises:
            InapplicableError: the recipe tests an auxiliary head that the network does not have.
        """
        network = Layers(self.layers)
        heads = sum(isinstance(layer, AuxiliaryHead) for layer in network)
        if self.recipe.aux_tested > heads:
            raise InapplicableError(
                f"network.aux_tested is {self.recipe.aux_tested}, but {self.recipe.name} has {heads} auxiliary heads "
                f"with network.aux_weight {self.recipe.aux_weight:g}: lower aux_tested or set aux_weight."
            )
        network.tested = self.recipe.aux_tested
        return network

    def add(self, name: str, layer: nn.Module, shape: Shape | None = None) -> None:
        """Add a layer; its output has the given shape, or that of its input.

        Raises:
            ValueError: the name is taken. The earlier layer would silently be replaced.
        """
        if name in self.layers:
            raise ValueError(f"{self.recipe.name} has two layers named {name}.")
        self.layers[name] = layer
        self.shape = shape or self.shape

    def scaled(self, width: float) -> int:
        """`width` times the recipe's multiplier, rounded to an even number so that two groups divide it."""
        return max(2, 2 * round(width * self.recipe.width / 2))

    def input(self) -> None:
        """Add the dropout of the image and the recipe's input net."""
        self.dropout("input_drop", self.recipe.input_dropout)
        if self.recipe.input_net != "none":
            net = INPUT_NETS[self.recipe.input_net](self.shape[0])
            self.add("input_net", net.layer, (net.channels, *self.shape[1:]))

    def conv(
        self,
        name: str,
        width: int,
        kernel: Kernel,
        stride: Kernel = 1,
        pad: Kernel | None = 0,
        groups: int = 1,
        number: int = 0,
        *,
        dilation: int = 1,
        act: bool | str = True,
        norm: bool = True,
        bias: bool = True,
    ) -> None:
        """Add a convolution to `width` channels with everything that follows it except pooling.

        `pad` None is half the kernel, which keeps the size. `number` is the position in the network, counted from 1, to
        which `norm_bypass` and `norm_layers` refer; 0 takes the next one. Without `act` there is neither a
        non-linearity nor a normalisation after it (see `activate`); a name is a non-linearity instead of the recipe's.
        Without `norm` there is no normalisation at all, without `bias` no bias.

        Raises:
            InapplicableError: the map is smaller than the kernel.
        """
        kernels, strides = _pair(kernel), _pair(stride)
        pads = (dilation * (kernels[0] // 2), dilation * (kernels[1] // 2)) if pad is None else _pair(pad)
        channels, *sizes = self.shape
        windows = zip(sizes, kernels, strides, pads, strict=True)
        out = [(size + 2 * p - dilation * (k - 1) - 1) // s + 1 for size, k, s, p in windows]
        if min(out) < 1:
            raise InapplicableError(f"{name} leaves no map: {self._too_small()}")
        shape = (width, *out)
        spec = ACTIVATIONS[act if isinstance(act, str) else self.recipe.activation if act else "linear"]
        biased = bias and self.recipe.bias and self.recipe.conv_bias
        form = (channels, width, kernels, strides, pads, groups, biased, dilation)
        layers = [convolution(*form) for _ in range(spec.pieces)]
        self._unit(name, layers, spec.build(shape), shape, number, bool(act), norm)

    def stem(self, name: str, width: int, pad: int | None = None, *, act: bool = True, norm: bool = True) -> None:
        """Add the first convolution: the recipe's kernel, stride and non-linearity. `pad` defaults to half the kernel.

        Raises:
            InapplicableError: the image is smaller than the kernel.
        """
        recipe = self.recipe
        own_act = act and (recipe.stem_activation or True)
        self.conv(name, width, recipe.stem_kernel, recipe.stem_stride, pad, act=own_act, norm=norm)

    def fc(self, name: str, width: int, number: int = 0) -> None:
        """Add a fully connected layer on the flattened map, with everything that follows it."""
        self.flatten()
        spec = ACTIVATIONS[self.recipe.fc_activation or self.recipe.activation]
        bias = self.recipe.bias and self.recipe.fc_bias
        layers = [nn.Linear(self.shape[0], width, bias=bias) for _ in range(spec.pieces)]
        self._unit(name, layers, spec.build((width,)), (width,), number)

    def _unit(
        self,
        name: str,
        layers: Sequence[nn.Module],
        activation: nn.Module,
        shape: Shape,
        number: int,
        act: bool = True,
        norm: bool = True,
    ) -> None:
        number = number or next(self._numbers)
        recipe, make = self.recipe, NORMS[self.recipe.norm]
        normalised = norm and recipe.norm != "none" and (not recipe.norm_layers or number in recipe.norm_layers)
        before = [make(shape[0]) for _ in layers] if normalised and recipe.norm_position == "before" else []
        after = make(shape[0]) if normalised and act and recipe.norm_position == "after" else None
        bypassed, self._bypassed = self._bypassed, None
        if number + 1 in recipe.norm_bypass:
            self._bypassed, after = after, None
        self.add(name, Unit(layers, activation, before, after, bypassed), shape)

    def activate(self, name: str) -> None:
        """Add the non-linearity without a layer, as after a sum, and the normalisation if the recipe places it after.

        Raises:
            InapplicableError: the non-linearity takes the outputs of several layers.
        """
        activation = self._activation(name)
        after = NORMS[self.recipe.norm](self.shape[0]) if self.recipe.norm_position == "after" else None
        self.add(name, Unit([nn.Identity()], activation, after=after))

    def preactivate(self, name: str) -> None:
        """Add normalisation and non-linearity in front of a layer, in the recipe's order (He et al. 2016b).

        Raises:
            InapplicableError: the non-linearity takes the outputs of several layers.
        """
        activation, norm = self._activation(name), NORMS[self.recipe.norm](self.shape[0])
        first = self.recipe.norm_position == "before"
        self.add(name, nn.Sequential(norm, activation) if first else nn.Sequential(activation, norm))

    def _activation(self, name: str) -> nn.Module:
        spec = ACTIVATIONS[self.recipe.activation]
        if spec.pieces > 1:
            raise InapplicableError(
                f"{self.recipe.activation} combines the outputs of {spec.pieces} layers, but {self.recipe.name} has a "
                f"non-linearity with a single input ({name}): choose another network.activation."
            )
        return spec.build(self.shape)

    def pool(
        self,
        name: str,
        stride: int = 2,
        kernel: int | None = None,
        pad: int | None = None,
        kind: str | None = None,
        round_up: bool = True,
    ) -> None:
        """Add the recipe's pooling and, if the recipe asks for it, concatenate the image.

        Window, border and kind are the recipe's unless the network sets its own. The size of the map is rounded up, as
        in Caffe, or down.

        Raises:
            InapplicableError: no map is left, or the recipe replaces pooling by strided convolutions and the network
                does not define which.
        """
        recipe, whole = self.recipe, self._whole is self
        self._pools += 1
        kind = kind or (recipe.first_pooling if whole and self._pools == 1 else "") or recipe.pooling
        if not replaces_pooling(kind):
            side, border = recipe.pool_kernel if kernel is None else kernel, recipe.pool_pad if pad is None else pad
            window = Window(side, stride, border, round_up)
            sizes = [window.output(size) for size in self.shape[1:]]
            if min(sizes) < 1:
                raise InapplicableError(f"{name} leaves no map: {self._too_small()}")
            norm = self._taken_norm(name) if whole and self._pools in recipe.norm_after_pools else None
            self.add(name, POOLINGS[kind](window), (self.shape[0], *sizes))
            if norm:
                self.add(f"{name}_norm", norm)
        elif not self._whole._strides_itself:
            raise InapplicableError(
                f"network.pooling {kind} is defined for caffenet only, not for {recipe.name}: choose another pooling."
            )
        if recipe.concat_rgb and whole:
            self.add(f"{name}_image", ConcatImage(), (self.shape[0] + self.image[0], *self.shape[1:]))

    def _taken_norm(self, pooling: str) -> nn.Module | None:
        """The normalisation after the last layer, which gives it up."""
        last = next(layer for layer in reversed(self.layers.values()) if not isinstance(layer, nn.Dropout))
        if not isinstance(last, Unit):
            raise InapplicableError(
                f"network.norm_after_pools: {pooling} of {self.recipe.name} does not follow a convolution."
            )
        norm, last.after = last.after, None
        return norm

    def lrn(self, name: str) -> None:
        """Add local response normalisation over 5 channels (Krizhevsky et al. 2012, section 3.3; Caffe's constants)."""
        self.add(name, nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75))

    def dropout(self, name: str, share: float) -> None:
        """Add dropout of single values, unless the share is 0."""
        if share:
            self.add(name, nn.Dropout(share))

    def conv_dropouts(self, count: int) -> tuple[float, ...]:
        """The recipe's dropout share after each of `count` convolutions.

        Raises:
            RaysweepError: the recipe has a different number of shares.
        """
        shares = self.recipe.conv_dropout or (0.0,) * count
        if len(shares) != count:
            raise RaysweepError(f"network.conv_dropout has {len(shares)} entries; {self.recipe.name} takes {count}.")
        return shares

    def border(self, name: str, end: int) -> None:
        """Add `end` pixels of zeros at the right and at the bottom."""
        channels, *sizes = self.shape
        self.add(name, nn.ZeroPad2d((0, end, 0, end)), (channels, *(size + end for size in sizes)))

    def flatten(self) -> None:
        """Flatten the map into a vector, unless it is one already."""
        if len(self.shape) > 1:
            self.add("flatten", nn.Flatten(), (prod(self.shape),))

    def part(self, describe: Part[Self], shape: Shape | None = None) -> tuple[Layers, Shape]:
        """Layers that start at the current map, or at one of `shape`, not yet added; and the shape of their output."""
        part = type(self)(self.recipe, shape or self.shape)
        part._whole, part._numbers, part.image = self._whole, self._numbers, self.image
        describe(part)
        return Layers(part.layers), part.shape

    def branches(self, name: str, *parts: Part[Self]) -> None:
        """Add parallel parts on the current map and concatenate their outputs.

        Raises:
            InapplicableError: their outputs differ in size.
        """
        built = [self.part(part) for part in parts]
        self.check_same(name, [shape[1:] for _, shape in built])
        channels = sum(shape[0] for _, shape in built)
        self.add(name, Branches(layers for layers, _ in built), (channels, *built[0][1][1:]))

    def residual(self, name: str, body: Part[Self], shortcut: Part[Self] | None = None, survival: float = 1.0) -> None:
        """Add shortcut(x) + body(x), by default with the identity as shortcut; `activate` adds what follows the sum.

        With a `survival` below 1, training leaves the body out at random.

        Raises:
            InapplicableError: the two outputs differ in shape.
        """
        (layers, shape), (skip, skipped) = self.part(body), self.part(shortcut or (lambda net: None))
        self.check_same(name, [shape, skipped])
        self.add(name, Residual(StochasticDepth(layers, survival, shape) if survival < 1 else layers, skip), shape)

    def check_same(self, name: str, shapes: Sequence[Shape]) -> None:
        """Refuse to combine maps of different shapes.

        Raises:
            InapplicableError: they differ.
        """
        if len(set(shapes)) > 1:
            raise InapplicableError(
                f"{name} of {self.recipe.name} combines maps of different shapes, {shapes}: {self._too_small()}"
            )

    def auxiliary_head(self, name: str, describe: Part[Self]) -> None:
        """Add a classifier on the current map if the recipe gives its loss a weight; the map passes on unchanged."""
        if self.recipe.aux_weight:
            self.add(name, AuxiliaryHead(self.part(describe)[0]))

    def classifier(self, name: str) -> None:
        """Add the fully connected layer that gives the logits."""
        self.flatten()
        outputs = self.recipe.outputs
        self.add(name, nn.Linear(self.shape[0], outputs, bias=self.recipe.bias), (outputs,))

    def _too_small(self) -> str:
        kernel, stride = self.recipe.stem_kernel, self.recipe.stem_stride
        return (
            f"images of {self.image[1]} px are too small for {self.recipe.name} with a first layer of "
            f"{kernel}x{kernel} and stride {stride}. Use larger images, or "
            "--set network.stem_kernel=3 --set network.stem_stride=1."
        )


def _pair(value: Kernel) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
