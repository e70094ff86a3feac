"""Machines that reach each other over SSH, made of Linux namespaces: what one does to its processes stays in it.

They share the loopback interface of a network of their own, so that neither ports nor `ray stop` touch anything else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.orchestrate.processes import find_descendants

SSHD = Path("/usr/sbin/sshd")
TOOLS = ("unshare", "nsenter", "mount", "ip", "ssh", "ssh-keygen", "rsync")
HERE = Path(__file__).parent


def missing() -> str:
    """Why there can be no machines here, or nothing."""
    lacking = [tool for tool in TOOLS if not shutil.which(tool)]
    if not SSHD.exists():
        lacking.append(str(SSHD))
    if lacking:
        return f"needs {', '.join(lacking)} (Debian: openssh-server, rsync, iproute2, util-linux)"
    tried = ["unshare", "--net", "--pid", "--mount", "--fork", "--mount-proc", "ip", "link", "set", "lo", "up"]
    return "" if subprocess.run(tried, capture_output=True).returncode == 0 else "needs root, for namespaces"


@dataclass(frozen=True)
class Machine:
    """One machine that runs."""

    folder: Path
    address: str
    process: subprocess.Popen[bytes]

    @property
    def home(self) -> Path:
        """Its user's home, a folder that we see too."""
        return self.folder / "home"

    @property
    def init(self) -> int:
        """The first process in it, as we number it."""
        return min(find_descendants(self.process.pid))

    def command(self, *words: str) -> list[str]:
        """What runs a command in it."""
        inside = ["nsenter", "--target", str(self.init), "--net", "--mount", "--pid"]
        environment = [f"HOME={self.home}", f"PATH={self.home}/raysweep/.venv/bin:{os.environ['PATH']}"]
        return [*inside, "env", "-C", str(Path.cwd()), "-u", "RAY_AUTH_MODE", *environment, *words]

    def crash(self) -> None:
        """Its processes die at once, its files stay."""
        self.process.kill()
        self.process.wait()


@contextmanager
def network(folder: Path, addresses: dict[str, str]) -> Iterator[dict[str, Machine]]:
    """Machines by name, each with an address of the loopback range; all end with the network."""
    words = ["unshare", "--net", "--fork", "--kill-child", "sh", "-c", "ip link set lo up && exec sleep infinity"]
    wire = subprocess.Popen(words)
    machines: dict[str, Machine] = {}
    try:
        _wait_for(lambda: bool(find_descendants(wire.pid)))
        key = _make_key(folder)
        for name, address in addresses.items():
            machines[name] = _start(folder / name, address, min(find_descendants(wire.pid)), key)
        yield machines
    finally:
        for machine in machines.values():
            machine.crash()
        wire.kill()
        wire.wait()


def _start(folder: Path, address: str, wire: int, key: Path) -> Machine:
    _furnish(folder, key)
    inside = ["nsenter", "--target", str(wire), "--net"]
    own = ["unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]
    process = subprocess.Popen([*inside, *own, "sh", str(HERE / "machine.sh"), str(folder), address])
    _wait_for(lambda: "listening" in (folder / "sshd.log").read_text(), folder / "sshd.log")
    return Machine(folder, address, process)


def _furnish(folder: Path, key: Path) -> None:
    """A home with the key and an environment of packages, and the files of the SSH server."""
    home = folder / "home"
    for made in (home / ".ssh", folder / "ray"):
        made.mkdir(parents=True)
    (folder / "sshd.log").touch()
    (home / ".ssh" / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
    settings = (f"HostKey {key}", "UsePAM no", "StrictModes no", "PasswordAuthentication no", "MaxStartups 100")
    (folder / "sshd_config").write_text("\n".join((*settings, "PermitRootLogin prohibit-password", "MaxSessions 100")))
    users = Path("/etc/passwd").read_text().splitlines()
    others = [user for user in users if not user.startswith("root:")]
    (folder / "passwd").write_text("\n".join([f"root:x:0:0:root:{home}:/bin/bash", *others, ""]))
    install_packages(home / "raysweep")


def install_packages(code: Path) -> None:
    """Stands in for the installation, which needs a registry: this Python's packages, with the code that is sent."""
    environment = code / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    site = next(environment.glob("lib/python*/site-packages"))
    (site / "packages.pth").write_text(f"{code}\n{sysconfig.get_path('purelib')}\n")
    for name, module in (("ray", "ray.scripts.scripts"), ("raysweep", "raysweep.__main__")):
        script = environment / "bin" / name
        script.write_text(f"#!{environment}/bin/python\nfrom {module} import main\nmain()\n")
        script.chmod(0o755)
    (environment / ".ready").touch()


def _make_key(folder: Path) -> Path:
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return key


def _wait_for(happened: Callable[[], bool], log: Path | None = None) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(log.read_text() if log else "the network did not start")
        time.sleep(0.05)
