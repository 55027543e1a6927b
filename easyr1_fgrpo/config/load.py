"""From command-line overrides to a checked config, with one line per problem instead of a traceback."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from easyr1_fgrpo.config.groups import GROUPS, at_root, chosen, unknown_keys, user_files, user_folder
from easyr1_fgrpo.config.hydra_words import in_our_words, no_such_key, unknown_key
from easyr1_fgrpo.config.problems import problems_of
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.extras import missing

if TYPE_CHECKING:
    from omegaconf import DictConfig


class ConfigError(ValueError):
    """A config that cannot be used; `lines` holds one line per problem."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = list(lines)


class IncompleteConfigError(ConfigError):
    """Overrides that can be composed, but leave keys open that every run reads."""


def load_config(overrides: Sequence[str]) -> DictConfig:
    """Compose the config `fgrpo` with Hydra overrides.

    Raises:
        ConfigError: when an override cannot be read, or names a key or a group choice that does not exist;
            `IncompleteConfigError` when only keys are missing.
    """
    # Hydra finds verl's part of the config by importing verl: seconds, and a choice of platform, that most readers of a
    # config have no use for. Its folder says the same.
    config, choices = _compose_with_user_groups("fgrpo", overrides, [_verl_folder() / "trainer" / "config"])
    adopt_signals(config)
    if lacking := _lacking(config, choices):
        raise IncompleteConfigError(lacking)
    return config


def load_method(overrides: Sequence[str]) -> DictConfig:
    """Compose what is ours in a config of EasyR1: the key `fgrpo` after its groups arm and judge.

    Args:
        overrides: of the groups, and of what they bring beside `fgrpo`.

    Raises:
        ConfigError: as `load_config`.
    """
    return _compose_with_user_groups("easyr1", overrides, [])[0]


def _compose_with_user_groups(
    primary: str, overrides: Sequence[str], folders: Sequence[Path]
) -> tuple[DictConfig, dict[str, str | None]]:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    def composed(overrides: Sequence[str], folder: Path | None) -> tuple[DictConfig, dict[str, str | None]]:
        return _compose(primary, overrides, [*folders, *([folder] if folder else [])])

    try:
        folder = user_folder()
        config, choices = composed(overrides, folder)
        custom = user_files(folder, choices)
        groups = [line for line in overrides if (group := line.partition("=")[0]) in GROUPS and group not in custom]
        without = composed(groups, None)[0] if custom else None
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        line = in_our_words(error)
        key = unknown_key(line)
        raise ConfigError([no_such_key(key, composed([], None)[0]) if key else line]) from error
    if unknown := [line for path in custom.values() for line in unknown_keys(path, without)]:
        raise ConfigError(unknown)
    return config, choices


def _lacking(config: DictConfig, choices: Mapping[str, str | None]) -> list[str]:
    """What the chosen groups leave open for each other: keys that are missing in what every run reads."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if dropped := [group for group in ("scale", "backbone", "dataset") if choices[group] is None]:
        return [f"~{group}: a run needs one; say {group}=CHOICE" for group in dropped]
    found = []
    for key in ("actor_rollout_ref.model.path", "data.train_files", "data.val_files"):
        try:
            OmegaConf.select(config, key)
        except OmegaConfBaseException as error:
            found.append(in_our_words(error))
    return list(dict.fromkeys(found))


def _compose(
    primary: str, overrides: Sequence[str], folders: Sequence[Path]
) -> tuple[DictConfig, dict[str, str | None]]:
    """The config with its arm's name, and what was chosen by group."""
    from hydra import compose, initialize_config_module
    from omegaconf import open_dict

    for override in overrides:
        group, _, choice = override.partition("=")
        if group.lstrip("+") in GROUPS and choice.startswith("["):
            raise ValueError(f"{override}: a run has one {group.lstrip('+')}; say {group}=CHOICE")
        if group.lstrip("+").startswith("fgrpo.") and choice.strip() == "{}":
            raise ValueError(
                f"{override}: a section is merged into what is there, so an empty one changes nothing; leave it out, "
                f"or set what it holds: {group}.KEY=VALUE"
            )
    searchpath = f"hydra.searchpath={[f'file://{folder}' for folder in folders]}"
    # Hydra would answer an unknown key of ours with "use +key": the schema lists the known ones instead.
    forced = [f"++{override}" if override.startswith("fgrpo.") else at_root(override) for override in overrides]
    with initialize_config_module("easyr1_fgrpo.config", version_base=None):
        config = compose(primary, overrides=[searchpath, *forced], return_hydra_config=True)
    choices = chosen(config.hydra.runtime.choices)
    with open_dict(config):
        del config.hydra
        config.arm = choices["arm"] or "custom"
    return config, choices


def adopt_signals(config: DictConfig) -> None:
    """Let a constraint with a `signal` act: the signal gets its name, and `constraint_keys` names it."""
    from omegaconf import OmegaConf, open_dict

    constraints, signals, keys = (
        OmegaConf.select(config, f"fgrpo.{key}") for key in ("constraints", "signals", "constraint_keys")
    )
    if not all(map(OmegaConf.is_config, (constraints, signals, keys))):
        return  # the schema says what they have to be
    with open_dict(config):
        for name, constraint in constraints.items():
            if not OmegaConf.is_dict(constraint) or "signal" not in constraint:
                continue
            target = constraint.pop("signal")
            if signals.setdefault(name, target) != target:
                raise ConfigError(
                    [f"fgrpo.constraints.{name}.signal={target}: fgrpo.signals.{name} is {signals[name]}; drop one"]
                )
            if name not in keys:
                keys.append(name)


def _verl_folder() -> Path:
    found = importlib.util.find_spec("verl")
    if found is None or found.origin is None:
        raise ConfigError([missing("verl") or "verl is not installed"])
    return Path(found.origin).parent


def read_settings(config: DictConfig) -> FgrpoConfig:
    """The checked key `fgrpo` of a composed config.

    Raises:
        ConfigError: when a value is missing, unknown or out of its bounds.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        ours = config.fgrpo
        values = (
            OmegaConf.to_container(ours, resolve=True, throw_on_missing=True) if OmegaConf.is_config(ours) else ours
        )
        return FgrpoConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(problems_of(error)) from error
    except OmegaConfBaseException as error:
        raise ConfigError([in_our_words(error)]) from error
