"""Reconstructions, tested against their descriptions."""

from __future__ import annotations

import pytest
from torch import nn

from raysweep.errors import RaysweepError
from raysweep.nn.blocks import Residual
from raysweep.nn.inits import weighted_layers
from tests.networks.comparison import built, native, size


def widths(name: str) -> list[int]:
    layers = [layer for layer in weighted_layers(built(native(name))) if isinstance(layer, nn.Conv2d)]
    return [layer.out_channels for layer in layers if layer.kernel_size != (1, 1)]


def test_widths_are_half_of_vggs() -> None:
    vgg = [layer.out_channels for layer in weighted_layers(built(native("vgg16"))) if isinstance(layer, nn.Conv2d)]
    """The first stage is the 7x7 layer."""
    assert [2 * width for width in widths("vgglike")] == [64, *vgg[2:]]
    assert widths("vgglike_res") == widths("vgglike")


def test_every_convolution_has_a_projected_skip() -> None:
    skips = [layer for layer in built(native("vgglike_res")).modules() if isinstance(layer, Residual)]
    assert len(skips) == len(widths("vgglike")) - 1
    assert all(list(skip.shortcut) for skip in skips)


@pytest.mark.parametrize(("name", "skips"), [("vgglike50_ror", 24 + 4 + 1), ("vgglike50_ror_var", 24 + 4)])
def test_a_resnet_of_resnets_skips_at_every_level(name: str, skips: int) -> None:
    network = built(native(name))
    assert sum(isinstance(layer, Residual) for layer in network.modules()) == skips
    assert len(widths(name)) + 1 == 50


def test_dropout_after_convolutions_takes_one_share_each() -> None:
    dropped = built(native("vgglike_res", conv_dropout=(0.2,) * 11))
    assert sum(isinstance(layer, nn.Dropout) and layer.p == 0.2 for layer in dropped.modules()) == 11
    with pytest.raises(RaysweepError, match=r"network\.conv_dropout.* 5 .*vgglike_res.* 11"):
        built(native("vgglike_res", conv_dropout=(0.2,) * 5))


def test_split_kernels_change_nothing_but_the_kernels() -> None:
    assert size(native("vgglike50_ror_1x3")) < size(native("vgglike50_ror")) < size(native("vgglike50_ror_1x5"))
