"""Residual networks: ResNet (He et al. 2016a), pre-activated (He et al. 2016b), wide, ResNeXt, plain.

The stride of a bottleneck is in its 3x3 convolution, as in torchvision; the paper has it in the first 1x1 (`_v1`).
Where the first convolution does not stride (small images), the pooling after it is left out too. The networks that
others contributed to the benchmark have no file that says what they were: thinresnet101, resnet56 and resnet45 are
reconstructions from their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.networks import network

if TYPE_CHECKING:
    from raysweep.nn.builder import Part
    from raysweep.nn.network_builder import NetworkBuilder

EXPANSION = 4
"""Channels of a bottleneck's output over those the stage is named after."""
HIDDEN = 2048
BATCH_NORM: dict[str, Any] = {"norm": "batch_affine", "norm_position": "before", "conv_bias": False}
"""As networks that were made for it have it."""
HEAD: dict[str, Any] = {"head": "avepool_clf", "dropout": 0.0}
OWN: dict[str, Any] = {**BATCH_NORM, **HEAD, "stem_kernel": 7, "stem_stride": 2, "pool_pad": 1}
OWN_CIFAR: dict[str, Any] = {**BATCH_NORM, **HEAD, "stem_kernel": 3, "stem_stride": 1}


@dataclass(frozen=True)
class Form:
    """What tells one network of the family from another."""

    depths: tuple[int, ...]
    """Blocks of each stage."""
    bottleneck: bool = True
    widths: tuple[int, ...] = (64, 128, 256, 512)
    """What each stage is named after: channels of its 3x3 convolutions where nothing else is said."""
    stem: int = 64
    """Channels of the first convolution."""
    stem_activated: bool = True
    """Normalisation and non-linearity follow the first convolution."""
    groups: int = 1
    """Of a bottleneck's 3x3 convolution: the cardinality."""
    group_width: int = 0
    """Channels of a group in the first stage; 0: those the stage is named after."""
    stride_first: bool = False
    """A bottleneck strides in its first 1x1 convolution, as in the paper."""
    preactivated: bool = False
    skips: bool = True


@dataclass(frozen=True)
class Entry:
    """A member of the family."""

    form: Form
    summary: str
    paper: str = "He et al. 2016a"
    cifar: bool = False
    """Made for 32 px and ten classes."""


PREACTIVATED = "He et al. 2016b"
WIDE = "Zagoruyko & Komodakis 2016"
RESNEXT = "Xie et al. 2017"
CONTRIBUTED = "Mishkin et al. 2017, repository"
BASIC_34 = Form((3, 4, 6, 3), bottleneck=False)
BOTTLENECKS_50 = Form((3, 4, 6, 3))
CIFAR_110 = Form((18, 18, 18), bottleneck=False, widths=(16, 32, 64), stem=16, stem_activated=False, preactivated=True)
MEMBERS: Mapping[str, Entry] = {
    "resnet18": Entry(replace(BASIC_34, depths=(2, 2, 2, 2)), "18 layers, two 3x3 convolutions a block"),
    "resnet34": Entry(BASIC_34, "34 layers, two 3x3 convolutions a block"),
    "plain34": Entry(replace(BASIC_34, skips=False), "resnet34 without its skips"),
    "resnet50": Entry(BOTTLENECKS_50, "50 layers, bottlenecks"),
    "resnet101": Entry(Form((3, 4, 23, 3)), "101 layers, bottlenecks"),
    "resnet152": Entry(Form((3, 8, 36, 3)), "152 layers, bottlenecks"),
    "resnet152_v1": Entry(Form((3, 8, 36, 3), stride_first=True), "resnet152, strides in the first 1x1 of a block"),
    "preresnet50": Entry(
        replace(BOTTLENECKS_50, preactivated=True), "resnet50, non-linearities in front", PREACTIVATED
    ),
    "preresnet101": Entry(Form((3, 4, 23, 3), preactivated=True), "resnet101, non-linearities in front", PREACTIVATED),
    "wide_resnet50_2": Entry(
        replace(BOTTLENECKS_50, group_width=128), "resnet50 with 3x3 convolutions twice as wide", WIDE
    ),
    **{
        f"resnext50_{groups}x{width}d": Entry(
            replace(BOTTLENECKS_50, groups=groups, group_width=width),
            f"resnet50 with {groups} groups of {width} channels",
            RESNEXT,
        )
        for groups, width in ((2, 40), (4, 24), (8, 14), (32, 4))
    },
    "thinresnet101": Entry(
        Form((3, 4, 23, 3), widths=(32, 64, 128, 256), stem=32),
        "resnet101, half as wide; a reconstruction",
        CONTRIBUTED,
    ),
    "resnet56": Entry(Form((3, 4, 8, 3)), "56 layers, bottlenecks; a reconstruction", CONTRIBUTED),
    "resnet45": Entry(
        replace(BASIC_34, depths=(4, 6, 8, 4)), "45 convolutions, two 3x3 a block; a reconstruction", CONTRIBUTED
    ),
    "preresnet110_cifar": Entry(CIFAR_110, "110 layers, non-linearities in front", PREACTIVATED, cifar=True),
    "preresnet164_cifar": Entry(
        replace(CIFAR_110, bottleneck=True),
        "164 layers, bottlenecks, non-linearities in front",
        PREACTIVATED,
        cifar=True,
    ),
    "wrn28_10_cifar": Entry(
        replace(CIFAR_110, depths=(4, 4, 4), widths=(160, 320, 640)), "28 layers, ten times as wide", WIDE, cifar=True
    ),
    "resnext29_8x64d_cifar": Entry(
        Form((3, 3, 3), widths=(64, 128, 256), groups=8), "29 layers, 8 groups of 64 channels", RESNEXT, cifar=True
    ),
}


def _block(net: NetworkBuilder, form: Form, width: int, stride: int) -> None:
    """The convolutions of a block, without the non-linearity after the sum."""
    if not form.bottleneck:
        _layers(net, form, [(net.scaled(width), 3, stride, 1), (net.scaled(width), 3, 1, 1)])
        return
    # The number of groups stays whatever the width, and they share what is left of it.
    wanted = (form.group_width or form.widths[0]) * width / form.widths[0]
    inner = form.groups * max(1, round(wanted * net.recipe.width)) if form.groups > 1 else net.scaled(wanted)
    first, second = (stride, 1) if form.stride_first else (1, stride)
    outer = net.scaled(width * EXPANSION)
    _layers(net, form, [(inner, 1, first, 1), (inner, 3, second, form.groups), (outer, 1, 1, 1)])


def _layers(net: NetworkBuilder, form: Form, layers: list[tuple[int, int, int, int]]) -> None:
    """Convolutions of (width, kernel, stride, groups); pre-activated, the first non-linearity comes before them."""
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
        net.preactivate(f"{name}_pre")  # the projection sees it too (He et al. 2016b, appendix)
    net.residual(name, body, project)
    if not form.preactivated:
        net.activate(f"{name}_act")


def _body(form: Form, width: int, stride: int, starts_itself: bool, net: NetworkBuilder) -> None:
    if form.preactivated and starts_itself:
        net.preactivate("pre1")
    _block(net, form, width, stride)


def _projection(form: Form, channels: int, stride: int, net: NetworkBuilder) -> None:
    net.conv("project", channels, 1, stride, act=False, norm=not form.preactivated)


def resnet(form: Form, net: NetworkBuilder) -> None:
    """A residual network of that form.

    Raises:
        InapplicableError: a non-linearity that cannot follow a sum, or images too small.
    """
    recipe, kernel, activated = net.recipe, net.recipe.stem_kernel, form.stem_activated
    net.input()
    net.conv("conv1", net.scaled(form.stem), kernel, recipe.stem_stride, kernel // 2, act=activated, norm=activated)
    if recipe.stem_stride > 1:
        net.pool("pool1", round_up=False)
    for stage, (depth, width) in enumerate(zip(form.depths, form.widths, strict=True), 1):
        for block in range(1, depth + 1):
            _residual(net, form, f"stage{stage}_{block}", width, 2 if stage > 1 and block == 1 else 1)
    if form.preactivated:
        net.preactivate("last")
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


for _name, _entry in MEMBERS.items():
    _native = {"side": 32, "classes": 10, "own": OWN_CIFAR} if _entry.cifar else {"own": OWN}
    network(_name, _entry.summary, _entry.paper, **_native)(partial(resnet, _entry.form))
