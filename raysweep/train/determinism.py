"""Bit-equal numbers on an accelerator, by torch's slower deterministic algorithms.

On a CPU a trial gives the same bits each time without them. On a GPU some kernels add in the order in which their
threads end, and cuDNN picks the fastest of several kernels by timing them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

CUBLAS = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""cuBLAS reads it when a process first uses cuBLAS; NVIDIA documents this value as reproducible."""


@contextmanager
def only_deterministic(wanted: bool) -> Iterator[None]:
    """Allow only deterministic algorithms, if wanted; torch raises RuntimeError for an operation without one."""
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
