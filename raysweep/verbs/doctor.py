"""`raysweep doctor`: what is installed, what is missing and the next step."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import click

from raysweep.process.machine import usable_cores, usable_memory
from raysweep.terminal.notes import say
from raysweep.terminal.tables import table

PACKAGES = ("torch", "torchvision", "ray", "optuna", "ffcv", "numba", "numpy", "pyarrow", "pandas", "matplotlib")


@click.command()
def doctor() -> None:
    """Print versions, devices, usable cores, memory and disk.

    The exit status is 1 if something that raysweep needs is missing.
    """
    rows = [("python", platform.python_version(), sys.executable), *map(_package, PACKAGES)]
    memory = usable_memory()
    rows += [("cores", str(usable_cores()), _limited(usable_cores(), os.cpu_count() or 1))]
    rows += [("memory", f"{memory.total / 2**30:.0f} GiB", f"{memory.free / 2**30:.1f} GiB of it free")]
    rows += [("GPUs", *_try(_gpus)), ("ffcv reader", *_try(_reader))]
    rows += [("free disk here", f"{shutil.disk_usage('.').free / 2**30:.0f} GiB", "")]
    rows += [("free in /dev/shm", _shared_memory(Path("/dev/shm")), "")]
    say(table(("what", "found", "note"), rows))
    if any(found == "missing" for _, found, _ in rows):
        raise click.exceptions.Exit(1)


def _limited(usable: int, all_cores: int) -> str:
    if usable == all_cores:
        return ""
    return f"of {all_cores}: this process is limited by its CPU affinity or a control group (container, batch system)"


def _shared_memory(folder: Path) -> str:
    return f"{shutil.disk_usage(folder).free / 2**30:.1f} GiB" if folder.exists() else "no such folder"


def _package(name: str) -> tuple[str, str, str]:
    try:
        return name, metadata.version(name), ""
    except metadata.PackageNotFoundError:
        return name, "missing", "run `make setup` in a checkout of raysweep"


def _try(look: Callable[[], str]) -> tuple[str, str]:
    try:
        return look(), ""
    except Exception as error:  # whatever is wrong with an installation is what this verb reports
        return "missing", f"{type(error).__name__}: {error}"


def _gpus() -> str:
    torch = importlib.import_module("torch")
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return ", ".join(names) or "none"


def _reader() -> str:
    importlib.import_module("raysweep.data.loops")
    return "ok"
