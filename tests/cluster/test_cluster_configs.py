"""The cluster configurations are valid, agree with the project, and start what they promise."""

import os
import re
import subprocess
import textwrap
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cluster_schemas import RAY_CLUSTER, RAY_JOB, SKYPILOT, Schema

from innovator_rl.config import load
from innovator_rl.secret_values import SECRETS_VARIABLE, directories

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "configs/cluster"
FILES = [("rayjob.yaml", RAY_JOB), ("raycluster.yaml", RAY_CLUSTER), ("skypilot.yaml", SKYPILOT)]


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def cluster_of(document: Any) -> Any:
    return document["spec"].get("rayClusterSpec", document["spec"])


@pytest.mark.parametrize(("name", "schema"), FILES)
def test_a_file_has_the_fields_of_its_kind_and_no_others(name: str, schema: Schema) -> None:
    document = read(name)
    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "entrypiont": "x"}, schema)


@pytest.mark.parametrize("name", ["rayjob.yaml", "raycluster.yaml"])
def test_pods_mount_what_they_name_and_have_the_ray_that_is_installed(name: str) -> None:
    cluster = cluster_of(read(name))
    assert cluster["rayVersion"] == version("ray")
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes
            mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert str(directories()[-2]) in mounts


def test_both_kuberay_files_describe_the_same_cluster() -> None:
    assert cluster_of(read("rayjob.yaml")) == cluster_of(read("raycluster.yaml"))


def test_the_cluster_has_the_accelerators_of_the_run() -> None:
    resources = load(ROOT / "configs/train/innovator-53b.yaml").resources
    (workers,) = cluster_of(read("rayjob.yaml"))["workerGroupSpecs"]
    limits = workers["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert (workers["replicas"], int(limits["nvidia.com/gpu"])) == (resources.nodes, resources.accelerators_per_node)
    sky = read("skypilot.yaml")
    assert (sky["num_nodes"], sky["resources"]["accelerators"]) == (
        resources.nodes,
        f"H100:{resources.accelerators_per_node}",
    )


@pytest.mark.parametrize("name", ["rayjob.yaml", "skypilot.yaml"])
def test_configurations_exist_and_secrets_are_names(name: str) -> None:
    text = (FOLDER / name).read_text()
    named = re.findall(r"configs/train/[\w.-]+\.yaml", text)
    assert named
    assert all((ROOT / path).is_file() for path in named)
    assert re.search(rf"{SECRETS_VARIABLE}[=:] ?WANDB_API_KEY", text)
    assert not re.search(r"WANDB_API_KEY: +(?!null)\S", text)


@pytest.mark.parametrize("text", ["slurm.sh", "skypilot.yaml"])
def test_scripts_are_bash(text: str) -> None:
    script = (FOLDER / text).read_text() if text.endswith(".sh") else read(text)["run"]
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def fake(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{textwrap.dedent(body)}")
    path.chmod(0o755)


@pytest.mark.parametrize("code", [0, 2])
def test_slurm_starts_ray_on_each_node_and_ends_as_the_run_does(tmp_path: Path, code: int) -> None:
    tools, log = tmp_path / ".venv/bin", tmp_path / "log"
    tools.mkdir(parents=True)
    fake(tools, "scontrol", "printf 'n1\\nn2\\nn3\\n'")
    for name in ("srun", "ray"):
        fake(tools, name, f'echo "{name} $*" >> {log}')
    fake(tools, "innovator", f'echo "innovator $*" >> {log}; exit {code}')
    environment = {
        **os.environ,
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "SLURM_JOB_ID": "41",
        "SLURM_JOB_NODELIST": "n[1-3]",
    }
    environment |= {"SLURM_CPUS_PER_TASK": "8", "SLURM_GPUS_ON_NODE": "4"}
    script = [str(FOLDER / "slurm.sh"), "configs/train/demo.yaml", "schedule.steps=3"]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == code, done.stderr
    lines = log.read_text().splitlines()
    starts = sorted(line for line in lines if line.startswith("srun"))
    assert [re.findall(r"nodelist=(\w+)", line)[0] for line in starts] == ["n1", "n2", "n3"]
    assert "--head --port=20041" in starts[0]
    assert all("--address=n1:20041" in line and "--num-gpus=4" in line for line in starts[1:])
    placed = "resources.ray_address=n1:20041 resources.nodes=3 resources.wait_minutes=10"
    trained = next(line for line in lines if line.startswith("innovator"))  # the last starts may still write theirs
    assert trained == f"innovator train configs/train/demo.yaml schedule.steps=3 {placed}"
    load(ROOT / "configs/train/demo.yaml", trained.split()[3:])


@pytest.mark.parametrize("path", ["Dockerfile", "configs/cluster/cuda.Dockerfile"])
def test_an_image_copies_files_that_exist_and_runs_as_an_ordinary_user(path: str) -> None:
    text = re.sub(r"\\\n", " ", (ROOT / path).read_text())
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    names = [name for name, _ in steps]
    assert set(names) <= {"ARG", "FROM", "SHELL", "RUN", "USER", "WORKDIR", "COPY", "ENV", "EXPOSE", "CMD"}
    for name, rest in steps:
        if name == "COPY":
            *sources, _ = [word for word in rest.split() if not word.startswith("--")]
            assert all((ROOT / source).exists() for source in sources), rest
    assert names.index("USER") < names.index("COPY")
    assert [rest for name, rest in steps if name == "USER"] == ["10001"]
