"""The checkpoint that a run on EasyR1 would go on from, and whether it still is that run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from easyr1_fgrpo.checkpoints import MARKER, CheckpointError, step_of
from easyr1_fgrpo.files import write_json, write_whole
from easyr1_fgrpo.preflight.resume import keys_of_a_run
from easyr1_fgrpo.preflight.resume import resume_problems as problems_of
from easyr1_fgrpo.preflight.saved import EXTRA, MODEL, OPTIMIZER, HostFiles, SavedRun

TRACKER = "checkpoint_tracker.json"
"""EasyR1's word on which checkpoint is the last; it writes it in place, so a kill can cut it off."""

LAST_STEP = "last_global_step"

KEYS = keys_of_a_run(
    r"""
    data\.(train_files|val_files|(prompt|answer|image|video)_key|image_dir|(mini_)?rollout_batch_size|format_prompt
            |max_(prompt|response)_length|override_chat_template|shuffle|seed|(min|max)_pixels|filter_overlong_prompts)
    | algorithm\.(disable_kl|use_kl_loss|kl_penalty|kl_coef)
    | worker\.actor\.model\.(model_path|tokenizer_path|override_config.*|freeze_vision_tower|lora\..+)
    | worker\.actor\.(global_batch_size|ppo_epochs|clip_\w+|loss_\w+|tau_\w+|max_grad_norm)
    | worker\.actor\.optim\.(lr\w*|betas|weight_decay|strategy|min_lr_ratio)
    | worker\.rollout\.(n|temperature|top_p|top_k|seed|ignore_eos|val_override_config.*)
    """
)


def resume_problems(config: Any) -> list[str]:
    """Why the run cannot go on from where its directory ends, one line each; nothing where it starts anew.

    Args:
        config: the whole one as it is written, `config.as_written`.
    """
    try:
        step = saved_step(config)
    except CheckpointError as error:
        return [str(error)]
    return problems_of(config, step, KEYS)


def saved_step(config: Any) -> int | None:
    """The step that the run would go on after; None where it starts anew.

    Raises:
        CheckpointError: when what it would go on from cannot be read, or is not all there.
    """
    saved, trainer = saved_run(config), config.trainer
    loaded, others = trainer.load_checkpoint_path, any(saved.checkpoints.glob("global_step_*"))
    if loaded and (saved.back or others):
        raise CheckpointError(
            f"trainer.load_checkpoint_path={loaded}: EasyR1 would begin there at each start, and {saved.checkpoints} "
            "holds checkpoints of this run; leave it out to go on from the last one, or say "
            "fgrpo.resume.from=global_step_N to go back to an earlier one once"
        )
    if loaded:
        if problems := list(saved.problems(Path(loaded))):
            raise CheckpointError(
                f"trainer.load_checkpoint_path={loaded}: {'; '.join(problems)}; give RUN/checkpoints/global_step_N"
            )
        return step_of(Path(loaded))
    if not trainer.find_last_checkpoint and (saved.back or others):
        raise CheckpointError(
            f"trainer.find_last_checkpoint=false: {saved.checkpoints} holds a run's checkpoints, and a new run would "
            "be mixed with it; give another trainer.experiment_name, or move that one away"
        )
    return saved.step()


def saved_run(config: Any) -> SavedRun:
    """Where the run's checkpoints are, and what EasyR1 saves in each."""
    trainer = config.trainer
    return SavedRun(
        run_dir=Path(config.fgrpo.run_dir),
        checkpoints=Path(trainer.save_checkpoint_path),
        back=config.fgrpo.resume["from"],
        shards=(MODEL, OPTIMIZER, EXTRA),  # EasyR1 loads all three, also where it was told to save the model only
        ranks=trainer.nnodes * trainer.n_gpus_per_node,
        machines=trainer.nnodes,
        host=_EASYR1,
    )


def _marked(checkpoints: Path) -> int | None:
    tracker = checkpoints / TRACKER
    if not tracker.exists():
        return None
    try:
        step = json.loads(tracker.read_bytes())[LAST_STEP]
    except (ValueError, KeyError, TypeError):
        step = None
    if type(step) is not int:
        raise CheckpointError(f"{tracker} names no step: it was cut off or overwritten")
    return step


def _mark(checkpoints: Path, step: int) -> None:
    write_json(checkpoints / TRACKER, {LAST_STEP: step})
    write_whole(checkpoints / MARKER, str(step))


_EASYR1 = HostFiles(place="dataloader.pt", marker=TRACKER, marked=_marked, mark=_mark)
