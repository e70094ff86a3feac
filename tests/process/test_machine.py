"""Cores and memory from trees of /proc and /sys/fs/cgroup as different systems have them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from raysweep.process import machine
from raysweep.process.machine import usable_cores, usable_memory

GIB = 2**30
NONE_V1 = 9223372036854771712
"""What version 1 shows where there is no limit."""
Build = Callable[..., None]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Build the files of a machine of 16 cores and 64 GiB, 60 of them free."""
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)))

    def build(groups: str, files: Mapping[str, object]) -> None:
        memory = f"MemTotal: {64 * GIB // 1024} kB\nMemFree: 0 kB\nMemAvailable: {60 * GIB // 1024} kB\n"
        trees = {f"sys/fs/cgroup/{name}": content for name, content in files.items()}
        for name, content in {"proc/meminfo": memory, "proc/self/cgroup": groups, **trees}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(f"{content}\n")

    return build


def v2(folder: str, cpu: str = "max 100000", most: object = "max", used: int = 0, cached: int = 0) -> dict[str, object]:
    files = {"cpu.max": cpu, "memory.max": most, "memory.high": "max", "memory.current": used}
    stat = f"anon {used - cached}\ninactive_file {cached}\nactive_file 0"
    return {f"{folder}{name}": content for name, content in (files | {"memory.stat": stat}).items()}


def v1(cpu: str, memory: str, quota: int, most: int, used: int = 0, cached: int = 0) -> dict[str, object]:
    return {
        f"{cpu}/cpu.cfs_quota_us": quota,
        f"{cpu}/cpu.cfs_period_us": 100000,
        f"{memory}/memory.limit_in_bytes": most,
        f"{memory}/memory.usage_in_bytes": used,
        f"{memory}/memory.stat": f"inactive_file 5\ntotal_inactive_file {cached}",
    }


def found() -> tuple[int, float, float]:
    memory = usable_memory()
    return usable_cores(), memory.total / GIB, memory.free / GIB


def test_a_machine_without_limits_is_used_whole(build: Build) -> None:
    build("0::/user.slice", v2("user.slice/"))
    assert found() == (16, 64, 60)
    build("4:memory:/\n2:cpu:/\n0::/", v1("cpu", "memory", -1, NONE_V1, 7 * GIB))
    assert found() == (16, 64, 60)


def test_version_2_in_a_container(build: Build) -> None:
    build("0::/", v2("", "250000 100000", 8 * GIB, 5 * GIB, 2 * GIB))
    assert found() == (2, 8, 5)


def test_version_2_nested_every_parent_counts(build: Build) -> None:
    """As Slurm nests job, step and task: cores are limited at the top, memory in the middle, the leaf has no limit."""
    top, job, step = "slurm/", "slurm/job_7/", "slurm/job_7/step_0/"
    files = v2(top, "400000 100000", 32 * GIB, 30 * GIB) | v2(job, most=16 * GIB, used=10 * GIB) | v2(step)
    build("0::/slurm/job_7/step_0", files)
    assert found() == (4, 16, 2)


def test_version_2_a_soft_limit_counts(build: Build) -> None:
    build("0::/app.slice", v2("app.slice/", used=GIB) | {"app.slice/memory.high": 3 * GIB})
    assert found() == (16, 3, 2)


def test_version_1_in_its_own_group_and_its_parents(build: Build) -> None:
    files = v1("cpu,cpuacct/job", "memory/job", 300000, 12 * GIB, 10 * GIB, 4 * GIB)
    files |= v1("cpu,cpuacct/job/task", "memory/job/task", -1, NONE_V1, GIB)
    build("9:cpu,cpuacct:/job/task\n8:memory:/job/task\n1:name=systemd:/x", files)
    assert found() == (3, 12, 6)


def test_version_1_in_a_container_that_shows_the_paths_of_its_host(build: Build) -> None:
    """The root of each tree is the container's group: /docker/abc does not exist below it."""
    build("9:cpu,cpuacct:/docker/abc\n8:memory:/docker/abc", v1("cpu", "memory", 200000, 4 * GIB, GIB))
    assert found() == (2, 4, 3)


def test_both_versions_at_once(build: Build) -> None:
    """The cores are limited by version 1, the memory by version 2 in the tree that such systems call unified."""
    memory = v2("unified/app/", most=6 * GIB, used=GIB)
    build("2:cpu:/app\n0::/app", memory | {"cpu/app/cpu.cfs_quota_us": 500000, "cpu/app/cpu.cfs_period_us": 100000})
    assert found() == (5, 6, 5)


def test_a_group_outside_what_the_container_sees_does_not_hide_its_own(build: Build, tmp_path: Path) -> None:
    (tmp_path / "sys/fs/secret").mkdir(parents=True)
    (tmp_path / "sys/fs/secret/memory.max").write_text("1")
    build("0::/../secret", v2("", "300000 100000", 2 * GIB))
    assert found() == (3, 2, 2)


def test_a_share_of_a_core_is_one_core_and_memory_over_the_limit_is_none_free(build: Build) -> None:
    build("0::/", v2("", "50000 100000", 2 * GIB, 3 * GIB))
    assert found() == (1, 2, 0)


def test_affinity_counts(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5})
    build("0::/", v2("", "800000 100000"))
    assert usable_cores() == 2


def test_a_system_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    assert usable_cores() == len(os.sched_getaffinity(0))
    assert (usable_memory().total, usable_memory().free) == (0, 0)


def test_this_machine_has_memory() -> None:
    memory = usable_memory()
    assert 0 < memory.free < memory.total
