"""Where the trials of a sweep run, and with what."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from raysweep.arguments import RESOURCES, converted
from raysweep.errors import RaysweepError


@dataclass(frozen=True)
class Resources:
    """Where trials run. Resources change how fast a trial is trained, never what its numbers mean."""

    inline: bool = False
    """Run trials one at a time in this process, without Ray."""
    address: str | None = None
    """The Ray cluster to join; None: `RAY_ADDRESS`, else a local one."""
    workers: int | None = None
    """Number of trials at once; None: as many as fit into the cluster."""
    workers_per_trial: int = 1
    """Data-parallel workers of each trial."""
    gpus_per_worker: float | None = None
    """None: measured if the cluster has GPUs."""
    threads: int = 1
    """CPU threads of each worker."""
    max_attempts: int = 2
    """Attempts before a trial counts as failed."""
    share_images: bool = True
    """Decode each image once for all trials on the same node."""
    deterministic: bool = False
    """Use only algorithms that give the same bits every time."""
    log_to: tuple[str, ...] = ()
    """Tools that receive every epoch in addition to the store, such as `tensorboard:FOLDER`."""

    def for_ray(self) -> dict[str, Any]:
        """The keyword arguments of `run_on_ray`."""
        return {
            "address": self.address,
            "workers": self.workers,
            "workers_per_trial": self.workers_per_trial,
            "gpus_per_worker": self.gpus_per_worker,
            "cpus_per_worker": self.threads,
            "max_attempts": self.max_attempts,
            "share_images": self.share_images,
            "log_to": self.log_to,
        }


def check_logging(resources: Resources) -> None:
    """Check that every tool in `log_to` is installed, before any other work is done.

    Raises:
        RaysweepError: names the tool and how to install it.
    """
    if not resources.log_to:
        return
    from raysweep.orchestrate.loggers import parse_place

    for text in resources.log_to:
        if resources.inline:
            raise RaysweepError(f"--log-to {text} needs Ray Tune, which --inline does not use: leave out one of them.")
        parse_place(text)


NAMES = {"gpus": "gpus_per_worker", "attempts": "max_attempts"}
"""Arguments whose field has another name."""
ARGUMENTS = tuple({field: name for name, field in NAMES.items()}.get(f.name, f.name) for f in fields(Resources))


def take_resources(arguments: dict[str, Any]) -> Resources:
    """The resources that a user asks for; takes their arguments out of `arguments`.

    Raises:
        RaysweepError: a tool in `log_to` that cannot be used.
    """
    given = {name: arguments.pop(name) for name in ARGUMENTS if name in arguments}
    numbers = {name: converted(name, RESOURCES[name], given[name]) for name in RESOURCES if given.get(name) is not None}
    given = {NAMES.get(name, name): value for name, value in (given | numbers).items()}
    if "log_to" in given:
        given["log_to"] = (given["log_to"],) if isinstance(given["log_to"], str) else tuple(given["log_to"])
    resources = Resources(**given)
    check_logging(resources)
    return resources
