"""Simulated clusters of several nodes, each with its own raylet, that can lose and gain nodes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.orchestrate.processes import find_descendants, kill


class Nodes:
    """One cluster; its head trains nothing, its other nodes have one CPU each."""

    def __init__(self, workers: int) -> None:
        from raysweep.orchestrate.ray_private import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self.workers: list[Any] = []
        for _ in range(workers):
            self.add()

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, **settings: Any) -> Any:
        """A further node. Ray wants this done in the main thread."""
        self.workers.append(self.cluster.add_node(num_cpus=1, **settings))
        return self.workers[-1]

    def remove(self, node: Any) -> None:
        """Lose a node with all its processes, without notice."""
        self.workers.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)

    def kill_raylet(self, node: Any) -> None:
        """kill -9 of the process that a node consists of; its workers are left to notice."""
        self.workers.remove(node)
        kill(*raylets_of(node))

    def drain(self, node: Any, seconds: int) -> None:
        """The notice of a cloud that a spot node will be taken away."""
        ray = Path(sys.executable).with_name("ray")
        words = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot", "--node-id", node.node_id]
        deadline = ["--deadline-remaining-seconds", str(seconds)]
        subprocess.run(
            [ray, "drain-node", "--address", self.address, *words, *deadline], check=True, capture_output=True
        )


def raylets_of(node: Any) -> list[int]:
    return [process.process.pid for process in node.all_processes["raylet"]]


def workers_of(node: Any) -> set[int]:
    """Ids of all processes that a node's raylet has started."""
    return {worker for raylet in raylets_of(node) for worker in find_descendants(raylet)}


@contextmanager
def cluster_of(workers: int) -> Iterator[Nodes]:
    """A cluster of a head and N nodes."""
    nodes = Nodes(workers)
    try:
        yield nodes
    finally:
        nodes.cluster.shutdown()
