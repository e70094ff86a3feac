from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.orchestrate.nodes import NodeType, autoscaling_file, node_types, to_come

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
