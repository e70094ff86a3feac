from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from raysweep.networks import build_network
from raysweep.nn.inits import INITS, TOLERANCE, _rounds_to_unit_variance, weighted_layers
from raysweep.patch import patch
from raysweep.recipe import Recipe


def network(**changes: object) -> nn.Module:
    base = {"network.width": 0.25, "network.outputs": 10}
    torch.manual_seed(0)
    return build_network(patch(Recipe(), base | {f"network.{k}": v for k, v in changes.items()}).network, (3, 64, 64))


def initialise(net: nn.Module, method: str, seed: int = 0) -> Tensor:
    images = torch.randn(48, 3, 64, 64, generator=torch.Generator().manual_seed(5))
    torch.manual_seed(1)  # dropout
    INITS[method](net, images, torch.Generator().manual_seed(seed))
    return images


def output_variances(net: nn.Module, images: Tensor) -> list[float]:
    found: list[float] = []
    hooks = [
        layer.register_forward_hook(lambda _l, _i, out: found.append(out.var(correction=0).item()))
        for layer in weighted_layers(net)
    ]
    with torch.no_grad():
        net(images)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("activation", ["relu", "tanh", "maxout", "elu", "apl2", "linear"])
@pytest.mark.parametrize("method", ["lsuv", "lsuv_gaussian"])
def test_lsuv_gives_every_layer_unit_variance(activation: str, method: str) -> None:
    net = network(activation=activation, dropout=0.0)
    images = initialise(net, method)
    variances = output_variances(net.train(), images)
    assert len(variances) == len(list(weighted_layers(net)))
    assert variances == pytest.approx([1.0] * len(variances), abs=0.02)


def test_lsuv_sees_dropout_as_training_does() -> None:
    net = network(dropout=0.5)
    images = torch.randn(48, 3, 64, 64, generator=torch.Generator().manual_seed(5))
    torch.manual_seed(3)
    INITS["lsuv"](net, images, torch.Generator().manual_seed(0))
    torch.manual_seed(3)
    assert output_variances(net.train(), images)[-1] == pytest.approx(1.0, abs=1e-3)
    assert output_variances(net.eval(), images)[-1] < 0.6


def test_orthonormal_rows() -> None:
    net = network()
    initialise(net, "orthonormal")
    for layer in weighted_layers(net):
        matrix = layer.weight.flatten(1)
        if matrix.shape[0] > matrix.shape[1]:
            matrix = matrix.T
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(len(matrix)), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("method", "variance"),
    [
        ("gaussian", lambda fan_in, fan_out: 0.01**2),
        ("glorot", lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
        ("xavier", lambda fan_in, fan_out: 1 / fan_in),
        ("he", lambda fan_in, fan_out: 2 / fan_in),
        ("orthonormal_he", lambda fan_in, fan_out: 2 / fan_in),
    ],
)
def test_variances_are_those_of_the_papers(method: str, variance: Callable[[int, int], float]) -> None:
    """Fans as Caffe's fillers count them: for a grouped convolution, the inputs of one group and all outputs."""
    net = network()
    initialise(net, method)
    for layer in weighted_layers(net):
        outputs, inputs, *kernel = layer.weight.shape
        area = math.prod(kernel)
        found = layer.weight.double().square().mean().item()
        error = 6 / math.sqrt(layer.weight.numel())
        assert found == pytest.approx(variance(inputs * area, outputs * area), rel=error)


@pytest.mark.parametrize(("method", "bound"), [("glorot", 6**0.5), ("xavier", 3**0.5)])
def test_uniform_fillers_fill_their_range(method: str, bound: float) -> None:
    net = network()
    initialise(net, method)
    layer = net.fc7.layers[0]
    fans = sum(layer.weight.shape) if method == "glorot" else layer.weight.shape[1]
    assert layer.weight.abs().max().item() == pytest.approx(bound / math.sqrt(fans), rel=1e-3)


def test_orthonormal_he_is_orthogonal() -> None:
    net = network()
    initialise(net, "orthonormal_he")
    product = net.fc7.layers[0].weight @ net.fc7.layers[0].weight.T
    torch.testing.assert_close(product / product.diagonal().mean(), torch.eye(len(product)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("fields", [{"norm": "batch_affine"}, {"norm": "batch", "norm_position": "before"}])
def test_lsuv_scales_layers_next_to_batch_normalisation_and_leaves_it_unchanged(fields: dict[str, object]) -> None:
    net = network(dropout=0.0, input_net="vlrelu_10_3", **fields)
    before = {name: value for name, value in net.state_dict().items() if "running" in name or "extra" in name}
    before = copy.deepcopy(before)
    images = initialise(net, "lsuv")
    after = net.state_dict()
    assert len(before) == 3 * 7
    for name, value in before.items():
        assert torch.equal(after[name], value) if isinstance(value, Tensor) else after[name] == value, name
    variances = output_variances(net.train(), images)
    assert variances == pytest.approx([1.0] * len(variances), abs=0.02)


def test_lsuv_scales_layers_without_biases_and_leaves_learned_masks_unchanged() -> None:
    net = network(bias=False, pooling="tree", dropout=0.0)
    masks = net.pool1.gate.weight.detach().clone()
    images = initialise(net, "lsuv")
    assert torch.equal(net.pool1.gate.weight, masks)
    assert output_variances(net.train(), images) == pytest.approx([1.0] * 8, abs=0.02)


def test_lsuv_keeps_the_rows_orthogonal() -> None:
    net = network()
    initialise(net, "lsuv")
    matrix = next(iter(weighted_layers(net))).weight.flatten(1)
    product = matrix @ matrix.T
    scale = product.diagonal().mean()
    torch.testing.assert_close(product / scale, torch.eye(len(matrix)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", [entry.name for entry in INITS])
def test_biases_start_at_0_and_the_seed_decides(method: str) -> None:
    first, again, other = network(), network(), network()
    initialise(first, method, 0)
    initialise(again, method, 0)
    initialise(other, method, 1)
    assert all(layer.bias is not None and not layer.bias.any() for layer in weighted_layers(first))
    for one, two, three in zip(first.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
        assert one.dim() == 1 or not torch.equal(one, three)


def test_constant_images_do_not_destroy_the_weights() -> None:
    net = network()
    INITS["lsuv"](net, torch.zeros(8, 3, 64, 64), torch.Generator().manual_seed(0))
    assert all(torch.isfinite(layer.weight).all() for layer in weighted_layers(net))


def test_the_network_is_left_in_its_mode_and_without_hooks() -> None:
    net = network().eval()
    initialise(net, "lsuv")
    assert not net.training
    assert not any(layer._forward_hooks for layer in weighted_layers(net))


@pytest.mark.parametrize("method", [entry.name for entry in INITS])
def test_the_memory_format_does_not_change_the_start(method: str) -> None:
    plain = network(dropout=0.0)
    other = network(dropout=0.0).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    initialise(plain, method)
    initialise(other, method)
    for one, two in zip(plain.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)


def centre(encoded: bytes) -> np.ndarray:
    pixels = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
    top, left = (pixels.shape[0] - 128) // 2, (pixels.shape[1] - 128) // 2
    return pixels[top : top + 128, left : left + 128]


@pytest.mark.long
def test_the_loss_before_training_is_that_of_the_published_logs(real_images: Path) -> None:
    """The logs of the released runs begin at a test loss of 7.03 to 7.1 (ln 1000 is 6.91): LSUV with dropout active.

    With dropout off while scaling it would be about 7.4: logits of unit variance.
    """
    recipe = Recipe()
    images = pq.read_table(real_images / "imagenet1k_sample144.parquet").to_pylist()[:512]
    pixels = torch.from_numpy(np.stack([centre(image["image"]) for image in images])).permute(0, 3, 1, 2).float()
    x = (pixels - torch.tensor(recipe.data.mean).view(1, 3, 1, 1)) * recipe.data.scale
    torch.manual_seed(0)
    net = build_network(recipe.network, recipe.data.shape).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    INITS["lsuv"](net, x[:256], torch.Generator().manual_seed(0))
    with torch.no_grad():
        loss = nn.functional.cross_entropy(net.eval()(x), torch.tensor([image["label"] for image in images]))
    assert 7.0 < loss < 7.15


def test_the_released_script_leaves_what_is_within_its_tolerance() -> None:
    exact, released = network(dropout=0.0), network(dropout=0.0)
    images = initialise(exact, "lsuv")
    initialise(released, "lsuv_released")
    assert output_variances(released.train(), images) == pytest.approx([1.0] * 8, abs=TOLERANCE + 1e-4)
    first = next(weighted_layers(released))
    first.weight.data *= 1.009  # variance 1.018: within the tolerance
    kept = first.weight.detach().clone()
    with torch.no_grad():
        _rounds_to_unit_variance(released, first, images)
        assert torch.equal(first.weight, kept)
        first.weight *= 1.02
        _rounds_to_unit_variance(released, first, images)
    assert not torch.equal(first.weight, 1.02 * kept)
    assert output_variances(released, images)[0] == pytest.approx(1, abs=1e-4)
