"""How the workers of a gang find each other: a gang of one needs no other, and on a local Ray nothing listens outside.

torch's own store listens on all interfaces and gives whoever reaches it all that is in it.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch.distributed
from ray.train.torch import TorchConfig

from raysweep.orchestrate.local_ray import PRIVATE
from raysweep.orchestrate.ray_private import _set_torch_distributed_env_vars, _TorchBackend


@dataclass
class Rendezvous(TorchConfig):  # type: ignore[misc]
    """Train's settings of torch, with the backend below."""

    @property
    def backend_cls(self) -> type[PrivateBackend]:
        """Train's name for the class that sets up torch."""
        return PrivateBackend


class PrivateBackend(_TorchBackend):  # type: ignore[misc]
    """Sets up torch on all workers of a gang."""

    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        """Connect the workers."""
        size, folder = len(worker_group), os.environ.get(PRIVATE)
        if size > 1 and not folder:
            super().on_start(worker_group, backend_config)
            return
        worker_group.execute(_set_torch_distributed_env_vars)
        if size > 1:
            path = f"{folder}/rendezvous-{uuid.uuid4().hex}"
            worker_group.execute(_connect, backend_config.backend, path, backend_config.timeout_s)


def _connect(backend: str, path: str, timeout_s: float) -> None:
    rank, size = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE"))
    store = torch.distributed.FileStore(path, size)  # type: ignore[attr-defined]
    torch.distributed.init_process_group(
        backend, store=store, rank=rank, world_size=size, timeout=timedelta(seconds=timeout_s)
    )
