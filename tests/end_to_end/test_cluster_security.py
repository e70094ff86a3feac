"""A head as our cluster files start it answers to nobody without the token, and a job to whoever has it."""

from __future__ import annotations

import json
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysweep.store.store import Store
from tests.end_to_end.heads import Head, start_head

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with start_head(cpus=2) as started:
        yield started


def status(head: Head, path: str, token: str | None, body: dict[str, str] | None = None) -> int:
    """How the dashboard answers."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(head.dashboard + path, data, headers | {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return refusal.code


def test_a_request_without_the_token_is_refused(head: Head, tmp_path: Path) -> None:
    harm = {"entrypoint": f"touch {tmp_path}/harm"}
    for path, body in (("/api/cluster_status", None), ("/api/jobs/", None), ("/api/jobs/", harm)):
        assert status(head, path, None, body) == 401
        assert status(head, path, "0" * 64, body) == 403
    assert status(head, "/api/cluster_status", head.token) == 200
    assert not (tmp_path / "harm").exists()
    assert json.loads(head.run("ray job list --format json").stdout or "[]") == []


def test_the_dashboard_listens_only_on_the_loopback_interface(head: Head) -> None:
    """Linux lists what listens as hexadecimal address:port; 0100007F is 127.0.0.1, state 0A is listening."""
    port = f"{head.dashboard_port:04X}"
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()]
    listening = [line[1] for line in lines if line[1].endswith(f":{port}") and line[3] == "0A"]
    assert listening == [f"0100007F:{port}"]


def test_the_token_is_in_no_process_s_arguments(head: Head) -> None:
    arguments = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)]
    assert not any(head.token.encode() in line for line in arguments)


def test_a_driver_without_the_token_cannot_join(head: Head) -> None:
    here = socket.gethostbyname(socket.gethostname())
    words = f"raysweep run activation --protocol demo --epochs 1 --address {here}:{head.port}"
    refused = head.run(f"cd {head.home} && RAY_AUTH_MODE=disabled python -m {words}")
    assert refused.returncode == 2
    for word in (f"{here}:{head.port}", "RAY_AUTH_MODE", "~/.ray/auth_token"):
        assert word in refused.stderr


def test_a_submitted_job_trains_its_study_on_the_cluster(head: Head, small_images: Path, tmp_path: Path) -> None:
    study = "activation --protocol demo --width 0.0625 --epochs 2 --variants elu,tanh"
    places = f"--data {small_images} --store {tmp_path / 'results'}"
    told = """--metadata-json '{"study": "activation"}' --submission-id sweep"""
    done = head.run(f"ray job submit --address {head.dashboard} {told} -- python -m raysweep run {study} {places}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 finished, 0 diverged, 0 failed" in done.stdout + done.stderr
    assert "sweep" in head.run(f"ray job list --address {head.dashboard}").stdout
    assert set(Store.open(str(tmp_path / "results")).trials()["status"].to_pylist()) == {"finished"}
