"""What a run on EasyR1 is refused for, one line each: key, value and the fix. Nothing of EasyR1 is imported."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.version import Version

from easyr1_fgrpo.config.judges import ServerJudgeConfig
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.easyr1_plugin.keys import key_problems
from easyr1_fgrpo.easyr1_plugin.sizes import size_problems
from easyr1_fgrpo.host import EASYR1_COMMIT, HOW_TO_GET_EASYR1, find_host
from easyr1_fgrpo.preflight.effects import effect_problems, seen_twice_problems
from easyr1_fgrpo.preflight.judges import judge_problems, signal_problems

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


def run_problems(config: Any, settings: FgrpoConfig, *, files: bool = True) -> list[str]:
    """Everything wrong with a config.

    Args:
        config: the whole one, as `config.read_arguments` gives it.
        settings: its key `fgrpo`.
        files: whether model and data must be here.
    """
    problems = [*key_problems(config, files=files), *_unread_problems(config, settings), *_server_problems(settings)]
    if not problems:  # what follows counts with numbers and opens files
        problems += size_problems(config)
        problems += effect_problems(
            config.arm,
            settings,
            prompts=config.data.rollout_batch_size,
            n=config.worker.rollout.n,
            n_key="worker.rollout.n",
        )
        problems += seen_twice_problems(
            [Path(config.data.train_files)], {"data.val_files": [Path(config.data.val_files)]}
        )
    return [*problems, *signal_problems(settings), *judge_problems(settings)]


def _unread_problems(config: Any, settings: FgrpoConfig) -> Iterator[str]:
    """Keys of ours that stand for something this host has not."""
    if settings.max_probs_difference is not None:
        yield (
            f"fgrpo.max_probs_difference={settings.max_probs_difference}: EasyR1 asks its engine for no probabilities, "
            "so nothing can be compared; leave it null"
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
