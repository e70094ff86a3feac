"""Residual networks for ImageNet: ResNet (He et al. 2016a), pre-activated (He et al. 2016b), wide, ResNeXt, plain.

The stride of a bottleneck is in its 3x3 convolution, as in torchvision; the paper has it in the first 1x1. Where the
first convolution does not stride (small images), the pooling after it is left out too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from raysweep.networks import network

if TYPE_CHECKING:
    from raysweep.nn.builder import Builder, Part

WIDTHS = (64, 128, 256, 512)
EXPANSION = 4
"""Channels of a bottleneck's output over those the stage is named after."""
HIDDEN = 2048
OWN = {
    "norm": "batch_affine",
    "norm_position": "before",
    "conv_bias": False,
    "head": "avepool_clf",
    "dropout": 0.0,
    "stem_kernel": 7,
    "stem_stride": 2,
    "pool_pad": 1,
}


@dataclass(frozen=True)
class Form:
    """What tells one network of the family from another."""

    depths: tuple[int, int, int, int]
    """Blocks of the four stages."""
    bottleneck: bool = True
    groups: int = 1
    """Of a bottleneck's 3x3 convolution: the cardinality."""
    group_width: int = 64
    """Channels of a group in the first stage."""
    preactivated: bool = False
    skips: bool = True

    @property
    def layers(self) -> int:
        """Layers with weights on the longest path."""
        return sum(self.depths) * (3 if self.bottleneck else 2) + 2


@dataclass(frozen=True)
class Entry:
    """A member of the family."""

    form: Form
    summary: str
    paper: str = "He et al. 2016a"


PREACTIVATED = "He et al. 2016b"
MEMBERS: Mapping[str, Entry] = {
    "resnet18": Entry(Form((2, 2, 2, 2), bottleneck=False), "18 layers, two 3x3 convolutions a block"),
    "resnet34": Entry(Form((3, 4, 6, 3), bottleneck=False), "34 layers, two 3x3 convolutions a block"),
    "plain34": Entry(Form((3, 4, 6, 3), bottleneck=False, skips=False), "resnet34 without its skips"),
    "resnet50": Entry(Form((3, 4, 6, 3)), "50 layers, bottlenecks"),
    "resnet101": Entry(Form((3, 4, 23, 3)), "101 layers, bottlenecks"),
    "resnet152": Entry(Form((3, 8, 36, 3)), "152 layers, bottlenecks"),
    "preresnet50": Entry(Form((3, 4, 6, 3), preactivated=True), "resnet50, non-linearities in front", PREACTIVATED),
    "preresnet101": Entry(Form((3, 4, 23, 3), preactivated=True), "resnet101, non-linearities in front", PREACTIVATED),
    "wide_resnet50_2": Entry(
        Form((3, 4, 6, 3), group_width=128),
        "resnet50 with 3x3 convolutions twice as wide",
        "Zagoruyko & Komodakis 2016",
    ),
    "resnext50_32x4d": Entry(
        Form((3, 4, 6, 3), groups=32, group_width=4), "resnet50 with 32 groups of 4 channels", "Xie et al. 2017"
    ),
}


def _block(net: Builder, form: Form, width: int, stride: int) -> None:
    """The convolutions of a block, without the non-linearity after the sum."""
    if not form.bottleneck:
        _layers(net, form, [(net.scaled(width), 3, stride, 1), (net.scaled(width), 3, 1, 1)])
        return
    # The number of groups stays whatever the width, and they share what is left of it.
    share = max(1, round(form.group_width * width / WIDTHS[0] * net.recipe.width))
    inner = form.groups * share if form.groups > 1 else net.scaled(form.group_width * width / WIDTHS[0])
    outer = net.scaled(width * EXPANSION)
    _layers(net, form, [(inner, 1, 1, 1), (inner, 3, stride, form.groups), (outer, 1, 1, 1)])


def _layers(net: Builder, form: Form, layers: list[tuple[int, int, int, int]]) -> None:
    """Convolutions of (width, kernel, stride, groups); pre-activated, the first non-linearity comes before them."""
    for number, (width, kernel, stride, groups) in enumerate(layers, 1):
        if form.preactivated:
            if number > 1:
                net.preactivate(f"pre{number}")
            net.conv(f"conv{number}", width, kernel, stride, kernel // 2, groups, act=False, norm=False)
        else:
            net.conv(f"conv{number}", width, kernel, stride, kernel // 2, groups, act=number < len(layers))


def _residual(net: Builder, form: Form, name: str, width: int, stride: int) -> None:
    channels = net.scaled(width * EXPANSION if form.bottleneck else width)
    if not form.skips:
        net.add(name, *net.part(lambda part: _block(part, form, width, stride)))
        net.activate(f"{name}_act")
        return
    project: Part | None = None
    if stride > 1 or net.shape[0] != channels:
        project = partial(_projection, form, channels, stride)
    body = partial(_body, form, width, stride, project is None)
    if form.preactivated and project:
        net.preactivate(f"{name}_pre")  # the projection sees it too (He et al. 2016b, appendix)
    net.residual(name, body, project)
    if not form.preactivated:
        net.activate(f"{name}_act")


def _body(form: Form, width: int, stride: int, starts_itself: bool, net: Builder) -> None:
    if form.preactivated and starts_itself:
        net.preactivate("pre1")
    _block(net, form, width, stride)


def _projection(form: Form, channels: int, stride: int, net: Builder) -> None:
    net.conv("project", channels, 1, stride, act=False, norm=not form.preactivated)


def resnet(form: Form, net: Builder) -> None:
    """A residual network of that form.

    Raises:
        InapplicableError: a non-linearity that cannot follow a sum, or images too small.
    """
    recipe = net.recipe
    net.input()
    net.conv("conv1", net.scaled(WIDTHS[0]), recipe.stem_kernel, recipe.stem_stride, recipe.stem_kernel // 2)
    if recipe.stem_stride > 1:
        net.pool("pool1", round_up=False)
    for stage, (depth, width) in enumerate(zip(form.depths, WIDTHS, strict=True), 1):
        for block in range(1, depth + 1):
            _residual(net, form, f"stage{stage}_{block}", width, 2 if stage > 1 and block == 1 else 1)
    if form.preactivated:
        net.preactivate("last")
    net.head(net.scaled(HIDDEN), net.scaled(HIDDEN))


for _name, _entry in MEMBERS.items():
    network(_name, _entry.summary, _entry.paper, own=OWN)(partial(resnet, _entry.form))
