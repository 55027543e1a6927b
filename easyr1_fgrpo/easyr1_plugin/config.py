"""From arguments to a checked config: EasyR1's keys by EasyR1's own rules, the key `fgrpo` by ours."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException
from verl.trainer.config import PPOConfig
from yaml import YAMLError

from easyr1_fgrpo.config.hydra_words import in_our_words, meant
from easyr1_fgrpo.config.load import ConfigError, adopt_signals, load_method, read_settings
from easyr1_fgrpo.config.paths import absolute, make_settings_absolute
from easyr1_fgrpo.host import ESTIMATOR

GROUPS = ("arm", "judge")
VALUES = ("fgrpo", "judge_endpoint")
"""Keys that are ours; every other one is EasyR1's."""

_KEY_AND_VALUE = re.compile(r"[\w.-]+=")


@dataclass
class FaithfulPPOConfig(PPOConfig):  # type: ignore[misc, unused-ignore]
    """EasyR1's config with ours: `fgrpo` holds plain types, as `FgrpoConfig` reads them; `arm` names the run's arm."""

    fgrpo: dict[str, Any] = field(default_factory=dict)
    arm: str = ""


def read_arguments(arguments: Sequence[str]) -> DictConfig:
    """The whole config as it was asked for: defaults, then the file of `config=`, then the other arguments.

    Args:
        arguments: `config=FILE.yaml`, `arm=`, `judge=`, and keys of EasyR1 and of `fgrpo` with dots.

    Raises:
        ConfigError: when something cannot be read, or is no key.
    """
    if unreadable := [argument for argument in arguments if not _KEY_AND_VALUE.match(argument)]:
        raise ConfigError([f"{argument}: write KEY=VALUE, without + or ~" for argument in unreadable])
    whole = OmegaConf.structured(PPOConfig())
    try:
        asked = OmegaConf.from_dotlist(list(arguments))
        layers = [*([_read(asked.pop("config"))] if "config" in asked else []), asked]
        choices = {group: layer[group] for layer in layers for group in GROUPS if group in layer}
        ours = load_method([f"{group}={choice}" for group, choice in choices.items()])
        if "judge_endpoint" not in ours and any("judge_endpoint" in layer for layer in layers):
            raise ConfigError(["judge_endpoint.*: these keys come with judge=openai_compatible, which is not chosen"])
        OmegaConf.set_struct(ours, False)
        for known, keys in ((whole, None), (ours, VALUES)):
            if wrong := [line for layer in layers for line in _shape_problems(_part(layer, keys), known)]:
                raise ConfigError(wrong)
        theirs = OmegaConf.merge(whole, *(_part(layer, None) for layer in layers))
        values = (_part(layer, VALUES) for layer in layers)
        whole = OmegaConf.merge(OmegaConf.create(OmegaConf.to_container(theirs)), ours, *values)
    except ConfigKeyError as error:
        raise ConfigError([f"{error.full_key}: EasyR1 has no such key{meant(str(error.full_key), whole)}"]) from error
    except OmegaConfBaseException as error:
        said = str(error).partition("\n")[0]
        raise ConfigError([f"{error.full_key}: {said}" if error.full_key else in_our_words(error)]) from error
    except YAMLError as error:
        raise ConfigError([" ".join(str(error).split())]) from error
    for key in ("min_pixels", "max_pixels"):
        if whole.data[key] is None:  # no bound; ours is a number, and nothing reads it here
            del whole.fgrpo.images[key]
    adopt_signals(whole)
    return whole


def _read(location: Any) -> DictConfig:
    path = Path(str(location or ""))
    if not path.is_file():
        raise ConfigError([f"config={location or ''}: no such file"])
    try:
        found = OmegaConf.load(path)
    except (YAMLError, ValueError) as error:
        raise ConfigError([f"config={path}: cannot be read ({' '.join(str(error).split())})"]) from error
    if not isinstance(found, DictConfig):
        raise ConfigError([f"config={path}: it holds no keys but a list"])
    return found


def _part(layer: DictConfig, keys: Collection[str] | None) -> DictConfig:
    """Of a layer, the sections that are ours, or without them EasyR1's."""
    return OmegaConf.masked_copy(
        layer, [key for key in layer if (key in keys if keys else key not in (*GROUPS, *VALUES))]
    )


def _shape_problems(layer: Any, known: Any, above: str = "") -> Iterator[str]:
    """Lists and sections where the other, or a value, is meant; OmegaConf does not say which key it was."""
    for key in layer:
        if key not in known or OmegaConf.is_missing(layer, key) or OmegaConf.is_interpolation(layer, key):
            continue
        value, usual, name = layer[key], OmegaConf.to_container(known)[key], f"{above}{key}"
        if isinstance(usual, dict) and not OmegaConf.is_dict(value):
            yield f"{name}={value}: takes keys of its own, as in {{key: value}}"
        elif isinstance(usual, list | tuple) and not OmegaConf.is_list(value):
            yield f"{name}={value}: takes a list, as in [{value}]"
        elif usual is not None and not isinstance(usual, dict | list | tuple) and OmegaConf.is_config(value):
            yield f"{name}={value}: takes one value"
        elif isinstance(usual, dict) and usual:
            yield from _shape_problems(value, known[key], f"{name}.")


def easyr1_config(config: DictConfig) -> FaithfulPPOConfig:
    """What EasyR1's trainer reads, from a config without problems (`problems.run_problems`); paths are written out.

    Raises:
        ConfigError: when the key `fgrpo` is not as its schema says.
    """
    make_settings_absolute(config.fgrpo)
    settings = read_settings(config)
    config.algorithm.adv_estimator = ESTIMATOR
    for key in ("train_files", "val_files"):
        config.data[key] = _absolute(config.data[key])
    if config.trainer.save_checkpoint_path is None:
        config.trainer.save_checkpoint_path = str(Path(settings.run_dir) / "checkpoints")
    theirs = {key: value for key, value in config.items() if key in PPOConfig.__dataclass_fields__}
    parts = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(PPOConfig()), theirs))
    found = FaithfulPPOConfig(
        data=parts.data,
        worker=parts.worker,
        algorithm=parts.algorithm,
        trainer=parts.trainer,
        fgrpo=settings.model_dump(mode="json", by_alias=True),
        arm=config.arm,
    )
    found.deep_post_init()
    return found


def as_written(config: FaithfulPPOConfig, steps: int | None) -> DictConfig:
    """config.yaml of the run's folder: the whole config, and what others read by verl's names.

    Args:
        config: of the run.
        steps: in all; None before the data are read that say it.
    """
    whole = config.to_dict()
    whole["seed"] = config.data.seed
    model = whole["worker"]["actor"]["model"]
    if model["tokenizer_path"] == model["model_path"]:  # as EasyR1 fills it in: a model that changed is one change
        model["tokenizer_path"] = None
    whole["trainer"]["total_training_steps"] = steps
    return OmegaConf.create(whole)


def _absolute(files: str) -> str:
    """A file or folder written out, its split after the @ kept: Ray's workers may have another working directory."""
    path, mark, split = files.partition("@")
    return f"{absolute(path)}{mark}{split}" if Path(path).exists() else files
