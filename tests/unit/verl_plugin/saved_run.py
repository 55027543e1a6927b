"""A run directory with checkpoints as verl and we write them, their tensors tiny."""

import json
from pathlib import Path

import torch
from omegaconf import DictConfig

from easyr1_fgrpo.checkpoints import MARKER, STATE_FILE, step_folder
from easyr1_fgrpo.config.load import load_config

ARGUMENTS = ("actor_rollout_ref.model.path=policy", "data.train_files=train.parquet", "data.val_files=val.parquet")


def config_of(*overrides: str) -> DictConfig:
    """Of the run below the working directory, whose model and data `begin` makes."""
    return load_config([*ARGUMENTS, "fgrpo.run_dir=run", *overrides])


def begin() -> None:
    """The files that the run reads."""
    Path("policy").mkdir()
    Path("policy/config.json").write_text("{}")
    for name in ("train", "val"):
        Path(f"{name}.parquet").write_bytes(f"{name} rows".encode() * 1000)


def save(step: int, ranks: int = 1) -> Path:
    """A whole checkpoint, marked as the latest."""
    checkpoints = Path("run/checkpoints")
    folder = step_folder(checkpoints, step)
    (folder / "actor").mkdir(parents=True)
    for name in ("model", "optim", "extra_state"):
        for rank in range(ranks):
            torch.save({"a": torch.zeros(9)}, folder / "actor" / f"{name}_world_size_{ranks}_rank_{rank}.pt")
    torch.save({}, folder / "data.pt")
    (folder / STATE_FILE).write_text(json.dumps({"multipliers": {}}))
    (checkpoints / MARKER).write_text(str(step))
    return folder
