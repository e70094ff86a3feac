from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.exceptions import AuthenticationError

from raysweep.errors import RaysweepError
from raysweep.orchestrate.cluster import connect
from raysweep.orchestrate.ray_sweep import run_on_ray
from tests.orchestrate.conftest import RAYS_OWN_WARNINGS
from tests.orchestrate.fakes import Listener, make_tasks, train_nothing

pytestmark = RAYS_OWN_WARNINGS


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_an_address_where_no_ray_answers_is_refused_at_once(address: str) -> None:
    with pytest.raises(RaysweepError, match=rf"Ray at {address}"), connect(address, {}, None):
        pytest.fail("connected")


def test_the_address_file_of_a_dead_cluster_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself would try the address that a killed `ray start` left behind for minutes."""
    started: list[str] = []
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(
        "ray.init", lambda address, **settings: started.append(address) or SimpleNamespace(dashboard_url="")
    )
    note = tmp_path / "ray" / "ray_current_cluster"
    note.parent.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as answering:
        here = f"127.0.0.1:{answering.getsockname()[1]}"
        note.write_text(here)
        with connect(None, {}, None):
            pass
    with connect(None, {}, None):
        pass
    assert started == [here, "local"]


def test_auto_is_the_cluster_of_this_machine_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the head of a cluster, where a sweep that starts a Ray of its own would train on the head alone."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setattr("ray.init", lambda **settings: pytest.fail("started"))
    with pytest.raises(RaysweepError, match="auto.*ray start --head"), connect(None, {}, None):
        pytest.fail("connected")


def test_a_token_that_is_not_there_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**settings: object) -> None:
        raise AuthenticationError("no token")

    monkeypatch.setattr("ray.init", refuse)
    with socket.create_server(("127.0.0.1", 0)) as answering:
        here = f"127.0.0.1:{answering.getsockname()[1]}"
        with pytest.raises(RaysweepError, match="RAY_AUTH_MODE=token"), connect(here, {}, None):
            pytest.fail("connected")


@pytest.fixture
def open_session(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A session as a notebook would have it, which counts a GPU that torch cannot use."""
    import ray

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.long
def test_an_open_session_is_used_and_left_as_it_was(open_session: None, listener: Listener, tmp_path: Path) -> None:
    import ray
    from ray.util import placement_group_table

    before = dict(os.environ)
    outcome = run_on_ray(
        make_tasks(tmp_path, "a", "b"), listener.on_event, train=train_nothing, record_end=listener.record_end
    )
    assert outcome.finished == ("a", "b")
    assert {row["device"] for row in listener.rows("a")} == {"cpu"}
    assert ray.is_initialized()
    assert dict(os.environ) == before
    assert {group["state"] for group in placement_group_table().values()} <= {"REMOVED"}
    deadline = time.monotonic() + 30
    while ray.available_resources().get("GPU") != 1.0:  # Ray gives resources back a moment later
        assert time.monotonic() < deadline
        time.sleep(0.1)
