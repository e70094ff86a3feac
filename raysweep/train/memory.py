"""Peak memory of one trial in a process that trains many."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

import torch

from raysweep.process.machine import usable_memory

GIB = 2**30
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def reset_peak(device: torch.device) -> None:
    """Reset the recorded peak, if the system can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")  # Linux: resets the peak resident size of this process


def peak_gib(device: torch.device) -> float:
    """Return the peak since the reset, GiB: of the accelerator's allocator, or the resident size of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / GIB
    try:
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / GIB
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GIB


def reserved_gib(device: torch.device) -> float:
    """Return what this process has reserved so far, GiB: by the accelerator's allocator, or as `peak_gib`."""
    return torch.cuda.max_memory_reserved(device) / GIB if device.type == "cuda" else peak_gib(device)


def free_and_total_gib(device: torch.device) -> tuple[float, float]:
    """Return free and total memory of the accelerator, or of the machine as far as this process may use it, GiB."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return free / GIB, total / GIB
    memory = usable_memory()
    return memory.free / GIB, memory.total / GIB
