"""Heads: from the last convolution to the logits. To add one: a line of steps below, or a function in `HEADS`.

They follow the authors' study of classifier design. Hidden layers have the recipe's non-linearity, normalisation and
dropout. Convolutional heads average over the map either before the classifier or after it; in the second case the
classifier is a 1x1 convolution. A head without hidden layers ignores both widths.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from raysweep.errors import InapplicableError
from raysweep.nn.builder import Builder
from raysweep.nn.pooling import PyramidPooling, Summed
from raysweep.registry import Registry

Head = Callable[[Builder, int, int], None]
"""Adds a head, or a step of one, with hidden widths (first, second) to the network."""
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


def _steps(*steps: Head) -> Head:
    """The head that takes these steps in order."""

    def add(net: Builder, first: int, second: int) -> None:
        for step in steps:
            step(net, first, second)

    return add


def _pyramid(*bins: int, and_average: bool = False) -> Head:
    """A maximum pyramid of these bins, optionally plus an average one."""

    def add(net: Builder, first: int, second: int) -> None:
        channels, size, _ = net.shape
        layer: nn.Module = PyramidPooling(size, bins)
        if and_average:
            layer = Summed(layer, PyramidPooling(size, bins, average=True))
        net.add("pool5", layer, (channels * sum(count**2 for count in bins),))

    return add


def _over_map(pooling: Callable[[], nn.Module]) -> Head:
    return lambda net, *_: net.add("global_pool", pooling(), net.shape[:1])


def _drop(name: str) -> Head:
    return lambda net, *_: net.dropout(name, net.recipe.dropout)


def _conv(number: int, kernel: int, width: int = 0) -> Head:
    """A convolution of the head's width, or of a fixed one; `number` counts from 6."""
    return lambda net, *widths: net.conv(
        f"conv{number}", net.scaled(width) if width else widths[number - 6], kernel, pad=None, number=number
    )


def _fc(number: int) -> Head:
    """A fully connected layer of the head's width, and dropout; `number` counts from 6."""
    return _steps(lambda net, *widths: net.fc(f"fc{number}", widths[number - 6], number), _drop(f"drop{number}"))


def _conv_classifier(net: Builder, first: int, second: int) -> None:
    outputs = net.recipe.outputs
    net.add("clf", nn.Conv2d(net.shape[0], outputs, 1, bias=net.recipe.bias), (outputs, *net.shape[1:]))


POOL5, CLASSIFIER = _steps(lambda net, *_: net.pool("pool5")), _steps(lambda net, *_: net.classifier("fc8"))
AVERAGE = _over_map(GlobalAverage)
CLF_AVE = _steps(_conv_classifier, AVERAGE)
AVE_CLF = _steps(AVERAGE, CLASSIFIER)
FC_FC_CLF = _steps(_fc(6), _fc(7), CLASSIFIER)
C3 = _steps(_conv(6, 3), _drop("drop6"))
C3_C1 = _steps(C3, _conv(7, 1), _drop("drop7"))

HEADS.add("fc", "pool5, two fully connected layers, classifier", "Krizhevsky et al. 2012")(_steps(POOL5, FC_FC_CLF))
for _name, _bins, _summary in (
    ("spp2_fc", (1, 2), "pyramid of 1x1 and 2x2 bins"),
    ("spp3_fc", (1, 2, 4), "pyramid of 1x1, 2x2 and 4x4 bins (Caffe's form)"),
    ("spp321_fc", (1, 2, 3), "pyramid of 1x1, 2x2 and 3x3 bins"),
    ("spp4_fc", (1, 2, 3, 6), "pyramid of 1x1, 2x2, 3x3 and 6x6 bins"),
):
    HEADS.add(_name, f"{_summary} instead of pool5, then as fc", "He et al. 2014")(_steps(_pyramid(*_bins), FC_FC_CLF))
HEADS.add("spp3_max_plus_average_fc", "sum of a maximum and an average pyramid of three levels, then as fc", PAPER)(
    _steps(_pyramid(1, 2, 4, and_average=True), FC_FC_CLF)
)
HEADS.add("avepool_clf", "average over the map, dropout, classifier", "Lin et al. 2014; Szegedy et al. 2015")(
    _steps(AVERAGE, _drop("drop"), CLASSIFIER)
)
HEADS.add("clf_avepool", "dropout, classifier at every position, average of the logits", "Lin et al. 2014")(
    _steps(_drop("drop"), CLF_AVE)
)
HEADS.add("clf_act_avepool", "like clf_avepool, with the non-linearity before the average", "Iandola et al. 2016")(
    _steps(_drop("drop"), lambda net, *_: net.conv("clf", net.recipe.outputs, 1, norm=False), AVERAGE)
)
HEADS.add("clf", "dropout, fully connected classifier on the whole map", "Mishkin et al. 2017, repository")(
    _steps(_drop("drop"), CLASSIFIER)
)
HEADS.add(
    "padded_clf_act_avepool", "like clf_act_avepool, with a border of 1 around the map", "Iandola et al. 2016, release"
)(_steps(_drop("drop"), lambda net, *_: net.conv("clf", net.recipe.outputs, 1, pad=1, norm=False), AVERAGE))
HEADS.add("maxpool_fc", "maximum over the map, dropout, one hidden layer, dropout, classifier", "Romero et al. 2015")(
    _steps(_over_map(GlobalMax), _drop("drop5"), _fc(6), CLASSIFIER)
)
HEADS.add("c3_clf_avepool", "pool5, 3x3 convolution, classifier at every position, average of the logits", PAPER)(
    _steps(POOL5, C3, CLF_AVE)
)
HEADS.add(
    "c3_c1_clf_avepool", "pool5, 3x3 and 1x1 convolutions, classifier at every position, average of the logits", PAPER
)(_steps(POOL5, C3_C1, CLF_AVE))
HEADS.add("c3_c1_clf_avemaxpool", "like c3_c1_clf_avepool, with the sum of the logits' average and maximum", PAPER)(
    _steps(POOL5, C3_C1, _conv_classifier, _over_map(lambda: Summed(GlobalAverage(), GlobalMax())))
)
HEADS.add("c3_c1_avepool_clf", "pool5, 3x3 and 1x1 convolutions, average over the map, classifier", PAPER)(
    _steps(POOL5, C3_C1, AVE_CLF)
)
HEADS.add("c3_c1_c512_avepool_clf", "like c3_c1_avepool_clf, with a 1x1 convolution of 512 before the average", PAPER)(
    _steps(POOL5, C3_C1, lambda net, *_: net.conv("conv7a", net.scaled(512), 1), _drop("drop7a"), AVE_CLF)
)
HEADS.add("conv5_c3_c1_clf_avepool", "like c3_c1_clf_avepool, without pool5", PAPER)(_steps(C3_C1, CLF_AVE))
HEADS.add("conv5_c3_c1_avepool_clf", "like c3_c1_avepool_clf, without pool5", PAPER)(_steps(C3_C1, AVE_CLF))
HEADS.add(
    "c3_avepool_fc", "pool5, 3x3 convolution, average over the map, one fully connected layer, classifier", PAPER
)(_steps(POOL5, _conv(6, 3), AVERAGE, _drop("drop6"), _fc(7), CLASSIFIER))


def _three_convs(*after_the_second: Head) -> Head:
    last = (_conv(8, 1, 1536), _drop("drop8"), CLF_AVE)
    return _steps(POOL5, _conv(6, 3, 512), _conv(7, 3, 1024), *after_the_second, *last)


HEADS.add("c512_c1024_c1536_clf_avepool", "pool5, convolutions of 512, 1024, 1536, classifier, average", PAPER)(
    _three_convs()
)
HEADS.add("c512_c1024_c1536_drop_clf_avepool", "like c512_c1024_c1536_clf_avepool, dropout 0.3 after the 1024", PAPER)(
    _three_convs(lambda net, *_: net.dropout("drop7", 0.3))
)
