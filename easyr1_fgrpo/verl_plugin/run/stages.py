"""`fgrpo stages [overrides]`: what an RL run starts from: world and backbone (of the tiny model), warm start.

Takes the overrides of the run it prepares. A stage whose folder is there is finished: the folder gets its name in one
step, so it is whole, and a file beside it says from what it was made; a warm start that was stopped goes on after its
last checkpoint. While a process makes a stage, another one that wants it is refused. A run that starts from another
model than the warm start needs the data alone.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from easyr1_fgrpo.checkpoints import finished_step, quick_sha256
from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings
from easyr1_fgrpo.config.schema import ImageSettings
from easyr1_fgrpo.files import begin, check_settings, write_json
from easyr1_fgrpo.lock import RunLockedError, lock_problems, locked
from easyr1_fgrpo.stopping import stop_code
from easyr1_fgrpo.verl_plugin.preflight.budget import BUDGET_FILE
from easyr1_fgrpo.verl_plugin.preflight.first_question import first_question_problems
from easyr1_fgrpo.verl_plugin.preflight.machine import machine_problems
from easyr1_fgrpo.verl_plugin.preflight.resume import resume_problems
from easyr1_fgrpo.verl_plugin.preflight.run_problems import NO_JUDGE, run_problems
from easyr1_fgrpo.verl_plugin.preflight.warm_start import ON_CPU
from easyr1_fgrpo.verl_plugin.run.stage_process import StageError, run_stage

_QUIET = {"TRANSFORMERS_VERBOSITY": "error"}
_THREADS = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}
"""For the tiny backbone: another number gives other rounding; threads that spin in waiting crawl on a busy machine."""
_SPEED = re.compile("micro_batch|max_token_len|offload|logger|save_freq|n_gpus|nnodes")
_CPU = {"VERL_PLATFORM": "cpu", "CUDA_VISIBLE_DEVICES": ""}
"""For a warm start on the CPU, wherever its run trains."""


def main(overrides: list[str], *, alone: bool = False) -> int:
    """Run the stages that are missing.

    Args:
        overrides: the Hydra overrides of the run.
        alone: whether training need not be possible here: vLLM, and the GPUs of policy and judges.

    Returns:
        The exit code.
    """
    try:
        config = load_config(overrides)
        settings = read_settings(config)
        problems = run_problems(config, files=False, judges=not (alone and NO_JUDGE in overrides))
        problems += machine_problems(config, settings, run=not alone)
        problems += [] if alone else resume_problems(config)
        # Before the recipe replaces the run's judges by its own, and ends them when training refuses it.
        problems += [] if alone else lock_problems(Path(settings.run_dir))
    except ConfigError as error:
        problems = error.lines
    if problems:  # what training would refuse is refused before hours are spent on its stages
        for line in problems:
            print(f"error: {line}", file=sys.stderr)
        return 1
    stages = OmegaConf.to_container(config.stages, resolve=True)
    model = config.actor_rollout_ref.model.path
    try:
        prepare_data(stages)
        if problems := first_question_problems(config, settings):
            raise ValueError("; ".join(problems))  # hours of warm start come next
        if model == stages["warm_start"]:
            prepare_model(stages, settings.images)
        else:
            print(f"warm start: none needed, the run starts from {model}")
    except (FileNotFoundError, ValueError, RunLockedError, StageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        done = finished_step(_training(stages)) if model == stages["warm_start"] else None
        after = f", last checkpoint of the warm start {done}" if done else ""
        print(f"stopped{after}: the same command goes on", file=sys.stderr)
        return stop_code()
    return 0


def prepare_data(stages: Any) -> None:
    """Make the miniature's world if it is missing; without `world` among the stages, the data come from elsewhere.

    Args:
        stages: the config key `stages`: where results go, and how each is made.

    Raises:
        StageError: when the stage fails.
        RunLockedError: when another process makes it.
    """
    if "world" in stages:
        sizes = [part for split, size in stages["scenes"].items() for part in (f"--{split}", str(size))]
        options = ["--world", stages["world_name"], "--seed", str(stages["seed"])]
        if held_out := stages.get("held_out"):
            options += ["--held-out", held_out]
        _miniature_stage("world", stages["world"], "build", [*options, *sizes])


def prepare_model(stages: Any, images: ImageSettings) -> None:
    """Make the backbone, where the config says how, and the warm start, if they are missing.

    Args:
        stages: the config key `stages`.
        images: the pixel budget of the run.

    Raises:
        StageError: when a stage fails.
        FileNotFoundError: when the traces of the warm start are missing.
        ValueError: when a stopped warm start had other settings.
        RunLockedError: when another process makes one of them.
    """
    if "backbone_steps" in stages and "world" in stages:
        options = ["--world", stages["world_name"], "--seed", str(stages["seed"])]
        options += ["--steps", str(stages["backbone_steps"])]
        _miniature_stage("backbone", stages["backbone"], "backbone", options, env=_THREADS)
    elif "backbone_steps" in stages:
        print(f"backbone: a tokenizer, random weights and traces from {stages['rows']}", flush=True)
        budget = ["--min-pixels", str(images.min_pixels), "--max-pixels", str(images.max_pixels)]
        seed = ["--seed", str(stages["seed"])]
        with _making("backbone", Path(f"{stages['backbone']}.making")):
            own = _miniature("own", stages["rows"], "--out", stages["backbone"], *seed, *budget)
            run_stage("backbone", own, _QUIET)
    out, traces = stages["warm_start"], stages["sft_file"]
    if not Path(out).exists() and not Path(traces).exists():
        raise FileNotFoundError(
            f"stages.sft_file={traces}: no such file; recipes/prepare_data.sh makes the traces, or give "
            "actor_rollout_ref.model.path a checkpoint that is warm already"
        )
    made_from = _warm_start_is_made_from(stages, images)
    _stage("warm start", out, made_from, lambda: _warm_start(stages, images), _training(stages))


def _warm_start_is_made_from(stages: Any, images: ImageSettings) -> dict[str, str]:
    """What decides its weights: its files by their content where they are here, and its settings but for speed."""
    files = {"model": stages["backbone"], "traces": stages["sft_file"]}
    settings = dict(override.split("=", 1) for override in stages["warm_start_overrides"])
    return {
        **{name: quick_sha256(Path(path)) if Path(path).exists() else path for name, path in files.items()},
        **{key: str(value) for key, value in images.model_dump().items()},
        **{key: value for key, value in settings.items() if not _SPEED.search(key)},
    }


def _warm_start(stages: Any, images: ImageSettings) -> None:
    out = Path(stages["warm_start"])
    training, log = _training(stages), out.with_name(f"{out.name}.log")
    settings = [
        f"model.path={stages['backbone']}",
        f"data.train_files={stages['sft_file']}",
        f"data.image_budget.min_pixels={images.min_pixels}",
        f"data.image_budget.max_pixels={images.max_pixels}",
        f"trainer.n_gpus_per_node={stages['warm_start_gpus']}",
        *stages["warm_start_overrides"],
    ]
    # A stopped one goes on with the settings it was begun with.
    begin(training, {key: value for key, _, value in (setting.partition("=") for setting in settings)})
    print(f"warm start: log in {log}", flush=True)
    run_stage(
        "warm start",
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *(f"--nproc-per-node={stages['warm_start_gpus']}", "-m", "easyr1_fgrpo.verl_plugin.run.warm_start"),
            *(f"trainer.default_local_dir={training}", *settings),
        ],
        _QUIET | (_CPU if ON_CPU in settings else {}),
        log,
        _most_steps(settings),
    )
    exports = sorted(training.glob("**/huggingface"), key=lambda path: path.stat().st_mtime)
    if not exports:
        raise FileNotFoundError(f"no checkpoint below {training}: keep hf_model in checkpoint.save_contents")
    write_json(exports[-1] / BUDGET_FILE, images.model_dump())
    exports[-1].rename(out)


def _most_steps(settings: list[str]) -> int | None:
    """`trainer.total_training_steps`, where they are given."""
    given = dict(setting.split("=", 1) for setting in settings).get("trainer.total_training_steps", "null")
    return int(given) if given.isdecimal() else None


def _training(stages: Any) -> Path:
    """Where a warm start is while it is made."""
    out = Path(stages["warm_start"])
    return out.with_name(f"{out.name}.training")


def _miniature_stage(
    name: str, folder: str, module: str, options: list[str], env: dict[str, str] | None = None
) -> None:
    made_from = dict(zip(options[::2], options[1::2], strict=True))
    command = _miniature(module, "--out", folder, *options)
    _stage(name, folder, made_from, lambda: run_stage(name, command, _QUIET | (env or {})))


def _stage(
    name: str, folder: str, made_from: dict[str, str], make: Callable[[], None], work: Path | None = None
) -> None:
    if not _missing(name, folder, made_from):
        return
    with _making(name, work or Path(f"{folder}.making")):
        if _missing(name, folder, made_from):  # another process may have made it just now
            write_json(_note(folder), made_from)
            print(f"{name}: making {folder}", flush=True)
            make()


@contextmanager
def _making(name: str, work: Path) -> Iterator[None]:
    """Hold the folder that is there while a stage is made."""
    with locked(work, way_out=f"have another made beside it: {_key(name)}=ANOTHER"):
        yield
        shutil.rmtree(work)


def _key(name: str) -> str:
    return f"stages.{name.replace(' ', '_')}"


def _miniature(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "easyr1_fgrpo", "miniature", *arguments]


def _missing(name: str, folder: str, made_from: dict[str, str]) -> bool:
    """Whether the stage is to be made; from what is noted beside it.

    Raises:
        ValueError: when it was made from something else than is asked for; the message names what.
    """
    if not Path(folder).exists():
        return True
    if (note := _note(folder)).exists():
        before = {key: value for key, value in json.loads(note.read_text()).items() if key in made_from}
        way_out = f"remove it, or have another made beside it: {_key(name)}=ANOTHER"
        check_settings(Path(folder), before, made_from, way_out)
    print(f"{name}: finished {folder}", flush=True)
    return False


def _note(folder: str) -> Path:
    return Path(f"{folder}.made_from.json")
