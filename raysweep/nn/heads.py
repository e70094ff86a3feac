"""Heads: from the last convolution to the logits. To add one: a function of a `Builder` and two widths in `HEADS`.

They follow the authors' study of classifier design. Hidden layers have the recipe's non-linearity, normalisation and
dropout. Convolutional heads average over the map either before the classifier or after it; in the second case the
classifier is a 1x1 convolution. A head without hidden layers ignores both widths.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from raysweep.errors import InapplicableError
from raysweep.nn.builder import Builder
from raysweep.nn.pooling import PyramidPooling, Summed
from raysweep.registry import Registry

Head = Callable[[Builder, int, int], None]
"""Adds a head with hidden widths (first, second) to the network."""
HEADS: Registry[Head] = Registry("head", "raysweep list heads")
PAPER = "Mishkin et al. 2017"


def add_head(net: Builder, first: int, second: int) -> None:
    """Add the recipe's head, from the last map to the logits, with these hidden widths or the recipe's own.

    Raises:
        InapplicableError: `network.head_widths` does not hold two widths.
    """
    own = net.recipe.head_widths
    if own and len(own) != 2:
        raise InapplicableError(f"network.head_widths has {len(own)} entries; a head takes 2, e.g. 4096,4096.")
    HEADS[net.recipe.head](net, *(map(net.scaled, own) if own else (first, second)))


class GlobalAverage(nn.Module):
    """Mean over the map."""

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> (N, C)."""
        return x.mean((2, 3))


class GlobalMax(nn.Module):
    """Maximum over the map."""

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> (N, C)."""
        return x.amax((2, 3))


def _conv_classifier(net: Builder, over_map: nn.Module) -> None:
    outputs = net.recipe.outputs
    net.add("clf", nn.Conv2d(net.shape[0], outputs, 1, bias=net.recipe.bias), (outputs, *net.shape[1:]))
    _over_map(net, over_map)


def _over_map(net: Builder, pooling: nn.Module) -> None:
    net.add("global_pool", pooling, net.shape[:1])


def _averaged_classifier(net: Builder) -> None:
    _over_map(net, GlobalAverage())
    net.classifier("fc8")


def _fc_layers(net: Builder, first: int, second: int) -> None:
    for number, width in enumerate((first, second), 6):
        net.fc(f"fc{number}", width, number)
        net.dropout(f"drop{number}", net.recipe.dropout)
    net.classifier("fc8")


def _hidden_conv(net: Builder, number: int, width: int, kernel: int, dropout: float) -> None:
    net.conv(f"conv{number}", width, kernel, pad=kernel // 2, number=number)
    net.dropout(f"drop{number}", dropout)


def _c3_c1(net: Builder, first: int, second: int) -> None:
    _hidden_conv(net, 6, first, 3, net.recipe.dropout)
    _hidden_conv(net, 7, second, 1, net.recipe.dropout)


@HEADS.add("fc", "pool5, two fully connected layers, classifier", "Krizhevsky et al. 2012")
def fc(net: Builder, first: int, second: int) -> None:
    """The baseline's head."""
    net.pool("pool5")
    _fc_layers(net, first, second)


def _pyramid(net: Builder, *bins: int, and_average: bool = False) -> None:
    channels, size, _ = net.shape
    layer: nn.Module = PyramidPooling(size, bins)
    if and_average:
        layer = Summed(layer, PyramidPooling(size, bins, average=True))
    net.add("pool5", layer, (channels * sum(count**2 for count in bins),))


def spp_fc(bins: tuple[int, ...], net: Builder, first: int, second: int) -> None:
    """A maximum pyramid of these bins, then as `fc`."""
    _pyramid(net, *bins)
    _fc_layers(net, first, second)


for _name, _bins, _summary in (
    ("spp2_fc", (1, 2), "pyramid of 1x1 and 2x2 bins"),
    ("spp3_fc", (1, 2, 4), "pyramid of 1x1, 2x2 and 4x4 bins (Caffe's form)"),
    ("spp321_fc", (1, 2, 3), "pyramid of 1x1, 2x2 and 3x3 bins"),
    ("spp4_fc", (1, 2, 3, 6), "pyramid of 1x1, 2x2, 3x3 and 6x6 bins"),
):
    HEADS.add(_name, f"{_summary} instead of pool5, then as fc", "He et al. 2014")(partial(spp_fc, _bins))


@HEADS.add("spp3_max_plus_average_fc", "sum of a maximum and an average pyramid of three levels, then as fc", PAPER)
def spp3_max_plus_average_fc(net: Builder, first: int, second: int) -> None:
    """The head of the authors' network that combines all improvements."""
    _pyramid(net, 1, 2, 4, and_average=True)
    _fc_layers(net, first, second)


@HEADS.add("avepool_clf", "average over the map, dropout, classifier", "Lin et al. 2014; Szegedy et al. 2015")
def avepool_clf(net: Builder, first: int, second: int) -> None:
    """No hidden layer."""
    _over_map(net, GlobalAverage())
    net.dropout("drop", net.recipe.dropout)
    net.classifier("fc8")


@HEADS.add("clf_avepool", "dropout, classifier at every position, average of the logits", "Lin et al. 2014")
def clf_avepool(net: Builder, first: int, second: int) -> None:
    """No hidden layer."""
    net.dropout("drop", net.recipe.dropout)
    _conv_classifier(net, GlobalAverage())


@HEADS.add("clf_act_avepool", "like clf_avepool, with the non-linearity before the average", "Iandola et al. 2016")
def clf_act_avepool(net: Builder, first: int, second: int) -> None:
    """No hidden layer; the classifier is a convolution like the others."""
    net.dropout("drop", net.recipe.dropout)
    net.conv("clf", net.recipe.outputs, 1, norm=False)
    _over_map(net, GlobalAverage())


@HEADS.add("maxpool_fc", "maximum over the map, dropout, one hidden layer, dropout, classifier", "Romero et al. 2015")
def maxpool_fc(net: Builder, first: int, second: int) -> None:
    """One hidden layer; the second width is ignored."""
    _over_map(net, GlobalMax())
    net.dropout("drop5", net.recipe.dropout)
    net.fc("fc6", first, 6)
    net.dropout("drop6", net.recipe.dropout)
    net.classifier("fc8")


@HEADS.add("c3_clf_avepool", "pool5, 3x3 convolution, classifier at every position, average of the logits", PAPER)
def c3_clf_avepool(net: Builder, first: int, second: int) -> None:
    """A single convolution; the second width is ignored."""
    net.pool("pool5")
    _hidden_conv(net, 6, first, 3, net.recipe.dropout)
    _conv_classifier(net, GlobalAverage())


@HEADS.add(
    "c3_c1_clf_avepool", "pool5, 3x3 and 1x1 convolutions, classifier at every position, average of the logits", PAPER
)
def c3_c1_clf_avepool(net: Builder, first: int, second: int) -> None:
    """The classifier comes before the average."""
    net.pool("pool5")
    conv5_c3_c1_clf_avepool(net, first, second)


@HEADS.add("c3_c1_clf_avemaxpool", "like c3_c1_clf_avepool, with the sum of the logits' average and maximum", PAPER)
def c3_c1_clf_avemaxpool(net: Builder, first: int, second: int) -> None:
    """The average and the maximum of the logits over the map are summed."""
    net.pool("pool5")
    _c3_c1(net, first, second)
    _conv_classifier(net, Summed(GlobalAverage(), GlobalMax()))


@HEADS.add("c3_c1_avepool_clf", "pool5, 3x3 and 1x1 convolutions, average over the map, classifier", PAPER)
def c3_c1_avepool_clf(net: Builder, first: int, second: int) -> None:
    """The classifier comes after the average."""
    net.pool("pool5")
    conv5_c3_c1_avepool_clf(net, first, second)


@HEADS.add("c3_c1_c512_avepool_clf", "like c3_c1_avepool_clf, with a 1x1 convolution of 512 before the average", PAPER)
def c3_c1_c512_avepool_clf(net: Builder, first: int, second: int) -> None:
    """A bottleneck before the classifier."""
    net.pool("pool5")
    _c3_c1(net, first, second)
    net.conv("conv7a", net.scaled(512), 1)
    net.dropout("drop7a", net.recipe.dropout)
    _averaged_classifier(net)


@HEADS.add("conv5_c3_c1_clf_avepool", "like c3_c1_clf_avepool, without pool5", PAPER)
def conv5_c3_c1_clf_avepool(net: Builder, first: int, second: int) -> None:
    """Convolutions on the map of conv5; the classifier comes before the average."""
    _c3_c1(net, first, second)
    _conv_classifier(net, GlobalAverage())


@HEADS.add("conv5_c3_c1_avepool_clf", "like c3_c1_avepool_clf, without pool5", PAPER)
def conv5_c3_c1_avepool_clf(net: Builder, first: int, second: int) -> None:
    """Convolutions on the map of conv5; the classifier comes after the average."""
    _c3_c1(net, first, second)
    _averaged_classifier(net)


@HEADS.add(
    "c3_avepool_fc", "pool5, 3x3 convolution, average over the map, one fully connected layer, classifier", PAPER
)
def c3_avepool_fc(net: Builder, first: int, second: int) -> None:
    """The average follows the first non-linearity directly."""
    net.pool("pool5")
    net.conv("conv6", first, 3, pad=1, number=6)
    _over_map(net, GlobalAverage())
    net.dropout("drop6", net.recipe.dropout)
    net.fc("fc7", second, 7)
    net.dropout("drop7", net.recipe.dropout)
    net.classifier("fc8")


def _three_convs(net: Builder, middle_dropout: float) -> None:
    net.pool("pool5")
    _hidden_conv(net, 6, net.scaled(512), 3, 0.0)
    _hidden_conv(net, 7, net.scaled(1024), 3, middle_dropout)
    _hidden_conv(net, 8, net.scaled(1536), 1, net.recipe.dropout)
    _conv_classifier(net, GlobalAverage())


@HEADS.add("c512_c1024_c1536_clf_avepool", "pool5, convolutions of 512, 1024, 1536, classifier, average", PAPER)
def c512_c1024_c1536_clf_avepool(net: Builder, first: int, second: int) -> None:
    """Dropout before the classifier only; the widths are fixed."""
    _three_convs(net, 0.0)


@HEADS.add("c512_c1024_c1536_drop_clf_avepool", "like c512_c1024_c1536_clf_avepool, dropout 0.3 after the 1024", PAPER)
def c512_c1024_c1536_drop_clf_avepool(net: Builder, first: int, second: int) -> None:
    """Dropout after the second convolution as well; the widths are fixed."""
    _three_convs(net, 0.3)
