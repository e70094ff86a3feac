"""The cores and the memory of this machine that this process may use, and the names of its processor and GPUs.

Its CPU affinity and the limits of its control groups (of containers, of batch systems such as Slurm, and of all the
groups that these are in) count as well as the hardware: the smallest of them is what there is.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
"""Where `proc` and `sys` are."""
NO_LIMIT = math.inf


@dataclass(frozen=True)
class Memory:
    """Memory in bytes that this process may use; 0 where the system does not say."""

    total: float
    """Largest amount."""
    free: float
    """Amount that is not in use, with the files that the system only caches counted as free."""


def usable_cores() -> int:
    """The number of cores that this process may use, at least 1: by its affinity and the CPU quotas of its groups."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [_quota(group) for group in _groups("cpu")]
    return max(1, math.floor(min([float(cores), *quotas])))


def usable_memory() -> Memory:
    """The memory that this process may use: of the machine, and within the limits of its groups."""
    machine = _numbers(ROOT / "proc/meminfo")
    found = [Memory(1024 * machine.get("MemTotal:", 0.0), 1024 * machine.get("MemAvailable:", 0.0))]
    found += [_within(group) for group in _groups("memory")]
    return Memory(min(memory.total for memory in found), max(0.0, min(memory.free for memory in found)))


def processor() -> str:
    """The model name of the CPU, if the system reports it."""
    named = (line.partition(":")[2].strip() for line in _lines(ROOT / "proc/cpuinfo") if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def gpus() -> list[str]:
    """The model names of the NVIDIA GPUs of this machine, whether or not this process may use them."""
    files = sorted((ROOT / "proc/driver/nvidia/gpus").glob("*/information"))
    return [line.partition(":")[2].strip() for file in files for line in _lines(file) if line.startswith("Model")]


def _groups(controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control groups that limit a resource, each followed by its parents.

    Version 1 has a tree for each controller, and version 2 one tree for all; a system may have both. In a container the
    paths may be those of the host: then the root of the tree is the container's group.
    """
    mounts = ROOT / "sys/fs/cgroup"
    for line in _lines(ROOT / "proc/self/cgroup"):
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        for mount in (mounts / names, mounts / controller) if names else (mounts, mounts / "unified"):
            place = Path(path.lstrip("/"))
            inside = [] if ".." in place.parts else [mount / place, *(mount / parent for parent in place.parents)]
            yield from dict.fromkeys([*inside, mount])


def _quota(group: Path) -> float:
    """The number of cores that a group may use."""
    quota, period = [*_words(group / "cpu.max"), "", ""][:2]  # version 2
    if not quota:
        quota, period = (" ".join(_words(group / f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
    cores = _number(quota) / _number(period) if _number(period) < NO_LIMIT else NO_LIMIT
    return cores if cores > 0 else NO_LIMIT  # a quota of -1 is none


def _within(group: Path) -> Memory:
    """The memory that a group may use, and how much of it is left."""
    limits = ("memory.max", "memory.high", "memory.limit_in_bytes")
    total = min(_number(" ".join(_words(group / name))) for name in limits)
    used = min(_number(" ".join(_words(group / name))) for name in ("memory.current", "memory.usage_in_bytes"))
    if NO_LIMIT in (total, used):
        return Memory(total, total)
    cached = _numbers(group / "memory.stat")
    return Memory(total, total - used + cached.get("total_inactive_file", cached.get("inactive_file", 0.0)))


def _number(text: str) -> float:
    """The number in a file of limits; without one (`max`, no such file) there is no limit."""
    with suppress(ValueError):
        return float(text)
    return NO_LIMIT


def _numbers(path: Path) -> dict[str, float]:
    """The lines of a file that are a name and a number."""
    words = (line.split() for line in _lines(path))
    return {entry[0]: _number(entry[1]) for entry in words if len(entry) > 1}


def _words(path: Path) -> list[str]:
    return [word for line in _lines(path) for word in line.split()]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, ValueError):
        return []
