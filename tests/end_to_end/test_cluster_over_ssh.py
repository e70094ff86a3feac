"""cluster/cluster.yaml as it is, but for the addresses, on machines of namespaces: up, submit, a node dies, down."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from raysweep.store.store import Store
from tests.cluster.machines import Machine, missing, network
from tests.orchestrate.processes import find_descendants

CODE = Path(__file__).resolve().parents[2]
STUDY = ("activation", "--protocol", "demo", "--width", "0.0625", "--variants", "elu,tanh,prelu")
EPOCHS = 15

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `ray up` is to be run, since what it sends is named relative to it."""
    if reason := missing():
        pytest.skip(reason)
    monkeypatch.chdir(CODE)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[dict[str, Machine]]:
    addresses = {"head": "127.0.0.1", "worker": "127.0.0.2", "laptop": "127.0.0.3"}
    with network(tmp_path, addresses) as started:
        yield started


def edit(folder: Path) -> str:
    """The cluster file with what its comments ask to be edited."""
    spec = yaml.safe_load((CODE / "cluster" / "cluster.yaml").read_text())
    spec["provider"] |= {"head_ip": "127.0.0.1", "worker_ips": ["127.0.0.2"]}
    spec["auth"] |= {"ssh_user": "root", "ssh_private_key": str(folder / "key")}
    edited = folder / "cluster.yaml"
    edited.write_text(yaml.safe_dump(spec))
    return str(edited)


def on(machine: Machine, *words: str, typed: str = "") -> str:
    """What a command prints there; it must succeed."""
    done = subprocess.run(machine.command(*words), input=typed, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def processes(machine: Machine, name: str) -> list[int]:
    """Our numbers of the processes there whose command line has a name in it."""
    found = []
    for process in find_descendants(machine.process.pid):
        try:
            if name in Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace"):
                found.append(process)
        except OSError:  # it has just ended
            continue
    return found


def wait_until(happened: Callable[[], bool], what: str, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, f"after {within_s} s not yet: {what}"
        time.sleep(1)


def epochs(store: Path) -> int:
    return Store.open(str(store)).epochs().num_rows if (store / "store.json").exists() else 0


@contextmanager
def running(words: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs during the test, and not longer."""
    with (
        log.open("wb") as output,
        subprocess.Popen(words, stdout=output, stderr=output) as it,
    ):
        try:
            yield it
        finally:
            it.kill()


def told(folder: Path) -> str:
    """The end of what `ray submit` has printed."""
    return (folder / "submit.log").read_text(errors="replace")[-4000:]


def test_a_sweep_outlives_a_worker_node(machines: dict[str, Machine], tmp_path: Path) -> None:
    laptop, worker, spec = machines["laptop"], machines["worker"], edit(tmp_path)
    store = tmp_path / "shared" / "results"
    on(laptop, "ray", "get-auth-token", "--generate")
    on(laptop, "ray", "up", "--yes", "--no-config-cache", spec)
    wait_until(lambda: "2 local.cluster.node" in on(laptop, "ray", "exec", spec, "ray status"), "two nodes", 300)
    assert "RAY_AUTH_MODE is token" in on(
        laptop, "ray", "attach", spec, typed="echo RAY_AUTH_MODE is $RAY_AUTH_MODE; exit\n"
    )
    assert (worker.home / ".ray" / "auth_token").stat().st_mode & 0o077 == 0

    places = ("--data", str(tmp_path / "shared" / "data"), "--store", str(store))
    words = laptop.command("ray", "submit", spec, "raysweep/run.py", "--", *STUDY, "--epochs", str(EPOCHS), *places)
    with running(words, tmp_path / "submit.log") as submitted:
        wait_until(lambda: bool(processes(worker, "RayTrainWorker")) and epochs(store) > 4, "trials on both", 400)
        assert "running" in on(laptop, "python", "-m", "raysweep", "status", "--store", str(store))
        for raylet in processes(worker, "/raylet/raylet"):
            os.kill(raylet, signal.SIGKILL)
        wait_until(lambda: not processes(worker, "RayTrainWorker"), "the trials of the node gone", 120)
        assert submitted.wait(600) == 0, told(tmp_path)
    assert "4 finished, 0 diverged, 0 failed" in told(tmp_path)
    trials = Store.open(str(store)).trials()
    assert set(trials["status"].to_pylist()) == {"finished"}
    assert epochs(store) == EPOCHS * trials.num_rows

    on(laptop, "ray", "down", "--yes", spec)
    assert not processes(machines["head"], "/raylet/raylet")
    wait_until(lambda: not processes(worker, "/raylet/raylet"), "the worker's Ray gone with the head's", 120)


SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""


def test_the_slurm_script_on_one_node(machines: dict[str, Machine], tmp_path: Path) -> None:
    """With stand-ins for Slurm's own two commands, which run what they are given."""
    node, commands = machines["head"], tmp_path / "bin"
    commands.mkdir()
    for name, script in (("srun", SRUN), ("scontrol", "#!/bin/bash\necho 127.0.0.1\n")):
        (commands / name).write_text(script)
        (commands / name).chmod(0o755)
    for package in ("raysweep", "search_spaces", "analysis"):
        (node.home / "raysweep" / package).symlink_to(CODE / package)
    given = {"SUBMIT_DIR": f"{node.home}/raysweep", "JOB_ID": "1", "NNODES": "1", "CPUS_PER_TASK": "2"}
    slurm = [f"SLURM_{name}={value}" for name, value in given.items()]
    path = f"PATH={commands}:{os.environ['PATH']}"
    places = ("--epochs", "2", "--data", str(tmp_path / "data"), "--store", str(tmp_path / "results"))
    words = ("env", path, "SLURM_JOB_NODELIST=node1", *slurm, "bash", str(CODE / "cluster" / "slurm.sh"))
    on(node, *words, *STUDY, *places)
    assert set(Store.open(str(tmp_path / "results")).trials()["status"].to_pylist()) == {"finished"}
    assert not list(node.home.glob(".raysweep-*"))
    assert not processes(node, "/raylet/raylet")
