from __future__ import annotations

import pytest
import torch
from torch import nn

from raysweep.networks import build_network
from raysweep.nn.heads import HEADS
from raysweep.nn.inits import weighted_layers
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe

POOLED, MAP = 3, 7
"""Sides of the map after and before pool5 at 128 px."""
LAYERS = {
    "fc": [(256 * 9, 2048), (2048, 2048), (2048, 10)],
    "spp2_fc": [(256 * 5, 2048), (2048, 2048), (2048, 10)],
    "spp3_fc": [(256 * 21, 2048), (2048, 2048), (2048, 10)],
    "spp321_fc": [(256 * 14, 2048), (2048, 2048), (2048, 10)],
    "spp4_fc": [(256 * 50, 2048), (2048, 2048), (2048, 10)],
    "spp3_max_plus_average_fc": [(256 * 21, 2048), (2048, 2048), (2048, 10)],
    "c3_clf_avepool": [(256, 2048, 3, POOLED), (2048, 10, 1, POOLED)],
    "c3_c1_clf_avepool": [(256, 2048, 3, POOLED), (2048, 2048, 1, POOLED), (2048, 10, 1, POOLED)],
    "c3_c1_clf_avemaxpool": [(256, 2048, 3, POOLED), (2048, 2048, 1, POOLED), (2048, 10, 1, POOLED)],
    "c3_c1_avepool_clf": [(256, 2048, 3, POOLED), (2048, 2048, 1, POOLED), (2048, 10)],
    "c3_c1_c512_avepool_clf": [(256, 2048, 3, POOLED), (2048, 2048, 1, POOLED), (2048, 512, 1, POOLED), (512, 10)],
    "conv5_c3_c1_clf_avepool": [(256, 2048, 3, MAP), (2048, 2048, 1, MAP), (2048, 10, 1, MAP)],
    "conv5_c3_c1_avepool_clf": [(256, 2048, 3, MAP), (2048, 2048, 1, MAP), (2048, 10)],
    "c3_avepool_fc": [(256, 2048, 3, POOLED), (2048, 2048), (2048, 10)],
    "c512_c1024_c1536_clf_avepool": [
        *[(256, 512, 3, POOLED), (512, 1024, 3, POOLED), (1024, 1536, 1, POOLED), (1536, 10, 1, POOLED)]
    ],
}
LAYERS |= {"avepool_clf": [(256, 10)], "clf_avepool": [(256, 10, 1, MAP)], "clf_act_avepool": [(256, 10, 1, MAP)]}
LAYERS |= {"padded_clf_act_avepool": [(256, 10, 1, MAP + 2)], "clf": [(256 * MAP**2, 10)]}
LAYERS["maxpool_fc"] = [(256, 2048), (2048, 10)]
LAYERS["c512_c1024_c1536_drop_clf_avepool"] = LAYERS["c512_c1024_c1536_clf_avepool"]
"""What follows conv5: (inputs, outputs) of fully connected layers, (inputs, outputs, kernel, side) of convolutions."""


def network(head: str, **fields: object) -> nn.Module:
    recipe = patch(Recipe(), {"network.head": head, "network.outputs": 10, **fields})
    with torch.device("meta"):
        return build_network(recipe.network, recipe.data.shape)


@pytest.mark.parametrize("head", LAYERS)
def test_the_layers_of_a_head(head: str) -> None:
    found: list[tuple[int, ...]] = []

    def note(layer: nn.Module, _: object, out: torch.Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            found.append((layer.in_channels, layer.out_channels, layer.kernel_size[0], out.shape[2]))
        elif isinstance(layer, nn.Linear):
            found.append((layer.in_features, layer.out_features))

    net = network(head)
    for layer in list(weighted_layers(net))[5:]:
        layer.register_forward_hook(note)
    assert net(torch.empty(2, 3, 128, 128, device="meta")).shape == (2, 10)
    assert found == LAYERS[head]


def test_every_head_has_been_checked() -> None:
    assert LAYERS.keys() == {entry.name for entry in HEADS}


def tail(head: str) -> nn.Sequential:
    """Only the head, in test mode, with weights."""
    recipe = patch(Recipe(), {"network.head": head, "network.outputs": 10, "network.width": 0.0625})
    net = build_network(recipe.network, recipe.data.shape).eval()
    names = [name for name, _ in net.named_children()]
    return nn.Sequential(*[getattr(net, name) for name in names[names.index("conv5") + 1 :]])


def test_predictions_are_averaged_over_the_map() -> None:
    layers = tail("c3_c1_clf_avepool")
    x = torch.rand(2, 16, 7, 7)
    places = layers[:-1](x)
    assert places.shape == (2, 10, 3, 3)
    torch.testing.assert_close(layers(x), places.flatten(2).mean(2))


def test_average_and_maximum_of_predictions_are_summed() -> None:
    layers = tail("c3_c1_clf_avemaxpool")
    x = torch.rand(2, 16, 7, 7)
    places = layers[:-1](x).flatten(2)
    torch.testing.assert_close(layers(x), places.mean(2) + places.amax(2))


def test_the_summed_pyramid_is_that_of_maxima_plus_that_of_means() -> None:
    x = torch.rand(2, 16, 7, 7)
    both, maxima = tail("spp3_max_plus_average_fc")[0](x), tail("spp3_fc")[0](x)
    torch.testing.assert_close((both - maxima)[:, :16], x.mean((2, 3)))


@pytest.mark.parametrize(
    ("head", "dropout", "expected"),
    [
        ("fc", 0.5, [0.5, 0.5]),
        ("c3_c1_clf_avepool", 0.5, [0.5, 0.5]),
        ("c512_c1024_c1536_clf_avepool", 0.2, [0.2]),
        ("c512_c1024_c1536_drop_clf_avepool", 0.5, [0.3, 0.5]),
        ("fc", 0.0, []),
    ],
)
def test_dropout_of_heads(head: str, dropout: float, expected: list[float]) -> None:
    net = network(head, **{"network.dropout": dropout})
    assert [layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)] == expected


def test_a_head_without_biases_has_none() -> None:
    for head in LAYERS:
        assert all(layer.bias is None for layer in weighted_layers(network(head, **{"network.bias": False})))


@pytest.mark.parametrize("norm", ["batch", "batch_current"])
@pytest.mark.parametrize("head", [entry.name for entry in HEADS])
def test_every_head_tests_a_last_batch_of_one_image(head: str, norm: str) -> None:
    fields = {"network.head": head, "network.norm": norm, "network.width": 0.0625}
    net = build_network(patch(find_protocol("cifar10"), fields).network, (3, 32, 32))
    net.train()(torch.randn(2, 3, 32, 32))
    assert net.eval()(torch.randn(1, 3, 32, 32)).isfinite().all()
