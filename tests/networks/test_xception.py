from __future__ import annotations

import torch

from tests.networks.comparison import built, native, size


def test_published_parameters() -> None:
    """Keras's 22,910,480 less the 54,528 running averages, which are no parameters; 22.9 M in the paper."""
    assert size(native("xception"))[0] == 22_910_480 - 54_528


def test_macs_by_arithmetic() -> None:
    """Maps of the entry flow: 149, 147, 74, 37, 19 of 299 px; one pixel more than half wherever the map is odd."""
    outputs: list[tuple[int, ...]] = []
    network = built(native("xception")).eval()
    for layer in network:
        layer.register_forward_hook(lambda _layer, _inputs, output: outputs.append(tuple(output.shape[1:])))
    network(torch.empty(1, 3, 299, 299, device="meta"))
    assert outputs[:5] == [(32, 149, 149), (64, 147, 147), (128, 74, 74), (256, 37, 37), (728, 19, 19)]
    assert outputs[13] == (1024, 10, 10)
