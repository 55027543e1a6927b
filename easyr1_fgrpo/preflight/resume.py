"""Whether a run goes on as what it was begun as: data, judges, base model, thresholds, reward, images, algorithm.

Compared is what the run's last start wrote beside its checkpoints: `config.yaml`, and in `inputs.json` what its files
held. Speed and place (GPUs, micro batches, memory, logging, steps in all) are free to change.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from easyr1_fgrpo import config as config_package
from easyr1_fgrpo.checkpoints import quick_sha256
from easyr1_fgrpo.files import LineFile, write_json, write_whole
from easyr1_fgrpo.preflight.saved import RESUMES_FILE

CONFIG_FILE, INPUTS_FILE = "config.yaml", "inputs.json"

_DEFAULTS = Path(config_package.__file__).with_name("method.yaml")

_OURS = r"""
    fgrpo\.(constraint_keys|constraints|signals|dual|advantage|images)(\..+)?
    | fgrpo\.reward\.(task|weights(\.\w+)?|judge_scope|no_claim|truncated|max_sentences|max_claims|level)
    | fgrpo\.judges\.\w+\.(kind|target|options.*|model|parameters.*|prompt|coordinates|repetition|per_rollout
            |structured_outputs)
    | fgrpo\.reward_servers\.\w+\.(kind|target|options.*|model)
"""


def keys_of_a_run(hosts: str) -> re.Pattern[str]:
    """The keys that make a run what it is: ours, and the host's.

    Args:
        hosts: a verbose pattern of the host's keys, with dots.
    """
    return re.compile(f"{hosts} | {_OURS}", re.VERBOSE)


def resume_problems(config: Any, step: int | None, keys: re.Pattern[str]) -> list[str]:
    """Why the run cannot go on from where its directory ends, one line each; nothing where it starts anew.

    Args:
        config: the whole config with absolute paths, its key `fgrpo` valid.
        step: the last one done, None for a run that starts anew.
        keys: of `keys_of_a_run`.
    """
    if step is None:
        return []
    meant = [
        f"fgrpo.resume.accept={key}: names no key that is compared; give one that a refusal names"
        for key in config.fgrpo.resume.accept
        if not keys.fullmatch(key)
    ]
    return meant + [
        f"{key}={_shown(new)}: {config.fgrpo.run_dir} was trained up to step {step} with {_shown(old)}; give it that, "
        f"take another trainer.experiment_name, or go on with the change: 'fgrpo.resume.accept=[{key}]'"
        for key, (old, new) in changes(config, keys).items()
        if key not in config.fgrpo.resume.accept
    ]


def changes(config: Any, keys: re.Pattern[str]) -> dict[str, tuple[Any, Any]]:
    """The keys that make a run what it is and differ from its last start, each with its old and new value.

    Args:
        config: with absolute paths. A file that moved is the same; one with another content is not.
        keys: of `keys_of_a_run`.
    """
    run_dir = Path(config.fgrpo.run_dir)
    written = run_dir / CONFIG_FILE
    if not written.exists():
        return {}
    old = dict(_leaves(OmegaConf.to_container(OmegaConf.load(written), resolve=True)))
    new = dict(_leaves(OmegaConf.to_container(config, resolve=True)))
    known = run_dir / INPUTS_FILE
    before = json.loads(known.read_text()) if known.exists() else {}
    now = inputs(config, keys)
    usual = dict(_leaves(OmegaConf.to_container(OmegaConf.load(_DEFAULTS), resolve=False)))
    found: dict[str, tuple[Any, Any]] = {}
    for key in sorted({*filter(keys.fullmatch, {*old, *new}), *before, *now}):
        if key in before and key in now:
            if before[key] != now[key]:
                found[key] = (f"{old.get(key)} ({before[key][:12]})", f"{new.get(key)} ({now[key][:12]})")
        elif key not in old and key in usual and usual[key] == new.get(key):
            continue  # an earlier version of this project had no such key
        elif old.get(key) != new.get(key):
            found[key] = (old.get(key), new.get(key))
    return found


def inputs(config: Any, keys: re.Pattern[str]) -> dict[str, str]:
    """A hash, by config key, of each file or folder that the run reads.

    Large files are hashed by their size and their ends.
    """
    found = {key: value for key, value in _leaves(OmegaConf.to_container(config, resolve=True)) if keys.fullmatch(key)}
    paths = {key: [value] if isinstance(value, str) else value for key, value in found.items()}
    hashes = {}
    for key, values in paths.items():
        if isinstance(values, list) and values and all(isinstance(value, str) for value in values):
            locations = [_location(value) for value in values]
            if all(path.is_absolute() and path.exists() for path in locations):
                hashes[key] = hashlib.sha256("".join(map(quick_sha256, locations)).encode()).hexdigest()
    return hashes


def _location(value: str) -> Path:
    """The file or folder that a value names; of `FILE.py:NAME` and `package.module:NAME` the file of the code.

    Code of this package is left out: a new version of it is no other judge.
    """
    location, separator, _ = value.rpartition(":")
    if not separator or "/" in location:
        return Path(location if location.endswith(".py") else value)
    package = location.partition(".")[0]
    with contextlib.suppress(ImportError, ValueError):
        if package != "easyr1_fgrpo" and (found := importlib.util.find_spec(location)) and found.origin:
            return Path(found.origin)
    return Path(value)


def note_start(config: Any, step: int | None, keys: re.Pattern[str]) -> None:
    """Write beside the checkpoints what the run is, for its next start; changes that were accepted are appended.

    Args:
        config: with absolute paths, checked.
        step: the last one done, None for a run that starts anew.
        keys: of `keys_of_a_run`.
    """
    run_dir = Path(config.fgrpo.run_dir)
    if step is not None and (changed := changes(config, keys)):
        with LineFile(run_dir / RESUMES_FILE) as file:
            when = datetime.now(UTC).isoformat(timespec="seconds")
            file.append(json.dumps({"after_step": step, "at": when, "changed": changed}))
    write_json(run_dir / INPUTS_FILE, inputs(config, keys))
    write_config(config)


def write_config(config: Any) -> None:
    """Write config.yaml into the run's folder."""
    # Not by OmegaConf: EasyR1 rounds every float that yaml's common dumper writes, 0.0006 to 0.001.
    text = yaml.safe_dump(OmegaConf.to_container(config, resolve=True), sort_keys=False, allow_unicode=True)
    write_whole(Path(config.fgrpo.run_dir) / CONFIG_FILE, text)


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Keys with dots, and their values; a list is a value."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield from _leaves(below, f"{key}.{name}" if key else str(name))
    else:
        yield key, value


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)
