"""One Ray cluster of 2 CPUs for all tests that need one; each sweep connects to it as a driver of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.orchestrate.fakes import Listener

RAYS_OWN_WARNINGS = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray.*"),
]
"""Files and sockets of its processes, and calls that newer versions of other packages frown upon."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Address of the cluster."""
    from raysweep.orchestrate.ray_private import Cluster

    # Without this Ray would write a token into the home folder, and later clusters on this machine would ask for it.
    before = os.environ.get("RAY_AUTH_MODE")
    os.environ["RAY_AUTH_MODE"] = "disabled"
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield nodes.address
    nodes.shutdown()
    os.environ.pop("RAY_AUTH_MODE") if before is None else os.environ.update(RAY_AUTH_MODE=before)


@pytest.fixture
def listener() -> Listener:
    return Listener()
