"""Modules that combine layers: in sequence, in parallel, around a skip, with an auxiliary head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Unit(nn.Module):
    """One layer, or several in parallel, and the non-linearity that takes their outputs; normalised before or after it.

    `bypassed` is the normalisation of the previous unit, if only the first of the parallel layers sees its output.
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


class StridedPointwise(nn.Conv2d):
    """A strided 1x1 convolution that first takes every `stride`th pixel, then convolves those: the same sums.

    Needed with few channels: in the backward pass of a strided 1x1 convolution in channels-last layout, oneDNN 3.12
    writes past its workspace (uxlfoundation/oneDNN, issue 6035). The process dies, or other data are overwritten.
    """

    FEWER_THAN = 16
    """Input channels of a group below which it is used: the block size of AVX-512, twice that of AVX2."""

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        rows, columns = self.stride
        return F.conv2d(x[:, :, ::rows, ::columns], self.weight, self.bias, groups=self.groups)


def convolution(
    channels: int,
    width: int,
    kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    pad: tuple[int, int] = (0, 0),
    groups: int = 1,
    bias: bool = True,
    dilation: int = 1,
) -> nn.Conv2d:
    """A convolution from `channels` to `width` channels, in a form that is safe on all processors."""
    pointwise = kernel == (1, 1) and pad == (0, 0) and stride != (1, 1)
    form = StridedPointwise if pointwise and channels // groups < StridedPointwise.FEWER_THAN else nn.Conv2d
    return form(channels, width, kernel, stride, pad, dilation, groups, bias)


class ConcatImage(nn.Module):
    """Appends the image, averaged to the size of the map, as further channels."""

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """x (N, C, H, W) and an image (N, c, ...) -> (N, C + c, H, W)."""
        return torch.cat([x, F.adaptive_avg_pool2d(image, (x.shape[2], x.shape[3]))], 1)


class Branches(nn.ModuleList):
    """Parallel parts on the same map; their outputs are concatenated along the channels."""

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> (N, sum of the branches' channels, H, W)."""
        return torch.cat([branch(x) for branch in self], 1)


class Residual(nn.Module):
    """shortcut(x) + body(x) (He et al. 2016a, equations 1 and 2)."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> the shape of both paths' outputs."""
        change = self.body(x)
        total: Tensor = self.shortcut(x) + change
        return total


class StochasticDepth(nn.Module):
    """A body that training leaves out at random and test scales by its survival probability (Huang et al. 2016).

    One draw for each batch, from the CPU's generator, whose state checkpoints keep. A body left out is not computed.
    """

    def __init__(self, body: nn.Module, survival: float, shape: Sequence[int]) -> None:
        """Keep the body with probability `survival`; its output for one image has the given shape."""
        super().__init__()
        self.body = body
        self.survival = survival
        self.shape = tuple(shape)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, ...) -> (N, *shape), zeros if the body was left out."""
        if self.training and torch.rand(()) >= self.survival:
            return x.new_zeros(len(x), *self.shape)
        result: Tensor = self.body(x)
        return result if self.training else self.survival * result

    def extra_repr(self) -> str:
        """The survival probability."""
        return f"survival={self.survival:.3g}"


class DropPath(nn.Module):
    """Drops whole maps of images at random in training and scales the others (Larsson et al. 2017; NASNet's code).

    The dropped share rises linearly over the training, from 0.
    """

    progress = 0.0
    """Fraction of the training done, 0..1, set by the training loop: see `drop_paths`."""

    def __init__(self, share: float) -> None:
        """Drop `share` of the maps at the end of the training."""
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """The shape is unchanged."""
        dropped = self.share * self.progress
        if not self.training or not dropped:
            return x
        kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= dropped
        return x * (kept / (1 - dropped)).to(x.dtype)

    def extra_repr(self) -> str:
        """The share dropped at the end of the training."""
        return f"share={self.share:.3g}"


def drop_paths(network: nn.Module) -> list[DropPath]:
    """The drop-path layers of a network, whose `progress` the training loop sets."""
    return [layer for layer in network.modules() if isinstance(layer, DropPath)]


class LearnedWeight(nn.Module):
    """A learned factor, initially 0 and limited to [-1, 1] (Shen & Zeng 2016, section 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """The shape is unchanged."""
        return x * self.weight.clamp(-1, 1)


class PaddedShortcut(nn.Module):
    """Every `stride`th pixel, with zeros as further channels: the parameter-free option A of He et al. 2016a."""

    def __init__(self, channels: int, stride: int, taken: int | None = None) -> None:
        """Output `channels` channels, the first of which are the first `taken` (default: all) of the input."""
        super().__init__()
        self.channels = channels
        self.stride = stride
        self.taken = taken

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride))."""
        kept = x[:, : self.taken, :: self.stride, :: self.stride]
        return F.pad(kept, (0, 0, 0, 0, 0, self.channels - kept.shape[1]))


class PairSkips(nn.Module):
    """Layers in sequence with an identity skip over every two; an unpaired last one has no skip."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """The shape is unchanged."""
        for first, second in zip(self.layers[::2], self.layers[1::2], strict=False):
            x = x + second(first(x))
        return x if len(self.layers) % 2 == 0 else self.layers[-1](x)


class AuxiliaryHead(nn.Module):
    """A classifier on a map in the middle of the network (Szegedy et al. 2015, section 5)."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> logits (N, outputs)."""
        logits: Tensor = self.layers(x)
        return logits


Taken = tuple[int, nn.Module]
"""The number of a state, and the layer applied to it."""


class Graph(nn.Module):
    """A cell: the input maps are states, each node adds a sum of layers on earlier ones; some are concatenated."""

    def __init__(self, nodes: Sequence[Sequence[Taken]], outputs: Sequence[Taken]) -> None:
        """Number the states from 0, the input maps first."""
        super().__init__()
        self.sources = [[source for source, _ in node] for node in nodes]
        self.nodes = nn.ModuleList(nn.ModuleList(layer for _, layer in node) for node in nodes)
        self.concat = [source for source, _ in outputs]
        self.outputs = nn.ModuleList(layer for _, layer in outputs)

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps (N, C, H, W) -> (N, sum of the outputs' channels, h, w)."""
        states = list(maps)
        for sources, layers in zip(self.sources, self.nodes, strict=True):
            made = [layer(states[at]) for at, layer in zip(sources, layers, strict=True)]  # type: ignore[call-overload]
            states.append(sum(made[1:], made[0]))
        return torch.cat([layer(states[at]) for at, layer in zip(self.concat, self.outputs, strict=True)], 1)


class Paired(nn.Module):
    """A layer on the current map and the one before the previous such layer; the first one is given one map twice."""

    def __init__(self, older: nn.Module, newer: nn.Module, joined: nn.Module) -> None:
        super().__init__()
        self.older = older
        self.newer = newer
        self.joined = joined

    def forward(self, older: Tensor, newer: Tensor) -> Tensor:
        """joined(older(...), newer(...))."""
        result: Tensor = self.joined(self.older(older), self.newer(newer))
        return result


class Layers(nn.Sequential):
    """Layers in sequence; `ConcatImage` layers get the image too, auxiliary heads read the map and pass it on."""

    tested = 0
    """The logits returned at test: 0 for those of the last layer, n for those of the nth auxiliary head."""

    def forward(self, image: Tensor) -> Tensor:
        """image (N, C, H, W) -> logits (N, outputs).

        Training with auxiliary heads gives (1 + heads, N, outputs): the last layer's logits, then those of each head.
        """
        x, older, others = image, None, []
        for layer in self:
            if isinstance(layer, AuxiliaryHead):
                if self.training or self.tested:
                    others.append(layer(x))
            elif isinstance(layer, Paired):
                x, older = layer(x if older is None else older, x), x
            else:
                x = layer(x, image) if isinstance(layer, ConcatImage) else layer(x)
        if self.training and others:
            return torch.stack([x, *others])
        return others[self.tested - 1] if self.tested else x
