"""What a run on EasyR1 is refused for, one line each: key, value and the fix. Nothing of EasyR1 is imported."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from typing import Any

from packaging.version import Version

from easyr1_fgrpo.config.judges import ServerJudgeConfig
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.host import EASYR1_COMMIT, ESTIMATOR, HOW_TO_GET_EASYR1, find_host
from easyr1_fgrpo.training.judge_checks import judge_problems, signal_problems

FIRST_VLLM_WITHOUT = Version("0.13")
"""EasyR1 imports `vllm.lora.models`, which is gone from here on."""


def host_problems() -> list[str]:
    """Why the trainer of this environment is not the EasyR1 that the plug-in is for."""
    host = find_host()
    if host is None:
        return [f"EasyR1 is not installed here: {HOW_TO_GET_EASYR1}"]
    if host.kind != "easyr1":
        whose = "upstream's verl, whose runs take no config=FILE" if host.kind == "verl" else "neither verl nor EasyR1"
        return [
            f"`import verl` finds {host.folder}, which is {whose}: EasyR1 has the same name and wants an environment "
            f"of its own. There: {HOW_TO_GET_EASYR1}"
        ]
    return []


def host_warnings() -> list[str]:
    """In what the EasyR1 of this environment is not the one that the plug-in was built against."""
    host = find_host()
    changed = host.changed_files() if host and host.kind == "easyr1" else []
    return [f"{host.folder} is not EasyR1 at {EASYR1_COMMIT}: {', '.join(changed)} differ"] if host and changed else []


def vllm_problems(*, needed: bool) -> list[str]:
    """Why EasyR1 could not roll out with the vLLM of this environment."""
    try:
        found = importlib.metadata.version("vllm")
    except importlib.metadata.PackageNotFoundError:
        return ["vllm is not installed: pip install vllm==0.11.0, as in EasyR1's Dockerfile"] if needed else []
    if Version(found) < FIRST_VLLM_WITHOUT:
        return []
    return [f"vllm {found}: EasyR1 imports vllm.lora.models, which 0.13 removed: pip install vllm==0.11.0"]


def run_problems(config: Any, settings: FgrpoConfig) -> list[str]:
    """Everything wrong with a config.

    Args:
        config: the whole one, as `config.read_arguments` gives it.
        settings: its key `fgrpo`.
    """
    return [
        *_algorithm_problems(config),
        *_reward_problems(config),
        *_validation_problems(config),
        *_unread_problems(config, settings),
        *_server_problems(settings),
        *signal_problems(settings),
        *judge_problems(settings),
    ]


def _algorithm_problems(config: Any) -> Iterator[str]:
    algorithm = config.algorithm
    if algorithm.adv_estimator not in ("grpo", ESTIMATOR):
        yield (
            f"algorithm.adv_estimator={algorithm.adv_estimator}: FGRPO's own advantage ({ESTIMATOR}) takes its place; "
            "leave the key out, or say grpo"
        )
    if algorithm.online_filtering:
        yield (
            "algorithm.online_filtering=true: EasyR1 would score parts of a batch, drop and reorder rows, and rows "
            "would lose their signals; groups whose reward does not vary still carry the constraints'. Set it to false"
        )
    if not algorithm.disable_kl and not algorithm.use_kl_loss:
        yield (
            "algorithm.use_kl_loss=false: EasyR1 takes the KL off the reward, which FGRPO's advantage does not read; "
            "set algorithm.use_kl_loss=true (in the paper with algorithm.kl_penalty=low_var_kl and "
            "algorithm.kl_coef=0.01), or algorithm.disable_kl=true"
        )


def _reward_problems(config: Any) -> Iterator[str]:
    if given := config.worker.reward.reward_function:
        yield (
            f"worker.reward.reward_function={given}: rewards come from fgrpo.* here, and this function would not be "
            "called; set it to null. A constraint on a function of your own: "
            "fgrpo.constraints.NAME={signal:FILE.py:FUNCTION,threshold:0.9}"
        )


def _validation_problems(config: Any) -> Iterator[str]:
    sampling = config.worker.rollout.val_override_config
    if "n" not in sampling and config.worker.rollout.n != 1:
        yield (
            f"worker.rollout.val_override_config={dict(sampling)}: without n EasyR1 generates worker.rollout.n="
            f"{config.worker.rollout.n} responses a question and expects one; "
            "say 'worker.rollout.val_override_config={n:1,temperature:1.0}'"
        )
    if config.data.train_files == config.data.val_files:
        yield f"data.val_files={config.data.val_files}: validation on the rows of training; name others"


def _unread_problems(config: Any, settings: FgrpoConfig) -> Iterator[str]:
    """Keys of ours that stand for something this host has not."""
    defaults = {name: field.default for name, field in FgrpoConfig.model_fields.items()}
    if settings.max_probs_difference is not None:
        yield (
            f"fgrpo.max_probs_difference={settings.max_probs_difference}: EasyR1 asks its engine for no probabilities, "
            "so nothing can be compared; leave it null"
        )
    if settings.max_silence_s != defaults["max_silence_s"]:
        yield f"fgrpo.max_silence_s={settings.max_silence_s}: nobody watches a run on EasyR1; leave it out"
    if settings.resume.accept:
        yield f"fgrpo.resume.accept={settings.resume.accept}: a resume on EasyR1 is not compared; leave it out"
    if settings.resume.from_:
        yield (
            f"fgrpo.resume.from={settings.resume.from_}: EasyR1 has a key for it; say "
            "trainer.load_checkpoint_path=RUN/checkpoints/global_step_N"
        )
    for key in ("min_pixels", "max_pixels"):
        ours, theirs = getattr(settings.images, key), config.data[key]
        if theirs is not None and ours != theirs:
            yield f"fgrpo.images.{key}={ours}: EasyR1 has data.{key}={theirs}; set that, and leave ours out"


def _server_problems(settings: FgrpoConfig) -> Iterator[str]:
    serving = sorted(
        {judge.server for judge in settings.judges.values() if isinstance(judge, ServerJudgeConfig)}
        | {server for judge in settings.judges.values() if (server := getattr(judge, "server", ""))}
    )
    if serving:
        yield (
            f"fgrpo.reward_servers.{serving[0]}: the plug-in for EasyR1 starts no judge servers; serve the model "
            "(docker/Dockerfile.judge, or vllm serve) and say judge=openai_compatible judge_endpoint.model=NAME "
            "judge_endpoint.base_urls=[http://HOST:PORT/v1]"
        )
