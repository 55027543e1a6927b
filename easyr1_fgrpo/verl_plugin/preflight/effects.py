"""Settings with which a run would finish and not be what it is called: constraints that cannot act, rows seen twice."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from omegaconf import OmegaConf

from easyr1_fgrpo.checkpoints import quick_sha256
from easyr1_fgrpo.verl_plugin.paths import data_files


def effect_problems(config: Any) -> Iterator[str]:
    """One line for each such setting: key, value and the fix.

    Args:
        config: the whole composed config, its key `fgrpo` valid, its numbers numbers.
    """
    yield from _constraint_problems(config.fgrpo, config.actor_rollout_ref.rollout.n, config.data.train_batch_size)
    yield from _rows_problems(config)


def _constraint_problems(ours: Any, n: int, prompts: int) -> Iterator[str]:
    advantage, dual = ours.advantage, ours.dual
    if not ours.constraint_keys:
        return
    if dual.min_applicable > prompts * n:
        yield (
            f"fgrpo.dual.min_applicable={dual.min_applicable}: a step has {prompts * n} rollouts ({prompts} prompts x "
            f"{n}), so no multiplier would ever move; give less"
        )
    if advantage.min_group_valid > n:
        yield (
            f"fgrpo.advantage.min_group_valid={advantage.min_group_valid}: a group has {n} rollouts "
            "(actor_rollout_ref.rollout.n), so no constraint would have an advantage; give less"
        )
    most = math.sqrt(n / (n - 1)) / 2  # half of them 0, half of them 1
    if advantage.min_std > most:
        yield (
            f"fgrpo.advantage.min_std={advantage.min_std}: signals in [0, 1] of {n} rollouts differ by {most:.2f} at "
            "most, so no group would have an advantage; give less"
        )
    if dual.controller == "fixed":
        for key in ours.constraint_keys:
            if ours.constraints[key].initial_multiplier == 0:
                yield (
                    f"fgrpo.constraints.{key}.initial_multiplier=0: with fgrpo.dual.controller=fixed it stays 0, and "
                    f"the constraint without effect; give more, or leave {key} out of fgrpo.constraint_keys"
                )


def _rows_problems(config: Any) -> Iterator[str]:
    """Questions of validation or of the last table that training sees."""
    trained = {path.resolve(): path for path in data_files(config.data.train_files)}
    contents = {quick_sha256(path): path for path in trained if path.is_file()}
    last_table = OmegaConf.select(config, "evaluation.file")
    files = {"data.val_files": data_files(config.data.val_files), "evaluation.file": data_files(last_table)}
    for key, paths in files.items():
        for path in paths:
            same = path.resolve() if path.resolve() in trained else None
            if same is None and path.is_file():
                same = contents.get(quick_sha256(path))
            if same is not None:
                yield f"{key}={path}: the run trains on these rows (data.train_files={trained[same]}); name others"
