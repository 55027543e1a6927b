"""`python -m easyr1_fgrpo.train [overrides]`: constrained RL with verl, from checked config to last checkpoint.

Everything that can be known to be wrong is refused before anything is started: one line per problem, exit code 1.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf
from pydantic import ValidationError

from easyr1_fgrpo.config.schema import FgrpoConfig, problems_of


def main() -> None:
    """Compose the config, check it, train."""
    _run()


@hydra.main(version_base=None, config_path="pkg://easyr1_fgrpo.config", config_name="fgrpo")
def _run(config: DictConfig) -> None:
    if config.trainer.device == "cpu":
        # Before verl is imported: it resolves its platform once.
        os.environ["VERL_PLATFORM"] = "cpu"
        config.ray_kwargs.ray_init.runtime_env.env_vars.VERL_PLATFORM = "cpu"
    refuse(problems(config))
    run_dir = Path(config.fgrpo.run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, run_dir / "config.yaml", resolve=True)
    os.environ.setdefault("TENSORBOARD_DIR", str(run_dir / "tensorboard"))
    from easyr1_fgrpo.verl_plugin.launch import train

    sys.exit(train(config))


def problems(config: DictConfig) -> list[str]:
    """Everything that is wrong with a composed config on this machine, one line each."""
    try:
        FgrpoConfig.model_validate(OmegaConf.to_container(config.fgrpo, resolve=True))
    except ValidationError as error:
        return problems_of(error)
    from easyr1_fgrpo.verl_plugin.checks import training_problems

    return training_problems(config)


def refuse(found: list[str]) -> None:
    """Print every problem and exit with 1 when there is one."""
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    if found:
        sys.exit(1)


if __name__ == "__main__":
    main()
