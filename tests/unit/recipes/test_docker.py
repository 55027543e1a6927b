"""The images' files: linted, and in agreement with what the rest of the project pins."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from easyr1_fgrpo.config.load import load_config, read_settings

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "docker"
FILES = sorted(DOCKER.glob("Dockerfile.*"))
HADOLINT = Path(sys.executable).with_name("hadolint")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pin(extra, name):
    (requirement,) = [line for line in PROJECT["optional-dependencies"][extra] if re.match(rf"{name}\W", line)]
    return requirement.partition("==")[2]


def instructions(name):
    """Dockerfile instructions as (word, arguments), continued lines joined."""
    lines = [line for line in (DOCKER / name).read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def values(name, word):
    return [arguments for instruction, arguments in instructions(name) if instruction == word]


def lint(path):
    return subprocess.run([HADOLINT, "--no-color", path], capture_output=True, text=True, timeout=400, check=False)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_lint(path):
    done = lint(path)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_finds_a_fault(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM verlai/verl\nRUN cd / && sudo pip install verl\n")
    assert lint(tmp_path / "Dockerfile").returncode == 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_base_image_pinned_user_without_rights_and_a_health_check(path):
    (base,) = values(path.name, "FROM")
    assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", base)
    assert not base.endswith("latest")
    assert values(path.name, "USER")[-1] == "10001"
    assert f"--uid {values(path.name, 'USER')[-1]}" in path.read_text()
    assert len(values(path.name, "HEALTHCHECK")) == 1
    assert "ADD" not in {word for word, _ in instructions(path.name)}


def test_the_training_image_installs_what_the_project_pins():
    text = (DOCKER / "Dockerfile.train").read_text()
    assert '".[gpu,data]"' in text
    assert pin("gpu", "verl.vllm,fsdp.") == pin("cpu", "verl")
    assert f'"ray[default]=={pin("cpu", "ray.default.")}"' in text
    assert pin("gpu", "TransferQueue") == pin("cpu", "TransferQueue")
    # verl's image is named after its vLLM: vllm024 is 0.24, which `verl[vllm,fsdp]` of this version pins.
    assert pin("gpu", "verl.vllm,fsdp.").startswith("0.9.")
    assert values("Dockerfile.train", "FROM") == ["verlai/verl:vllm024.dev2"]
    assert values("Dockerfile.judge", "FROM") == ["vllm/vllm-openai:v0.24.0"]


def test_our_ranges_leave_room_for_vllm_and_numba():
    """What others want more tightly than we do: vLLM 0.24's mistral-common numpy below 2.4, numba 0.61 below 2.3."""
    (numpy,) = [Requirement(line) for line in PROJECT["dependencies"] if line.startswith("numpy")]
    assert all(numpy.specifier.contains(version) for version in ("2.2.0", "2.2.6", "2.3.5")), numpy


def test_only_what_decides_results_is_pinned_for_others():
    """The extra `cpu` is one tested stack; everything else shares an environment with other people's packages."""
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for extra in extras if extra != "cpu" for line in extras[extra])]
    assert {Requirement(line).name for line in lines if "==" in line} == {"sentencex", "verl", "TransferQueue"}


def test_both_images_have_the_vllm_that_verl_pins():
    from importlib.metadata import requires

    assert 'vllm==0.24.0; extra == "vllm"' in requires("verl")


def test_the_judge_image_serves_what_the_config_serves():
    settings = read_settings(load_config(["judge=qwen3_vl_30b"]))
    server = settings.reward_servers["qwen3_vl_30b"]
    command = json.loads(values("Dockerfile.judge", "CMD")[-1])
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert command[0] == server.model
    assert options == {
        "--tensor-parallel-size": str(server.tensor_parallel_size),
        "--gpu-memory-utilization": str(server.gpu_memory_utilization),
        **{f"--{key}": str(value) for key, value in server.arguments.items()},
    }
    assert json.loads(values("Dockerfile.judge", "ENTRYPOINT")[0]) == server.command


def test_the_build_context_holds_what_is_copied_and_no_more():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()
    assert all((ROOT / name).exists() for name in kept)
    packages = {pattern.rstrip("*") for pattern in find_packages()}
    assert kept == packages | {"recipes", "pyproject.toml", PROJECT["readme"], "LICENSE"}
    copied = {name for line in values("Dockerfile.train", "COPY") for name in line.split()[1:-1]}
    assert copied <= kept | {"."}
    assert packages <= set(re.findall(r"\w+", (DOCKER / "Dockerfile.train").read_text()))


def find_packages():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]


def test_the_readme_names_files_tags_and_commands_that_exist():
    text = (DOCKER / "README.md").read_text()
    assert {f"docker/{path.name}" for path in FILES} == set(re.findall(r"docker/Dockerfile\.\w+", text))
    assert set(re.findall(r"easyr1-fgrpo-(?:train|judge):([\w.]+)", text)) == {PROJECT["version"]}
    for base in (values(path.name, "FROM")[0] for path in FILES):
        assert base in text
    for script in re.findall(r"recipes/[\w/]+\.sh", text):
        assert (ROOT / script).exists() or script.startswith("recipes/run_fgrpo_qwen25vl_")
