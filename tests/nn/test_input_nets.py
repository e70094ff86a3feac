from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raysweep.nn.input_nets import INPUT_NETS


def convs(net: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]


@pytest.mark.parametrize(
    ("name", "params", "channels"),
    [
        ("none", 0, 3),
        ("batch_norm", 0, 3),
        ("grayscale", 4, 1),
        ("tanh_10_3", 73, 3),
        ("vlrelu_3_3", 24, 3),
        ("vlrelu_10_3_plus_rgb", 73, 3),
        ("vlrelu_log_10_3", 103, 3),
        ("vlrelu_16_3", 115, 3),
        ("vlrelu_10_3", 73, 3),
        ("maxout_10_3", 146, 3),
        ("vlrelu_log_log256_10_3", 133, 3),
    ],
)
def test_sizes_are_those_of_the_published_table(name: str, params: int, channels: int) -> None:
    net = INPUT_NETS[name](3)
    assert sum(weight.numel() for weight in net.layer.parameters()) == params
    assert net.channels == channels
    assert net.layer(torch.rand(2, 3, 6, 6)).shape == (2, channels, 6, 6)
    assert all(conv.kernel_size == (1, 1) for conv in convs(net.layer))


def test_every_input_net_has_been_checked() -> None:
    assert len(INPUT_NETS) == 11


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, x / 2)


def test_the_non_linearity_follows_both_convolutions() -> None:
    net = INPUT_NETS["vlrelu_10_3"](3).layer
    first, second = convs(net)
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(net(x), leaky(second(leaky(first(x)))))


def test_the_residual_form_adds_the_image_before_the_last_one() -> None:
    net = INPUT_NETS["vlrelu_10_3_plus_rgb"](3).layer
    first, second = convs(net)
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(net(x), leaky(x + second(leaky(first(x)))))


def test_logarithms_are_normalised_with_the_pixels() -> None:
    net = INPUT_NETS["vlrelu_log_log256_10_3"](3).layer
    first, second = convs(net)
    x = torch.randint(0, 256, (4, 3, 5, 5)).float()
    wide = torch.cat([x, (x + 1).log(), (256 - x).log()], 1)
    expected = leaky(second(leaky(first(F.batch_norm(wide, None, None, training=True)))))
    torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-5)


def test_maxout_takes_the_larger_half() -> None:
    net = INPUT_NETS["maxout_10_3"](3).layer
    first, second = convs(net)
    x = torch.randn(2, 3, 4, 4)
    a = first(x)
    b = second(torch.maximum(a[:, :10], a[:, 10:]))
    torch.testing.assert_close(net(x), torch.maximum(b[:, :3], b[:, 3:]))


def test_input_nets_with_batch_statistics_are_marked() -> None:
    found = [entry.name for entry in INPUT_NETS if entry.make(3).batch_statistics]
    assert found == ["batch_norm", "vlrelu_log_10_3", "vlrelu_log_log256_10_3"]
