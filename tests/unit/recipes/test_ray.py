"""Manifests and scripts that bring a recipe onto a cluster: parsed, linted, and in agreement with code and images."""

import getpass
import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml

from easyr1_fgrpo.config.load import load_config, read_settings

ROOT = Path(__file__).parents[3]
RAY = ROOT / "recipes" / "ray"
SCRIPTS = [*sorted(RAY.glob("*.sh")), ROOT / "recipes/run_warm_start_llamafactory.sh", ROOT / "recipes/export_hf.sh"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def shellcheck(path):
    command = [
        Path(sys.executable).with_name("shellcheck"),
        "--severity=style",
        "--exclude=SC1091",
        path,
    ]  # not what they source
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_clean(path):
    done = shellcheck(path)
    assert (done.returncode, done.stdout) == (0, "")


def test_shellcheck_finds_a_fault(tmp_path):
    (tmp_path / "bad.sh").write_text("#!/usr/bin/env bash\ncd $1\n")
    assert "SC2086" in shellcheck(tmp_path / "bad.sh").stdout


@pytest.mark.parametrize("path", [*SCRIPTS, *RAY.glob("*.yaml"), *RAY.glob("*.md")], ids=lambda path: path.name)
def test_scripts_and_files_that_are_named_exist(path):
    pattern = r"(?<![\w-])(?:recipes|docker)/[\w./-]+\.(?:sh|yaml|md|txt)|docker/Dockerfile\.\w+"
    named = set(re.findall(pattern, path.read_text()))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", sorted(RAY.iterdir()), ids=lambda path: path.name)
def test_nothing_that_travels_or_is_kept_holds_a_key(path):
    text = path.read_text()
    assert re.findall(r"\b(?:sk|hf|ghp)[-_][A-Za-z0-9_-]{8,}", text) == []
    # A variable for a key is named, never given a value but another variable's or an ellipsis.
    for name, value in re.findall(r"\b(\w*(?:_API_KEY|_SECRET|PASSWORD))\b\s*[=:]\s*(\S*)", text):
        assert value in ("", "...", "..."), f"{name}={value}"


# ---------------------------------------------------------------------- ray job submit


def runtime_env():
    return yaml.safe_load((RAY / "runtime_env.yaml").read_text())


def test_the_runtime_environment_is_one_that_ray_takes_and_verl_does_not_contradict():
    from ray.runtime_env import RuntimeEnv

    environment = runtime_env()
    RuntimeEnv(**{**environment, "working_dir": "https://example.org/checkout.zip"})  # a local one would be uploaded
    assert (ROOT / environment["working_dir"]).resolve() == ROOT
    assert all((ROOT / name.strip("/")).exists() for name in environment["excludes"])
    # Ray refuses a variable that both the job and ray.init name.
    inside = load_config([]).ray_kwargs.ray_init.runtime_env.env_vars
    assert not set(environment["env_vars"]) & set(inside)
    assert all(isinstance(value, str) for value in environment["env_vars"].values())


@pytest.fixture
def ray_stub(tmp_path):
    """A `ray` that writes down its arguments: the command that a real one would send."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ray").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/sent\nexit 7\n')
    (folder / "ray").chmod(0o755)
    return folder


def submit(ray_stub, *arguments, **environment):
    return subprocess.run(
        ["bash", RAY / "submit.sh", *arguments],
        env={"PATH": f"{ray_stub}:/usr/bin:/bin", **environment},
        cwd=ray_stub, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip


CLUSTER = {"RAY_API_SERVER_ADDRESS": "http://127.0.0.1:8265", "FGRPO_RUNS": "/shared/runs"}
RECIPE = "recipes/run_fgrpo_tiny_cpu.sh"


def test_overrides_reach_the_recipe_as_they_were_typed(ray_stub, tmp_path):
    from subprocess import list2cmdline  # what `ray job submit` joins the command with, for a shell at the other end

    overrides = ["arm=grpo_t", "judge_endpoint.base_urls=[http://a:1/v1,http://b/v1]", "data.x={a:'$HOME',b:*}"]
    done = submit(ray_stub, RECIPE, *overrides, **CLUSTER)
    assert done.returncode == 7  # the job's own
    sent = (tmp_path / "sent").read_text().splitlines()
    assert sent[:4] == ["job", "submit", "--runtime-env", "recipes/ray/runtime_env.yaml"]
    line = list2cmdline(sent[sent.index("--") + 1 :])
    recipe = tmp_path / RECIPE
    recipe.parent.mkdir()
    recipe.write_text('printf "%s\\n" "$@"\n')
    there = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert there.stdout.splitlines() == ["fgrpo.run_dir=/shared/runs/${trainer.experiment_name}-s${seed}", *overrides]
    assert read_settings(load_config(there.stdout.splitlines()[:2])).run_dir == "/shared/runs/grpo_t_tiny_cpu-s0"


def test_without_waiting(ray_stub, tmp_path):
    submit(ray_stub, RECIPE, NO_WAIT="1", **CLUSTER)
    assert "--no-wait" in (tmp_path / "sent").read_text().splitlines()


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], CLUSTER, "usage: bash recipes/ray/submit.sh RECIPE [OVERRIDES ...]"),
        (["recipes/absent.sh"], CLUSTER, "recipes/absent.sh: no such recipe"),
        ([RECIPE], {"FGRPO_RUNS": "/shared/runs"}, "RAY_API_SERVER_ADDRESS is not set"),
        ([RECIPE], CLUSTER | {"FGRPO_RUNS": "runs"}, "FGRPO_RUNS=runs: give an absolute path"),
        ([RECIPE, "a=[1, 2]"], CLUSTER, "a=[1, 2]: write it without spaces"),
        ([RECIPE, 'a="b"'], CLUSTER, 'a="b": write it without spaces and with single quotes'),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(ray_stub, tmp_path, arguments, environment, message):
    done = submit(ray_stub, *arguments, **environment)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "sent").exists()


# ---------------------------------------------------------------------- KubeRay


@pytest.fixture(scope="module")
def rayjob():
    return yaml.safe_load((RAY / "kuberay_rayjob.yaml").read_text())


def pods(rayjob):
    cluster = rayjob["spec"]["rayClusterSpec"]
    groups = {"head": cluster["headGroupSpec"]} | {group["groupName"]: group for group in cluster["workerGroupSpecs"]}
    return {name: (group, group["template"]["spec"]["containers"][0]) for name, group in groups.items()}


def test_the_rayjob_is_one(rayjob):
    assert (rayjob["apiVersion"], rayjob["kind"]) == ("ray.io/v1", "RayJob")
    assert rayjob["spec"]["shutdownAfterJobFinishes"] is True
    assert set(pods(rayjob)) == {"head", "train", "judges"}
    assert rayjob["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}


def test_image_user_and_ray_are_those_of_the_training_image(rayjob):
    text = (ROOT / "docker" / "Dockerfile.train").read_text()
    assert {container["image"] for _, container in pods(rayjob).values()} == {
        f"easyr1-fgrpo-train:{PROJECT['version']}"
    }
    assert f"ray[default]=={rayjob['spec']['rayClusterSpec']['rayVersion']}" in text
    for group, container in pods(rayjob).values():
        security = group["template"]["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True
        assert f"USER {security['runAsUser']}\n" in text
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        workdir = re.search(r"WORKDIR (\S+)", text)[1]
        assert {f"{workdir}/runs", f"{workdir}/data"} <= mounts
        volumes = {volume["name"] for volume in group["template"]["spec"]["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_keys_come_from_secrets(rayjob):
    for _, container in pods(rayjob).values():
        keys = [entry for entry in container["env"] if entry["name"].endswith("_KEY")]
        assert keys
        assert all("value" not in entry and "secretKeyRef" in entry["valueFrom"] for entry in keys)
    for name in yaml.safe_load(rayjob["spec"]["runtimeEnvYAML"])["env_vars"]:
        assert "KEY" not in name


def test_judges_fit_their_own_pod_and_no_other(rayjob):
    command, script, *overrides = shlex.split(rayjob["spec"]["entrypoint"])
    assert command == "bash"
    assert script.startswith("/workspace/easyr1-fgrpo/recipes/")
    settings = read_settings(load_config(["judge=qwen3_vl_30b", *overrides]))
    server = settings.reward_servers["qwen3_vl_30b"]
    lent = {name: group["rayStartParams"] for name, (group, _) in pods(rayjob).items()}
    gpus = server.num_gpus if server.num_gpus is not None else server.tensor_parallel_size
    fits = [
        name
        for name, given in lent.items()
        if float(given["num-cpus"]) >= server.num_cpus and float(given.get("num-gpus", 0)) >= gpus
    ]
    assert fits == ["judges"]
    assert not settings.judge_cache.directory.startswith("runs")  # SQLite does not work on a shared volume


def test_the_job_itself_runs_on_the_training_pod(rayjob):
    wanted = json.loads(rayjob["spec"]["entrypointResources"])
    resources = {
        name: json.loads(json.loads(group["rayStartParams"].get("resources", '"{}"')))
        for name, (group, _) in pods(rayjob).items()
    }
    assert [name for name, given in resources.items() if wanted.keys() <= given.keys()] == ["train"]


def test_pods_have_the_gpus_that_ray_lends(rayjob):
    for name, (group, container) in pods(rayjob).items():
        resources = container["resources"]
        assert resources["requests"] == resources["limits"]
        lent = group["rayStartParams"].get("num-gpus")
        assert resources["limits"].get("nvidia.com/gpu") == lent, name
    assert pods(rayjob)["train"][0]["rayStartParams"]["num-gpus"] == "8"  # FGRPO section A.2


# ---------------------------------------------------------------------- SLURM

SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
[[ $1 == hostname ]] && exec echo 127.0.0.1
exec "$@"
"""


@pytest.fixture
def slurm(tmp_path):
    """A checkout on two nodes, both of them this machine."""
    stubs = tmp_path / "bin"
    stubs.mkdir()
    (stubs / "srun").write_text(SRUN)
    (stubs / "scontrol").write_text("#!/bin/sh\nprintf 'node-0\\nnode-1\\n'\n")
    for stub in stubs.iterdir():
        stub.chmod(0o755)
    checkout = tmp_path / "checkout"
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "activate").write_text(f"export PATH={Path(sys.executable).parent}:$PATH\n")
    (checkout / "recipe.sh").write_text(
        'echo "address $RAY_ADDRESS arguments $*"\n'
        'python -c \'import ray; ray.init(address="auto", logging_level="ERROR");'
        ' print("GPUs", ray.cluster_resources()["GPU"])\' || exit 1\n'
        "exit 5\n"
    )
    environment = {
        "PATH": f"{stubs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "SLURM_SUBMIT_DIR": str(checkout),
        "SLURM_JOB_NODELIST": "node-[0-1]",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_GPUS_ON_NODE": "4",
    }

    def run(*arguments):
        return subprocess.run(
            ["bash", RAY / "slurm.sh", *arguments],
            env=environment, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip

    return run


@pytest.mark.integration
def test_slurm_starts_ray_on_every_node_runs_the_recipe_and_ends_what_it_started(slurm):
    port = 20000 + os.getpid() % 20000
    done = slurm("recipe.sh", "arm=grpo_t", "x=[1, 2]")
    assert done.returncode == 5, done.stdout + done.stderr  # the recipe's own
    cache = f"fgrpo.judge_cache.directory=/tmp/fgrpo_judge_cache-{getpass.getuser()}"
    assert f"address 127.0.0.1:{port} arguments {cache} arm=grpo_t x=[1, 2]" in done.stdout
    assert "GPUs 8.0" in done.stdout
    deadline = time.monotonic() + 240
    while left := processes_of(port):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def processes_of(port):
    """Process ids of the Ray whose head listens there."""
    found = subprocess.run(["pgrep", "-f", f"address[= ]127.0.0.1:{port}"], capture_output=True, text=True, check=False)
    return found.stdout.split()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "usage: sbatch recipes/ray/slurm.sh RECIPE"), (["absent.sh"], "absent.sh: no such recipe")],
)
def test_slurm_refuses_bad_input(slurm, arguments, message):
    done = slurm(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {message}")
