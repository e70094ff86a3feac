"""ResNets that others contributed to the benchmark (Mishkin et al. 2017, repository).

Each is stages of bottlenecks with identity skips, without normalisation in the skips. They differ in their widths, in
the first layer, and in how a stage starts: either, as in He et al. 2016a, with a bottleneck whose skip is a strided 1x1
convolution, or with a strided 1x1 convolution in front of the first bottleneck and its skip. In `_strided` ones the
first stage strides too, by mistake, so that its map is half as large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.networks import network
from raysweep.networks.resnet import HEAD, HIDDEN

if TYPE_CHECKING:
    from raysweep.nn.builder import Kernel
    from raysweep.nn.network_builder import NetworkBuilder

NEVER = 5


@dataclass(frozen=True)
class Form:
    """The parameters in which the networks differ."""

    inner: tuple[int, ...]
    """Width of the first two convolutions of a bottleneck, for each stage."""
    outer: tuple[int, ...]
    """Width of the output of each stage."""
    depths: tuple[int, ...] = (3, 4, 6, 3)
    """Number of bottlenecks of each stage."""
    stem: int = 64
    stem_pad: int = 0
    stem_normalised: bool = True
    first_stride: int = 1
    """Stride of the first stage; that of the others is 2."""
    in_front: int = 2
    """Number of the first stage that starts with a convolution in front of its bottlenecks."""
    front_activated: bool = False
    """Whether a non-linearity follows this convolution."""
    last: int = 0
    """Width of a 1x1 convolution after the last stage; 0: none."""


def convolutions(net: NetworkBuilder, kernels: Sequence[Kernel], inner: int, outer: int, stride: int = 1) -> None:
    """Add convolutions of width `inner` and a last one of `outer`, without a non-linearity after it.

    The second one strides. Those that are one pixel high or wide have no biases.
    """
    for number, kernel in enumerate(kernels, 1):
        last, step = number == len(kernels), stride if number == 2 else 1
        width = outer if last else inner
        net.conv(f"conv{number}", width, kernel, step, None, act=not last, bias=isinstance(kernel, int))


def projection(net: NetworkBuilder, width: int, stride: int = 1) -> None:
    """Add a 1x1 convolution alone, for a skip."""
    net.conv("project", width, 1, stride, act=False, norm=False)


def _stage(net: NetworkBuilder, form: Form, number: int) -> None:
    inner, outer, depth = form.inner[number - 1], net.scaled(form.outer[number - 1]), form.depths[number - 1]
    stride = form.first_stride if number == 1 else 2
    if number >= form.in_front:
        net.conv(f"stage{number}", outer, 1, stride, act=form.front_activated, norm=False)
    for block in range(1, depth + 1):
        projected = block == 1 and number < form.in_front
        body = partial(
            convolutions,
            kernels=(1, 3, 1),
            inner=net.scaled(inner),
            outer=outer,
            stride=stride if projected else 1,
        )
        skip = partial(projection, width=outer, stride=stride) if projected else None
        net.residual(f"stage{number}_{block}", body, skip)
        net.activate(f"stage{number}_{block}_act")


def resnet(form: Form, net: NetworkBuilder) -> None:
    """The residual network of this form."""
    net.input()
    net.stem("conv1", net.scaled(form.stem), form.stem_pad, norm=form.stem_normalised)
    if net.recipe.stem_stride > 1:
        net.pool("pool1")
    for number in range(1, len(form.depths) + 1):
        _stage(net, form, number)
    if form.last:
        net.conv("last", net.scaled(form.last), 1)
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


PAPER = "Mishkin et al. 2017, repository"
OWN: dict[str, Any] = {**HEAD, "stem_kernel": 7, "stem_stride": 2}
PADDED: dict[str, Any] = {**OWN, "pool_pad": 1}
BATCH: dict[str, Any] = {"norm": "batch", "norm_position": "before"}

_DEPTHS_101 = (3, 4, 23, 3)
THIN_101 = Form((24, 48, 72, 256), (80, 160, 288, 512), _DEPTHS_101, stem=96, in_front=NEVER)
THIN_101_BN = replace(THIN_101, inner=(36, 72, 128, 256), outer=(120, 240, 384, 768), stem=64, stem_normalised=False)
THIN_50 = Form((32, 128, 128, 256), (128, 256, 512, 1024))
R56 = Form((64, 128, 256, 512), (256, 512, 1024, 2048))
R56_STRIDED = replace(R56, first_stride=2, in_front=1)
R45 = Form((64, 128, 256), (256, 512, 1024), (3, 4, 6), in_front=1, front_activated=True, last=1024)
for _name, _form, _own, _summary in (
    (
        "thinresnet101_nobn",
        THIN_101,
        {**PADDED, "stem_kernel": 11},
        "101 layers, the outputs of stages 80 to 512 wide, no normalisation",
    ),
    (
        "thinresnet101_bn",
        THIN_101_BN,
        {**OWN, "stem_kernel": 11, "stem_stride": 4, "norm": "batch"},
        "101 layers, the outputs of stages 120 to 768 wide",
    ),
    ("resnet50_2xthin", THIN_50, {**PADDED, "dropout": 0.2}, "50 layers, outputs half as wide, no normalisation"),
    ("resnet56_128", R56, {**PADDED, **BATCH}, "50 layers and 3 convolutions in front of stages"),
    ("resnet56_128_strided", R56_STRIDED, {**OWN, **BATCH}, "resnet56_128 whose first stage strides too"),
    (
        "resnet56_128_elu",
        replace(R56_STRIDED, stem_pad=1),
        {**PADDED, "activation": "elu"},
        "resnet56_128_strided with ELU, without normalisation, with borders before the first stage",
    ),
    ("resnet45_128", R45, {**OWN, **BATCH}, "45 layers: 13 bottlenecks, a convolution in front of each stage"),
    ("resnet45_128_strided", replace(R45, first_stride=2), {**OWN, **BATCH}, "resnet45_128, the first stage strides"),
):
    network(_name, _summary, PAPER, side=136 if _form is THIN_50 else 128, own=_own)(partial(resnet, _form))
