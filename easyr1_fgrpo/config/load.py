"""From command-line overrides to a checked config, with one line per problem instead of a traceback."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from easyr1_fgrpo.config.schema import FgrpoConfig, problems_of
from easyr1_fgrpo.extras import missing

if TYPE_CHECKING:
    from omegaconf import DictConfig


class ConfigError(ValueError):
    """A config that cannot be used; `lines` holds one line per problem."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = list(lines)


def load_config(overrides: Sequence[str]) -> DictConfig:
    """Compose the config `fgrpo` with Hydra overrides.

    Raises:
        ConfigError: when an override cannot be read, or names a key or a group choice that does not exist.
    """
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    # Hydra finds verl's part of the config by importing verl: seconds, and a choice of platform, that most readers of a
    # config have no use for. Its folder says the same.
    folders = [_verl_folder() / "trainer" / "config", *_own_folder()]
    searchpath = f"hydra.searchpath={[f'file://{folder}' for folder in folders]}"
    # Hydra would answer an unknown key of ours with "use +key": the schema lists the known ones instead.
    forced = [f"++{override}" if override.startswith("fgrpo.") else override for override in overrides]
    try:
        with initialize_config_module("easyr1_fgrpo.config", version_base=None):
            return compose("fgrpo", overrides=[searchpath, *forced])
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # `group=null` is a ValueError
        raise ConfigError([_in_one_line(error)]) from error


def _own_folder() -> list[Path]:
    """The user's groups: arm/NAME.yaml, judge/NAME.yaml, ... below FGRPO_CONFIG_DIR."""
    if not (location := os.environ.get("FGRPO_CONFIG_DIR")):
        return []
    folder = Path(location).expanduser().absolute()
    if not folder.is_dir():
        raise ConfigError([f"FGRPO_CONFIG_DIR={location}: no such folder"])
    return [folder]


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
        raise ConfigError([_in_one_line(error)]) from error


def _in_one_line(error: Exception) -> str:
    """The message of Hydra and, where Hydra hides it, the reason below it, without the list of search paths."""
    texts = [str(error), *([str(error.__cause__)] if error.__cause__ else [])]
    words = [word for text in texts for word in text.partition("\nConfig search path:")[0].split()]
    return " ".join(words)
