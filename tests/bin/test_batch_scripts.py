"""Batch scripts: their syntax, and that the commands they build are ones that dem_jax takes."""

import os
import pathlib
import re
import shlex
import subprocess

import pytest

from dem_jax.runtime.command.flags import define_flags
from dem_jax.runtime.scale import hosts

BIN = pathlib.Path(__file__).parents[2] / "bin"
SLURM = {
    "SLURM_ARRAY_TASK_COUNT": "8",
    "SLURM_ARRAY_TASK_MIN": "1",
    "SLURM_ARRAY_TASK_ID": "4",
    "SLURM_ARRAY_JOB_ID": "77",
    "SLURM_JOB_ID": "78",
}
PLACES = {"INPUT": "/data/my photos", "OUTPUT": "/data/out", "FLAGFILE": "smoke"}


def flags_of(command):
    """The flags of `... -m dem_jax.main FLAGS`, parsed by the command line itself."""
    assert command[1:3] == ["-m", "dem_jax.main"]
    return parsed(command[3:])


def parsed(arguments):
    values = define_flags()
    arguments = [text for text in arguments if not text.startswith("--flagfile")]
    assert values(["dem_jax", *arguments]) == ["dem_jax"]
    hosts.parse(values["distributed"].value, values["process"].value)
    return values


def run(tmp_path, script, *, status=0, **environment):
    """Runs a script with stand-ins for the cluster's commands; what they were asked to do."""
    asked = tmp_path / "asked"
    for name in ("srun", "scontrol", "gcloud"):
        stand_in = tmp_path / name
        code = status if name == "srun" else 0
        stand_in.write_text(
            f'#!/bin/sh\necho {name} >>"{asked}"\nprintf "%s\\n" "$@" >>"{asked}"\nexit {code}\n'
        )
        stand_in.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", str(BIN / script)],
        env=os.environ | {"PATH": path} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran, asked.read_text().splitlines() if asked.exists() else []


@pytest.mark.parametrize("path", [*sorted(BIN.glob("*.sh")), BIN / "demo", BIN / "test"])
def test_syntax(path):
    subprocess.run(["bash", "-n", str(path)], check=True)
    assert os.access(path, os.X_OK) or path.name == "environment.sh"


def test_slurm_array_gives_every_task_its_share(tmp_path):
    ran, asked = run(tmp_path, "slurm_array.sh", MORE="--seed=3 --buckets", **SLURM, **PLACES)
    assert ran.returncode == 0, ran.stderr
    assert asked[0] == "srun"
    values = flags_of(asked[1:])
    assert values["process"].value == "3/8"
    assert values["input"].value == ["/data/my photos"]
    assert values["seed"].value == 3


@pytest.mark.parametrize(("script", "job"), [("slurm_array.sh", "77_4"), ("slurm_nodes.sh", "78")])
def test_a_preempted_job_is_queued_again(tmp_path, script, job):
    ran, asked = run(tmp_path, script, status=75, **SLURM, **PLACES)
    assert ran.returncode == 75
    assert asked[-3:] == ["scontrol", "requeue", job]
    ran, asked = run(tmp_path, script, status=1, **SLURM, **PLACES)
    assert ran.returncode == 1
    assert asked[-1] != job


def test_slurm_nodes_join_each_other(tmp_path):
    ran, asked = run(tmp_path, "slurm_nodes.sh", **SLURM, **PLACES)
    assert ran.returncode == 0, ran.stderr
    assert asked[:2] == ["srun", "--kill-on-bad-exit=0"]
    assert flags_of(asked[2:])["distributed"].value == "auto"


def test_tpu_workers_get_one_command(tmp_path):
    ran, asked = run(tmp_path, "tpu_vm.sh", TPU="slice", ZONE="zone-a", **PLACES)
    assert ran.returncode == 0, ran.stderr
    assert "--worker=all" in asked
    command = next(text for text in asked if text.startswith("--command="))
    values = flags_of(shlex.split(command.removeprefix("--command=")))
    assert values["distributed"].value == "auto"
    assert values["input"].value == ["/data/my photos"]


@pytest.mark.parametrize("script", ["slurm_array.sh", "slurm_nodes.sh", "tpu_vm.sh"])
def test_what_is_missing_is_said(tmp_path, script):
    ran, asked = run(tmp_path, script, TPU="slice", ZONE="zone-a", **SLURM)
    assert ran.returncode != 0
    assert "set INPUT to the folder of photos" in ran.stderr
    assert not asked


def test_jobset_counts_agree_and_its_flags_are_taken():
    yaml = pytest.importorskip("yaml")
    jobset = yaml.safe_load((BIN / "jobset.yaml").read_text())
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    job = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    arguments = [re.sub(r"\$\(JOB_COMPLETION_INDEX\)", "2", text) for text in container["args"]]
    values = parsed(arguments)
    assert job["completionMode"] == "Indexed"
    count = int(values["process"].value.partition("/")[2])
    assert job["parallelism"] == job["completions"] == count
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    mounted = container["volumeMounts"][0]
    assert values["output_dir"].value.startswith(mounted["mountPath"])
    assert mounted["name"] == job["template"]["spec"]["volumes"][0]["name"]


def test_dockerfile_installs_extras_that_exist():
    import tomllib

    text = (BIN / "Dockerfile").read_text()
    extras = tomllib.loads((BIN.parent / "pyproject.toml").read_text())["project"]
    for extra in re.findall(r"--build-arg EXTRA=(\w+)", text):
        assert extra in extras["optional-dependencies"]
    assert re.search(r'ENTRYPOINT \["python", "-m", "dem_jax.main"\]', text)
