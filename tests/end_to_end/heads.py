"""A head node started by the commands of cluster/cluster.yaml, with ports, home and Ray's folder of its own."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

CODE = Path(__file__).resolve().parents[2]
OURS = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ADDRESS", "RAY_TMPDIR")


@dataclass(frozen=True)
class Head:
    """A head node that runs."""

    home: Path
    port: int
    dashboard_port: int
    client_port: int
    agent_port: int

    @property
    def dashboard(self) -> str:
        """Address of the dashboard, which takes jobs too."""
        return f"http://127.0.0.1:{self.dashboard_port}"

    @property
    def token(self) -> str:
        """What lets a request pass."""
        return (self.home / ".ray" / "auth_token").read_text()

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a shell of the node does, with what env.sh sets."""
        shell = f". {CODE}/cluster/env.sh; export PATH={Path(sys.executable).parent}:$PATH; {command}"
        environment = {name: value for name, value in os.environ.items() if name not in OURS}
        environment |= {"HOME": str(self.home), "PYTHONPATH": str(CODE), "RAY_TMPDIR": str(self.home / "t")}
        return subprocess.run(["bash", "-c", shell], env=environment, capture_output=True, text=True, timeout=300)


@contextmanager
def start_head(cpus: int) -> Iterator[Head]:
    """A head node with so many CPUs; all that it started is killed at the end.

    In a short folder: paths of sockets may have no more than 107 characters.
    """
    with tempfile.TemporaryDirectory(prefix="rs", ignore_cleanup_errors=True) as folder:
        head = Head(Path(folder), *_free_ports(4))
        try:
            (Path(folder) / "t").mkdir()
            (head.home / ".ray").mkdir()
            (head.home / ".ray" / "auth_token").write_text(secrets.token_hex(32))
            done = head.run(start_command(head, cpus))
            assert done.returncode == 0, done.stderr
            yield head
        finally:
            kill_all_of(head.home)


def start_command(head: Head, cpus: int) -> str:
    """The command of cluster.yaml, with free ports and without the autoscaler, which would look for workers."""
    command = yaml.safe_load((CODE / "cluster" / "cluster.yaml").read_text())["head_start_ray_commands"][-1]
    words = [word for word in command.split() if not word.startswith(("--port", "--autoscaling-config"))]
    words += [f"--port={head.port}", f"--dashboard-port={head.dashboard_port}", f"--num-cpus={cpus}"]
    words += [f"--ray-client-server-port={head.client_port}", f"--dashboard-agent-listen-port={head.agent_port}"]
    return " ".join(words)


def kill_all_of(home: Path) -> None:
    """Kill every process that has this home: Ray's are no children of ours."""
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"HOME={home}\0".encode() in environment.read_bytes():
                os.kill(int(environment.parent.name), signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    """Ports above those that Ray gives to its workers."""
    free = []
    for port in range(23000 + os.getpid() % 5000, 32000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            free.append(port)
        if len(free) == count:
            break
    return free
