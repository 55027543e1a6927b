"""Whether the warm start that a run begins with is still to be made, or was stopped halfway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from easyr1_fgrpo.checkpoints import checkpoint_problems
from easyr1_fgrpo.verl_plugin.preflight.budget import BUDGET_FILE

ON_CPU = "trainer.device=cpu"
"""Among `stages.warm_start_overrides`: a warm start without GPUs, the miniature's."""

_LOG, _RESULTS = "trainer_log.jsonl", "train_results.json"
"""What LLaMA-Factory writes at every logging step, and after the last one, when the weights are saved."""


def to_make(config: Any) -> bool:
    """Whether the run begins with a warm start of `fgrpo stages` whose folder is not there."""
    model = config.actor_rollout_ref.model.path
    return bool(model == config.get("stages", {}).get("warm_start") and not Path(model).expanduser().exists())


def unfinished_problems(config: Any) -> Iterator[str]:
    """A folder in the warm start's place that is none: without our marker, which is written last, and not whole."""
    model = str(config.actor_rollout_ref.model.path)
    folder = Path(model).expanduser()
    if model != config.get("stages", {}).get("warm_start") or not folder.exists() or (folder / BUDGET_FILE).exists():
        return
    if (folder / _LOG).exists() and not (folder / _RESULTS).exists():
        yield (
            f"stages.warm_start={model}: LLaMA-Factory was stopped there before its end ({_RESULTS} is missing): its "
            "command again goes on (recipes/run_warm_start_llamafactory.sh), or move the folder away"
        )
    elif problems := checkpoint_problems(folder):
        yield (
            f"stages.warm_start={model}: no finished warm start ({problems[0].removeprefix(f'{folder}: ')}): move the "
            "folder away, and `fgrpo stages` makes one"
        )
