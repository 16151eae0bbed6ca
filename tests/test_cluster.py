"""What docs/cluster.md offers for clusters starts runs of several processes, with stand-ins for the clusters."""

import json
import os
import random
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from vit_jax.training.command_line import parse
from vit_jax.training.processes import VARIABLES

ROOT = Path(__file__).parents[1]
FILES = ROOT / "docs" / "cluster"
SMALL = "--model.embed_dim 16 --model.depth 1 --model.num_heads 2 --optimizer.name sgd --batch_size 32"
SMALL += " --schedule.warmup 2_steps --duration 60_steps --checkpoint_every 4_steps"
FLAGS = [flag.replace("_steps", " steps") for flag in SMALL.split()]

SRUN = """#!/bin/bash
# Starts the command as two tasks of one step; ends with the highest of their statuses, as srun does.
shift  # --kill-on-bad-exit=0
[ "$SRUN_CPUS_PER_TASK" = 8 ] || exit 64  # it takes no other
export SLURM_STEP_NODELIST=localhost SLURM_NTASKS=2
SLURM_PROCID=0 SLURM_LOCALID=0 "$@" & first=$!
SLURM_PROCID=1 SLURM_LOCALID=1 "$@" & second=$!
trap 'kill -TERM $first $second' TERM
while kill -0 $first 2>/dev/null; do wait $first; one=$?; done
while kill -0 $second 2>/dev/null; do wait $second; done
wait $second; two=$?
exit $((one > two ? one : two))
"""
SCONTROL = """#!/bin/bash
echo "$@" > "$0.said"
"""
GCLOUD = """#!/bin/bash
# Runs what follows --command on two machines, both of them this one.
while [ "$1" != --command ]; do shift; done
export JAX_NUM_PROCESSES=2 HOME="$(dirname "$0")"
JAX_PROCESS_ID=1 bash -c "$2" & second=$!
JAX_PROCESS_ID=0 bash -c "$2" && wait $second
"""


@pytest.fixture
def environment(tmp_path):
    """Variables of a process with four simulated devices, for which the stand-ins are what they stand for."""
    for name, script in (("srun", SRUN), ("scontrol", SCONTROL), ("gcloud", GCLOUD)):
        path = tmp_path / name
        path.write_text(script)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "vit_jax").symlink_to(ROOT)
    devices = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4"
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "XLA_FLAGS": devices}


def free_port() -> int:
    with socket.create_server(("localhost", 0)) as free:
        return free.getsockname()[1]


def rows(workdir: Path) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_the_slurm_script_goes_back_into_the_queue_and_comes_to_its_end(tmp_path, environment):
    workdir = tmp_path / "run"
    environment["SLURM_JOB_ID"] = job = str(random.randrange(10**6))  # the port is derived from it
    environment["SLURM_CPUS_PER_TASK"] = "8"
    command = ["bash", str(FILES / "slurm.sh"), *FLAGS, "--workdir", str(workdir)]
    first = subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True)
    end = time.monotonic() + 180
    while not list(workdir.glob("checkpoints/*/manifest.json")):
        assert time.monotonic() < end
        assert first.poll() is None
        time.sleep(0.05)
    subprocess.run(["pkill", "-TERM", "-g", str(first.pid), "-f", "train.py --parallel"], check=True)
    assert first.wait(120) == 75
    assert (tmp_path / "scontrol.said").read_text() == f"requeue {job}\n"
    assert not any(row.get("final") for row in rows(workdir))
    subprocess.run(command, env=environment, cwd=ROOT, check=True, timeout=180)
    assert rows(workdir)[-1]["final"]


@pytest.mark.slow
def test_the_tpu_script_starts_every_machine(tmp_path, environment):
    environment |= {"TPU": "pod", "ZONE": "zone", "JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}"}
    command = [str(FILES / "tpu.sh"), *FLAGS, "--workdir", str(tmp_path / "run")]
    subprocess.run(command, env=environment, check=True, timeout=180)
    assert rows(tmp_path / "run")[-1]["final"]


def test_the_jobset_starts_as_many_processes_as_it_tells_them():
    job = yaml.safe_load((FILES / "jobset.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    (group,) = job["spec"]["replicatedJobs"]
    template = group["template"]["spec"]
    (container,) = template["template"]["spec"]["containers"]
    variables = {entry["name"]: entry for entry in container["env"]}
    assert tuple(variables) == VARIABLES
    assert template["parallelism"] == template["completions"] == int(variables["JAX_NUM_PROCESSES"]["value"])
    host, port = variables["JAX_COORDINATOR_ADDRESS"]["value"].split(":")
    name = job["metadata"]["name"]
    assert host == f"{name}-{group['name']}-0-0.{name}"  # as JobSet names the first pod
    assert int(port) == container["ports"][0]["containerPort"]
    rule = template["podFailurePolicy"]["rules"][0]["onExitCodes"]
    assert (rule["containerName"], rule["values"]) == (container["name"], [1, 2])
    assert template["template"]["spec"]["restartPolicy"] == "Never"  # what podFailurePolicy needs
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in template["template"]["spec"]["volumes"]}


def test_the_command_of_the_jobset_is_one_that_train_takes(monkeypatch):
    monkeypatch.chdir(ROOT)
    group = yaml.safe_load((FILES / "jobset.yaml").read_text())["spec"]["replicatedJobs"][0]
    container = group["template"]["spec"]["template"]["spec"]["containers"][0]
    assert container["command"] == ["python", "train.py"]
    config, workdir = parse(container["args"], ROOT / "configs" / "vit_digits.py")
    assert config.parallel.distributed
    devices = group["template"]["spec"]["parallelism"] * container["resources"]["limits"]["nvidia.com/gpu"]
    assert config.batch_size % devices == 0
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert any(workdir.is_relative_to(mount) for mount in mounts)
