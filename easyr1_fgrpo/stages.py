"""`python -m easyr1_fgrpo.stages [overrides]`: the miniature's way to an RL run: world, backbone, warm start.

Takes the overrides of the run it prepares. A finished stage is kept: its folder appears under its final name in one
step, so a folder that is there is whole.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings

_QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}


def main(overrides: list[str]) -> int:
    """Run the stages that are missing.

    Args:
        overrides: the Hydra overrides of the run.

    Returns:
        The exit code.
    """
    try:
        config = load_config(overrides)
        read_settings(config)  # what training would refuse is refused before minutes are spent on its stages
    except ConfigError as error:
        for line in error.lines:
            print(f"error: {line}", file=sys.stderr)
        return 1
    if "stages" not in config:
        print("error: this config has no stages: they belong to backbone=tiny dataset=miniature", file=sys.stderr)
        return 1
    try:
        prepare(OmegaConf.to_container(config.stages, resolve=True))
    except subprocess.CalledProcessError as error:
        print(f"error: exit code {error.returncode} from {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    return 0


def prepare(stages: Any) -> None:
    """Run every stage whose result is missing.

    Args:
        stages: the config key `stages`: the three folders, and how each is made.

    Raises:
        subprocess.CalledProcessError: when a stage fails.
    """
    world, backbone, warm_start = (Path(stages[name]) for name in ("world", "backbone", "warm_start"))
    sizes = [part for split, size in stages["scenes"].items() for part in (f"--{split}", str(size))]
    seed = ["--seed", str(stages["seed"])]
    _stage("world", world, [sys.executable, "-m", "easyr1_fgrpo.miniature.build", "--out", world, *seed, *sizes])
    _stage(
        "backbone", backbone,
        [sys.executable, "-m", "easyr1_fgrpo.miniature.backbone", "--out", backbone, *seed,
         "--steps", str(stages["backbone_steps"])],
    )  # fmt: skip
    if _missing("warm start", warm_start):
        _warm_start(world, backbone, warm_start, stages["warm_start_overrides"])


def _warm_start(world: Path, backbone: Path, out: Path, overrides: list[str]) -> None:
    training = out.with_name(f"{out.name}.training")
    _call(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"),
            *("-m", "verl.trainer.sft_trainer"),
            *("--config-path=pkg://easyr1_fgrpo.config", "--config-name=warm_start"),
            f"model.path={backbone}",
            f"data.train_files={world / 'sft_train.parquet'}",
            f"trainer.default_local_dir={training}",
            *overrides,
        ]
    )
    exports = sorted(training.glob("**/huggingface"), key=lambda path: path.stat().st_mtime)
    if not exports:
        raise FileNotFoundError(f"no checkpoint below {training}: keep hf_model in checkpoint.save_contents")
    os.replace(exports[-1], out)
    shutil.rmtree(training)


def _stage(name: str, folder: Path, command: list[Any]) -> None:
    if _missing(name, folder):
        _call(command)


def _missing(name: str, folder: Path) -> bool:
    missing = not folder.exists()
    print(f"{name}: {'making' if missing else 'kept'} {folder}", flush=True)
    return missing


def _call(command: list[Any]) -> None:
    subprocess.run([str(part) for part in command], check=True, env={**os.environ, **_QUIET})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
