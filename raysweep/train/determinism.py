"""Bit-equal numbers on an accelerator: torch's deterministic algorithms, for those who pay their price.

On a CPU a trial gives the same bits each time without it. On a GPU some kernels add in whatever order their threads
end, and cuDNN picks the fastest of several by a race.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

CUBLAS = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""Read by cuBLAS when a process first uses it; the value is one of the two that NVIDIA documents as reproducible."""


@contextmanager
def only_deterministic(wanted: bool) -> Iterator[None]:
    """Allow nothing but deterministic algorithms, if wanted; an operation that has none is torch's RuntimeError."""
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark
    if wanted:
        os.environ.setdefault(*CUBLAS)
        _set(True, True, False)
    try:
        yield
    finally:
        _set(*before)


def _set(algorithms: bool, deterministic: bool, benchmark: bool) -> None:
    torch.use_deterministic_algorithms(algorithms)
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = benchmark
