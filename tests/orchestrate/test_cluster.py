from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from ray.exceptions import AuthenticationError

from raysweep.errors import RaysweepError
from raysweep.orchestrate import cluster, local_ray, ray_private
from raysweep.orchestrate.cluster import connect
from raysweep.orchestrate.local_ray import LocalRay, ray_folder
from raysweep.orchestrate.ray_private import FIRST_CALL
from raysweep.orchestrate.ray_sweep import run_on_ray
from tests.disks import give_away
from tests.orchestrate.conftest import RAYS_OWN_WARNINGS
from tests.orchestrate.fakes import Listener, make_tasks, train_nothing

pytestmark = RAYS_OWN_WARNINGS


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that Ray is asked to join."""
    addresses: list[str] = []
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setattr(ray_private, "requires_token", lambda address, patience_s: False)
    monkeypatch.setattr(
        "ray.init", lambda address, **settings: addresses.append(address) or SimpleNamespace(dashboard_url="")
    )
    return addresses


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """The file in which `ray start` keeps the address of a cluster, and that address, where a server answers."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    file = tmp_path / "ray" / "ray_current_cluster"
    file.parent.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as answering:
        file.write_text(f"127.0.0.1:{answering.getsockname()[1]}")
        yield file, file.read_text()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_an_address_where_no_ray_answers_is_refused_at_once(address: str) -> None:
    with pytest.raises(RaysweepError, match=address), connect(address, {}, None):
        pytest.fail("connected")


def test_a_cluster_is_joined_only_if_it_is_named(
    joined: list[str], started: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file may be somebody else's, or of a cluster for other work."""
    _, here = started
    for address, variable in ((None, None), ("auto", None), (None, "auto"), (here, None), (None, here)):
        monkeypatch.setenv("RAY_ADDRESS", variable) if variable else monkeypatch.delenv("RAY_ADDRESS", raising=False)
        with connect(address, {}, None):
            pass
    assert joined == ["local", here, here, here, here]


@pytest.mark.parametrize("kind", ["missing", "foreign", "link", "dead"])
def test_auto_is_the_cluster_that_this_user_has_started_and_no_other(
    kind: str, joined: list[str], started: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the head of a cluster, a sweep that starts a Ray of its own instead would train on the head alone."""
    file, address = started
    if kind == "foreign":
        give_away(file, monkeypatch)
    elif kind == "dead":
        file.write_text("127.0.0.1:1")  # Ray itself would try the address of a killed cluster for minutes
    else:
        file.unlink()
    if kind == "link":
        (file.parent / "other").write_text(address)
        file.symlink_to(file.parent / "other")
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with pytest.raises(RaysweepError, match="auto.*ray start --head"), connect(None, {}, None):
        pytest.fail("connected")
    assert joined == []


def test_a_port_that_is_not_rays_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE_S", 0.2)
    monkeypatch.setattr("ray.init", lambda **settings: pytest.fail("asked"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RaysweepError, match=address), connect(address, {}, None):
            pytest.fail("connected")


NEXT_STEPS = [
    (AuthenticationError("no token"), "RAY_AUTH_TOKEN"),
    (RuntimeError("Version mismatch: The cluster was started with: Ray: 2.9"), "versions"),
    (ConnectionError("lost"), "--address"),
]


@pytest.mark.parametrize(("error", "step"), NEXT_STEPS)
def test_the_next_step_fits_the_error(
    error: Exception, step: str, joined: list[str], started: tuple[Path, str]
) -> None:
    def refuse(**settings: object) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ray.init", refuse)
        with pytest.raises(RaysweepError, match=step), connect(started[1], {}, None):
            pytest.fail("connected")


def test_a_local_ray_has_a_token_and_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def init(**settings: object) -> SimpleNamespace:
        seen.update(settings, mode=os.environ["RAY_AUTH_MODE"], token=Path(os.environ["RAY_AUTH_TOKEN_PATH"]))
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (seen["token"], seen["token"].parent)]
        assert [mode & 0o77 for mode in modes] == [0, 0]
        return SimpleNamespace(dashboard_url="127.0.0.1:8265")

    monkeypatch.setattr("ray.init", init)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    with connect(None, {}, None) as (dashboard, *more):
        token = seen["token"]
        assert isinstance(token, Path)
        assert str(token) in dashboard
        assert (len(token.read_text()), more) == (64, [])
    assert (seen["mode"], seen["_temp_dir"]) == ("token", str(token.parent))
    assert not token.exists()
    assert dict(os.environ) == before
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setattr("ray.init", lambda **settings: SimpleNamespace(dashboard_url=""))
    with connect(None, {}, None) as about:
        assert "RAY_AUTH_MODE" in about[-1]


def test_a_stored_token_that_others_can_read_is_reported(
    joined: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.touch()
    for mode, count in ((0o600, 0), (0o644, 1)):
        token.chmod(mode)
        with connect(None, {}, None) as about:
            assert [str(token) in line for line in about].count(True) == count


@contextmanager
def head(status: grpc.StatusCode) -> Iterator[str]:
    """The address of a server that answers the first call of a driver in this way."""

    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_code(status)
        return b""

    method = grpc.unary_unary_rpc_method_handler(answer)
    _, service, name = FIRST_CALL.split("/")
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.mark.parametrize(
    ("status", "here", "used"),
    [
        (grpc.StatusCode.OK, "", "disabled"),
        (grpc.StatusCode.OK, "token", "disabled"),
        (grpc.StatusCode.UNAUTHENTICATED, "token", "token"),
        (grpc.StatusCode.UNAUTHENTICATED, "", None),
        (grpc.StatusCode.OK, "mode", None),
    ],
)
def test_a_token_is_used_where_the_cluster_requires_it(
    status: grpc.StatusCode, here: str, used: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ray start` requires one as soon as there is one; Ray itself does not send it to an address."""
    modes: list[str] = []

    def init(**settings: object) -> SimpleNamespace:
        modes.append(os.environ["RAY_AUTH_MODE"])
        return SimpleNamespace(dashboard_url="")

    monkeypatch.setattr("ray.init", init)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    if here == "token":
        monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    elif here == "mode":
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with head(status) as address:
        if used:
            with connect(address, {}, None):
                pass
        else:
            with pytest.raises(RaysweepError, match=f"{address}.*RAY_AUTH_MODE"), connect(address, {}, None):
                pytest.fail("connected")
    assert modes == ([used] if used else [])


def test_names_of_sockets_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("long" * 20)))
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(local_ray, "SHORT", (str(tmp_path), "/tmp"))
    (tmp_path / ("long" * 20)).mkdir()
    assert ray_folder().parent == Path("/tmp")
    folder = ray_folder()
    assert LocalRay(folder, None).environment["TMPDIR"] == str(folder)
    monkeypatch.setattr(local_ray, "SHORT", ("/proc",))
    with pytest.raises(RaysweepError, match="TMPDIR"):
        ray_folder()


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
