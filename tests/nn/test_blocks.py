from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raysweep.nn.blocks import StridedPointwise, convolution


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("side", [8, 9])
def test_a_strided_pointwise_convolution_is_torchs(side: int, groups: int) -> None:
    torch.manual_seed(0)
    layer = convolution(4, 6, (1, 1), (2, 2), groups=groups)
    assert isinstance(layer, StridedPointwise)
    x = torch.randn(3, 4, side, side, requires_grad=True)
    ours, theirs = layer(x), F.conv2d(x, layer.weight, layer.bias, stride=2, groups=groups)
    torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(y.square().sum(), [x, *layer.parameters()]) for y in (ours, theirs)]
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two)


def test_other_convolutions_are_torchs_own() -> None:
    wide, square, padded = (
        convolution(64, 8, (1, 1), (2, 2)),
        convolution(4, 8, (3, 3), (2, 2)),
        convolution(4, 8, (1, 1)),
    )
    assert {type(layer) for layer in (wide, square, padded)} == {nn.Conv2d}


CHANNELS = 5
TRAINING = f"""
import torch
from raysweep.nn.blocks import convolution
torch.set_num_threads(1)
layer = convolution({CHANNELS}, 10, (1, 1), (2, 2), bias=False).to(memory_format=torch.channels_last)
for _ in range(30):
    x = torch.randn(64, {CHANNELS}, 32, 32).contiguous(memory_format=torch.channels_last).requires_grad_()
    layer(x).sum().backward()
    others = [torch.randn(size) for size in (10, 100, 1000, 5000)]
"""


def test_memory_is_whole_after_strided_pointwise_convolutions_of_few_channels() -> None:
    """In a process whose allocator checks the memory around a block: torch's own form crashes there."""
    done = subprocess.run(
        [sys.executable, "-c", TRAINING], env=os.environ | {"MALLOC_CHECK_": "3"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
