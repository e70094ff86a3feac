from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.orchestrate import nodes
from raysweep.orchestrate.nodes import NodeType, autoscaling_file, node_types, this_machine, to_come
from raysweep.process.machine import Memory

HEAD, GPU_NODE = {"CPU": 4.0, "memory": 1e9}, {"CPU": 16.0, "GPU": 4.0, "memory": 2e9}


@pytest.mark.parametrize(("there", "missing"), [([HEAD], 3), ([HEAD, GPU_NODE], 2), ([HEAD, *[GPU_NODE] * 4], 0)])
def test_what_an_autoscaler_may_still_add(there: list[dict[str, float]], missing: int) -> None:
    kind = {"CPU": 16, "GPU": 4, "memory": 3e9}  # a node that is there tells its memory more exactly
    assert to_come([NodeType(kind, 3)], there) == [kind] * missing


def test_the_node_types_of_a_cluster_file() -> None:
    cluster = {
        "max_workers": 10,
        "head_node_type": "head",
        "available_node_types": {
            "head": {"resources": {"CPU": 0}},
            "gpu": {"resources": {"CPU": 8, "GPU": 1}, "max_workers": 4},
            "any": {"resources": {"CPU": 2}, "max_workers": 99},
            "unknown": {"resources": {}},
        },
    }
    assert list(node_types(cluster)) == [NodeType({"CPU": 8.0, "GPU": 1.0}, 4), NodeType({"CPU": 2.0}, 10)]
    assert not list(node_types({"provider": {"type": "local"}}))


def test_the_file_of_a_running_autoscaler(tmp_path: Path) -> None:
    def process(number: int, *words: str) -> None:
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "cmdline").write_text("\0".join(words))

    process(1, "python", "/ray/autoscaler/_private/monitor.py", "--logs-dir=/tmp")
    assert autoscaling_file(tmp_path) is None
    process(2, "grep", "--autoscaling-config=/wrong.yaml")
    process(3, "python", "-u", "/ray/autoscaler/_private/monitor.py", "--autoscaling-config=/right.yaml")
    assert autoscaling_file(tmp_path) == Path("/right.yaml")


@pytest.mark.parametrize(("free_gib", "store_mib"), [(0.25, 75), (2, 204), (64, 512)])
def test_a_local_ray_gets_what_this_process_may_use(
    free_gib: float, store_mib: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "usable_cores", lambda: 3)
    monkeypatch.setattr(nodes, "usable_memory", lambda: Memory(2**40, free_gib * 2**30))
    found = this_machine()
    assert found["num_cpus"] == 3
    assert found["object_store_memory"] >> 20 == store_mib
    assert found["object_store_memory"] + found["_memory"] == free_gib * 2**30


ON_ONE_CORE = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import ray
from raysweep.orchestrate.cluster import connect
with connect(None, {}, False):
    print(ray.cluster_resources()["CPU"])
"""


@pytest.mark.long
def test_on_one_core_one_trial_runs_at_a_time(tmp_path: Path) -> None:
    """As below `taskset -c 0` or in a job of one core, on a machine that has more."""
    environment = os.environ | {"RAY_AUTH_MODE": "disabled"}
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run([sys.executable, "-c", ON_ONE_CORE], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["1.0"], done.stderr
