"""The nodes of a cluster: those that are running, and those that its autoscaler may add."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import yaml

from raysweep.orchestrate.ray_private import OBJECT_STORE_MINIMUM_MEMORY_BYTES, state
from raysweep.process.machine import usable_cores, usable_memory

Node = Mapping[str, float]
"""Resource name -> amount, as Ray reports it."""
COUNTED = ("CPU", "GPU")
"""Resources that identify a running node as one of the autoscaler's node types."""
OBJECT_STORE = 512 * 2**20
"""Memory of a local Ray's object store, in which a sweep keeps next to nothing; Ray would take 30 % of all memory."""
FLAG = b"--autoscaling-config="


@dataclass(frozen=True)
class NodeType:
    """A kind of node that an autoscaler adds, and the largest number of them."""

    resources: Node
    most: int


def nodes_there(avoid: Collection[str] = ()) -> list[Node]:
    """Return the nodes that are alive, without those with an id in `avoid`."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"] and node["NodeID"] not in avoid]


def this_machine() -> dict[str, int]:
    """Return arguments of `ray.init` for a local Ray: what this process may use of the machine.

    Ray itself counts all cores of a machine, and knows only the limits of the outermost control group.
    """
    free = int(usable_memory().free)
    store = max(OBJECT_STORE_MINIMUM_MEMORY_BYTES, min(OBJECT_STORE, free // 10))
    memory = {"object_store_memory": store, "_memory": max(0, free - store)} if free else {}
    return {"num_cpus": usable_cores(), **memory}


def nodes_to_come(there: Iterable[Node]) -> list[Node]:
    """Return the nodes that the autoscaler may add to the running ones; none if no autoscaler is known.

    On Kubernetes the cluster itself describes its node groups; with `ray up` the file that the autoscaler was started
    with does, on the head node, where this runs.
    """
    return to_come(_from_cluster() or _from_head(), there)


def to_come(types: Iterable[NodeType], there: Iterable[Node]) -> list[Node]:
    """Return the nodes that are missing up to the largest number of each node type."""
    left = [_amounts(node) for node in there]
    found: list[Node] = []
    for kind in types:
        have = 0
        while have < kind.most and _amounts(kind.resources) in left:
            left.remove(_amounts(kind.resources))
            have += 1
        found += [kind.resources] * (kind.most - have)
    return found


def _amounts(node: Node) -> tuple[float, ...]:
    return tuple(node.get(name, 0.0) for name in COUNTED)


def _from_cluster() -> list[NodeType]:
    described = state.get_cluster_config()
    groups = described.node_group_configs if described else ()
    return [NodeType(dict(group.resources), group.max_count) for group in groups if group.max_count > 0]


def _from_head() -> list[NodeType]:
    path = autoscaling_file()
    try:
        return list(node_types(yaml.safe_load(path.read_text()))) if path else []
    except (OSError, yaml.YAMLError):
        return []


def autoscaling_file(processes: Path = Path("/proc")) -> Path | None:
    """Return the file that an autoscaler running on this machine was started with, from the list of processes."""
    for command in processes.glob("[0-9]*/cmdline"):
        try:
            words = command.read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if any(word.endswith(b"monitor.py") for word in words):
            path = next((word[len(FLAG) :] for word in words if word.startswith(FLAG)), b"")
            if path:
                return Path(path.decode()).expanduser()
    return None


def node_types(cluster: Mapping[str, Any]) -> Iterator[NodeType]:
    """Yield the types of worker nodes in a cluster file as completed by `ray up`; the head node already runs."""
    most = cluster.get("max_workers") or 0
    for name, kind in (cluster.get("available_node_types") or {}).items():
        if name != cluster.get("head_node_type") and kind.get("resources"):
            resources = {str(key): float(amount) for key, amount in kind["resources"].items()}
            yield NodeType(resources, min(most, kind.get("max_workers", most)))
