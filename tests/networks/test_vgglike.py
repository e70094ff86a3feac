"""Stages with skips over several of them; that the networks are the published ones is tested in `test_layer_tables`."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from raysweep.errors import InapplicableError, RaysweepError
from raysweep.patch import patch
from tests.networks.comparison import built, native

SMALL = {"stem_kernel": 3, "stem_stride": 1, "width": 1 / 16}


@pytest.mark.parametrize("name", ["vgglike128_res", "ror_var"])
def test_the_end_of_a_stage_sums_what_is_carried_there(name: str) -> None:
    """With the bodies silent, the last map is the sum of the projections of the last three inputs."""
    graph = built(native(name, **SMALL), "cpu").eval().stages
    assert [len(node) for node in graph.nodes] == [2, 1, 3, 1, 3, 1, 4, 1]
    assert graph.sources[6] == [6, 2, 4, 6]
    maps: dict[nn.Module, torch.Tensor] = {}
    for node in (*graph.nodes, *graph.outputs):
        for layer in node if isinstance(node, nn.ModuleList) else [node]:
            layer.register_forward_hook(lambda layer, _inputs, output: maps.update({layer: output}))
    graph(torch.randn(2, 4, 32, 32))
    body, *skips = graph.nodes[6]
    total = maps[body] + sum(maps[skip] for skip in skips)
    torch.testing.assert_close(maps[graph.outputs[0]], graph.nodes[7][0](total))


@pytest.mark.parametrize("side", [32, 33, 50, 63])
def test_skips_fit_maps_of_any_side(side: int) -> None:
    with torch.device("meta"):
        images = torch.empty(2, 3, side, side)
    for name in ("vgglike128_res", "ror_1x3"):
        recipe = patch(native(name, **SMALL), {"data.side": side, "network.outputs": 7})
        assert built(recipe)(images).shape == (2, 7)


def test_dropout_after_convolutions_takes_one_share_each() -> None:
    for name in ("vgglike128", "vgglike128_res"):
        dropped = built(native(name, conv_dropout=(0.2,) * 11))
        assert sum(isinstance(layer, nn.Dropout) and layer.p == 0.2 for layer in dropped.modules()) == 11
    with pytest.raises(RaysweepError, match=r"network\.conv_dropout.* 5 .*vgglike128_res.* 11"):
        built(native("vgglike128_res", conv_dropout=(0.2,) * 5))


def test_maps_with_the_image_appended_have_no_skips() -> None:
    built(native("vgglike128", concat_rgb=True))
    for name in ("vgglike128_res", "ror"):
        with pytest.raises(InapplicableError, match=rf"network\.concat_rgb.* {name}"):
            built(native(name, concat_rgb=True))
