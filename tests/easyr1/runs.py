"""Runs in EasyR1's own trainer: its environment and checkout, a tiny model, and nothing else shortened."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import yaml

from easyr1_fgrpo.metrics_file import read_metrics

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-easyr1/bin/python"
DEADLINE_S = 900
PROMPTS, RESPONSES = 8, 5


def config_of(tiny: Path) -> dict:
    """A config as EasyR1's users have one, with the key `fgrpo`."""
    fsdp = {"enable_rank0_init": False, "torch_dtype": "fp32", "mp_param_dtype": "fp32"}
    oracle = {
        "kind": "local",
        "target": "easyr1_fgrpo.miniature.oracle:OracleJudge",
        "options": {"scenes": str(tiny / "world/scenes.jsonl")},
    }
    return {
        "data": {
            "train_files": str(tiny / "train.parquet"),
            "val_files": str(tiny / "val.parquet"),
            "prompt_key": "problem",
            "max_prompt_length": 64,
            "max_response_length": 56,
            "rollout_batch_size": PROMPTS,
            "min_pixels": None,
            "max_pixels": None,
            "filter_overlong_prompts": False,
        },
        "algorithm": {"adv_estimator": "grpo", "use_kl_loss": True, "kl_penalty": "low_var_kl", "kl_coef": 0.01},
        "worker": {
            "actor": {
                "global_batch_size": PROMPTS,
                "micro_batch_size_per_device_for_update": 20,
                "micro_batch_size_per_device_for_experience": 20,
                "padding_free": False,
                "dynamic_batching": False,
                "use_torch_compile": False,
                "model": {
                    "model_path": str(tiny / "model"),
                    "enable_gradient_checkpointing": False,
                    "freeze_vision_tower": True,
                },
                "optim": {"lr": 6.0e-4},
                "fsdp": fsdp,
            },
            "ref": {"fsdp": fsdp},
            "rollout": {
                "n": RESPONSES,
                "tensor_parallel_size": 1,
                "max_num_batched_tokens": 256,
                "val_override_config": {"n": 1, "temperature": 0.0},
            },
        },
        "trainer": {
            "max_steps": 5,
            "experiment_name": "tiny",
            "logger": ["console", "file"],
            "n_gpus_per_node": 1,
            "val_freq": -1,
            "val_before_train": False,
            "save_freq": 2,
            "save_limit": 1,
        },
        "fgrpo": {"judges": {"consistency": oracle, "grounding": oracle}, "dual": {"min_applicable": 1}},
    }


class Host:
    """Starts runs of one config, each with its own folder below `folder`."""

    def __init__(self, checkout: Path, tiny: Path, folder: Path) -> None:
        self.checkout, self.folder = checkout, folder
        self.config = folder / "theirs.yaml"
        self.config.write_text(yaml.safe_dump(config_of(tiny)))
        self._ray = TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)  # a socket's path is short

    def start(self, name: str, *more: str, notes: Path | None = None) -> subprocess.Popen[str]:
        """`fgrpo train`, its output in `NAME.log`."""
        path = [str(self.checkout), str(ROOT / "tests")]
        environment = {
            **os.environ,
            "VERL_PLATFORM": "cpu",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "RAY_TMPDIR": self._ray.name,
        }
        environment.pop("RAY_ADDRESS", None)
        if notes:
            notes.mkdir(exist_ok=True)
            path.insert(0, str(ROOT / "tests/easyr1/noting"))
            environment["NOTES"] = str(notes)
        environment["PYTHONPATH"] = os.pathsep.join(path)
        with (self.folder / f"{name}.log").open("a") as log:
            return subprocess.Popen(
                [PYTHON, "-m", "easyr1_fgrpo", "train", f"config={self.config}",
                 f"fgrpo.run_dir={self.folder / name}", *more],
                cwd=self.folder, env=environment, text=True, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def run(self, name: str, *more: str, code: int = 0, notes: Path | None = None) -> str:
        """A run to its end; gives what it printed."""
        return self.end(name, self.start(name, *more, notes=notes), code)

    def end(self, name: str, process: subprocess.Popen[str], code: int) -> str:
        """Wait for a run's end; gives what it printed."""
        try:
            found = process.wait(DEADLINE_S)
        finally:
            self.kill(process)
        output = (self.folder / f"{name}.log").read_text()
        assert found == code, f"exit code {found}\n{output[-4000:]}"
        return output

    def kill_after(self, name: str, step: int, process: subprocess.Popen[str]) -> None:
        """Kill -9 of the whole run as soon as it has logged a step."""
        self.reach(name, step, process)
        self.kill(process)

    def reach(self, name: str, step: int, process: subprocess.Popen[str]) -> None:
        """Wait until a run has logged a step."""
        path, deadline = self.folder / name / "metrics.jsonl", time.monotonic() + DEADLINE_S
        while not (path.exists() and step in read_metrics(path)):
            assert process.poll() is None, (self.folder / f"{name}.log").read_text()[-4000:]
            assert time.monotonic() < deadline, f"step {step} of {name}"
            time.sleep(0.02)

    def kill(self, process: subprocess.Popen[str]) -> None:
        """End what a run has started, if it is still there: its own processes, and no other's."""
        try:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for member in family:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(family, timeout=60)

    def metrics(self, name: str) -> dict[int, dict[str, float]]:
        return read_metrics(self.folder / name / "metrics.jsonl")
