"""Residual networks: ResNet (He et al. 2016a), pre-activated (He et al. 2016b), wide, ResNeXt, plain.

The stride of a bottleneck is in its 3x3 convolution, as in torchvision; in the paper it is in the first 1x1 (`_v1`). If
the first convolution does not stride (small images), the pooling after it is omitted. Those that others contributed to
the benchmark are in `resnet_contributed.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.networks import network

if TYPE_CHECKING:
    from raysweep.nn.builder import Part
    from raysweep.nn.network_builder import NetworkBuilder

EXPANSION = 4
"""Channels of a bottleneck's output relative to the width of its stage."""
HIDDEN = 2048
BATCH_NORM: dict[str, Any] = {"norm": "batch_affine", "norm_position": "before", "conv_bias": False}
"""Batch normalisation as in networks designed with it."""
HEAD: dict[str, Any] = {"head": "avepool_clf", "dropout": 0.0}
OWN: dict[str, Any] = {**BATCH_NORM, **HEAD, "stem_kernel": 7, "stem_stride": 2, "pool_pad": 1}
OWN_CIFAR: dict[str, Any] = {**BATCH_NORM, **HEAD, "stem_kernel": 3, "stem_stride": 1}


@dataclass(frozen=True)
class Form:
    """The parameters in which the networks of the family differ."""

    depths: tuple[int, ...]
    """Number of blocks of each stage."""
    bottleneck: bool = True
    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Width of each stage: the channels of its 3x3 convolutions unless `group_width` says otherwise."""
    stem: int = 64
    """Channels of the first convolution."""
    stem_activated: bool = True
    """Whether normalisation and non-linearity follow the first convolution."""
    groups: int = 1
    """Groups of a bottleneck's 3x3 convolution: the cardinality."""
    group_width: int = 0
    """Channels of a group in the first stage; 0: the width of the stage."""
    stride_first: bool = False
    """Whether a bottleneck strides in its first 1x1 convolution, as in the paper."""
    preactivated: bool = False
    skips: bool = True


def _block(net: NetworkBuilder, form: Form, width: int, stride: int) -> None:
    """Add the convolutions of a block, without the non-linearity after the sum."""
    if not form.bottleneck:
        _layers(net, form, [(net.scaled(width), 3, stride, 1), (net.scaled(width), 3, 1, 1)])
        return
    # A width multiplier changes the width of the groups, not their number.
    group = (form.group_width or form.widths[0]) * width / form.widths[0]
    inner = form.groups * max(1, round(group * net.recipe.width)) if form.groups > 1 else net.scaled(group)
    first, second = (stride, 1) if form.stride_first else (1, stride)
    outer = net.scaled(width * EXPANSION)
    _layers(net, form, [(inner, 1, first, 1), (inner, 3, second, form.groups), (outer, 1, 1, 1)])


def _layers(net: NetworkBuilder, form: Form, layers: list[tuple[int, int, int, int]]) -> None:
    """Add convolutions of (width, kernel, stride, groups); if pre-activated, without the first non-linearity."""
    for number, (width, kernel, stride, groups) in enumerate(layers, 1):
        if form.preactivated:
            if number > 1:
                net.preactivate(f"pre{number}")
            net.conv(f"conv{number}", width, kernel, stride, kernel // 2, groups, act=False, norm=False)
        else:
            net.conv(f"conv{number}", width, kernel, stride, kernel // 2, groups, act=number < len(layers))


def _residual(net: NetworkBuilder, form: Form, name: str, width: int, stride: int) -> None:
    channels = net.scaled(width * EXPANSION if form.bottleneck else width)
    if not form.skips:
        net.add(name, *net.part(lambda part: _block(part, form, width, stride)))
        net.activate(f"{name}_act")
        return
    project: Part[NetworkBuilder] | None = None
    if stride > 1 or net.shape[0] != channels:
        project = partial(_projection, form, channels, stride)
    body = partial(_body, form, width, stride, project is None)
    if form.preactivated and project:
        net.preactivate(f"{name}_pre")  # on the projection's input too (He et al. 2016b, appendix)
    net.residual(name, body, project)
    if not form.preactivated:
        net.activate(f"{name}_act")


def _body(form: Form, width: int, stride: int, activates: bool, net: NetworkBuilder) -> None:
    if form.preactivated and activates:
        net.preactivate("pre1")
    _block(net, form, width, stride)


def _projection(form: Form, channels: int, stride: int, net: NetworkBuilder) -> None:
    net.conv("project", channels, 1, stride, act=False, norm=not form.preactivated)


def resnet(form: Form, net: NetworkBuilder) -> None:
    """The residual network of this form."""
    net.input()
    net.stem("conv1", net.scaled(form.stem), act=form.stem_activated, norm=form.stem_activated)
    if net.recipe.stem_stride > 1:
        net.pool("pool1", round_up=False)
    for stage, (depth, width) in enumerate(zip(form.depths, form.widths, strict=True), 1):
        for block in range(1, depth + 1):
            _residual(net, form, f"stage{stage}_{block}", width, 2 if stage > 1 and block == 1 else 1)
    if form.preactivated:
        net.preactivate("last")
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


LARGE: dict[str, Any] = {"own": OWN}
CIFAR: dict[str, Any] = {"own": OWN_CIFAR, "side": 32, "classes": 10}
RESNET, PREACTIVATED = "He et al. 2016a", "He et al. 2016b"
WIDE, RESNEXT = "Zagoruyko & Komodakis 2016", "Xie et al. 2017"
BASIC_34 = Form((3, 4, 6, 3), bottleneck=False)
BASIC_18 = replace(BASIC_34, depths=(2, 2, 2, 2))
RESNET_50, RESNET_101, RESNET_152 = Form((3, 4, 6, 3)), Form((3, 4, 23, 3)), Form((3, 8, 36, 3))
CIFAR_110 = Form((18, 18, 18), bottleneck=False, widths=(16, 32, 64), stem=16, stem_activated=False, preactivated=True)
CIFAR_164 = replace(CIFAR_110, bottleneck=True)
WIDE_28 = replace(CIFAR_110, depths=(4, 4, 4), widths=(160, 320, 640))
RESNEXT_29 = Form((3, 3, 3), widths=(64, 128, 256), groups=8)
for _name, _form, _summary, _paper, _native in (
    ("resnet18", BASIC_18, "18 layers, two 3x3 convolutions per block", RESNET, LARGE),
    ("resnet34", BASIC_34, "34 layers, two 3x3 convolutions per block", RESNET, LARGE),
    ("plain34", replace(BASIC_34, skips=False), "resnet34 without its skips", RESNET, LARGE),
    ("resnet50", RESNET_50, "50 layers, bottlenecks", RESNET, LARGE),
    ("resnet101", RESNET_101, "101 layers, bottlenecks", RESNET, LARGE),
    ("resnet152", RESNET_152, "152 layers, bottlenecks", RESNET, LARGE),
    ("resnet152_v1", replace(RESNET_152, stride_first=True), "resnet152, strides in the first 1x1", RESNET, LARGE),
    ("preresnet50", replace(RESNET_50, preactivated=True), "resnet50, pre-activated", PREACTIVATED, LARGE),
    ("preresnet101", replace(RESNET_101, preactivated=True), "resnet101, pre-activated", PREACTIVATED, LARGE),
    ("wide_resnet50_2", replace(RESNET_50, group_width=128), "resnet50 with 3x3 layers twice as wide", WIDE, LARGE),
    *(
        (
            f"resnext50_{groups}x{width}d",
            replace(RESNET_50, groups=groups, group_width=width),
            f"resnet50 with {groups} groups of {width} channels",
            RESNEXT,
            LARGE,
        )
        for groups, width in ((2, 40), (4, 24), (8, 14), (32, 4))
    ),
    ("preresnet110_cifar", CIFAR_110, "110 layers, pre-activated", PREACTIVATED, CIFAR),
    ("preresnet164_cifar", CIFAR_164, "164 layers, pre-activated bottlenecks", PREACTIVATED, CIFAR),
    ("wrn28_10_cifar", WIDE_28, "28 layers, ten times as wide", WIDE, CIFAR),
    ("resnext29_8x64d_cifar", RESNEXT_29, "29 layers, 8 groups of 64 channels", RESNEXT, CIFAR),
):
    network(_name, _summary, _paper, **_native)(partial(resnet, _form))
