"""The groups a run is a choice of, ours and the user's own below `FGRPO_CONFIG_DIR`.

A group's file is written from the root of the config. Hydra would put one without `# @package _global_` below the
group's name, where nothing reads it: here every group's package is the root, with that line and without.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

GROUPS = ("scale", "backbone", "dataset", "judge", "arm")

OURS = ("fgrpo", "stages", "evaluation", "own", "judge_endpoint")
"""Sections that verl does not read."""

AT_ROOT = "@_global_"
"""Hydra's words for a group whose keys stand at the root; `fgrpo.yaml` has them in its list of defaults."""

_HERE = Path(__file__).parent
_GROUP = re.compile(rf"^([+~]*)({'|'.join(GROUPS)})(=|$)")


def at_root(override: str) -> str:
    """The override with Hydra's name of the group: `arm=grpo_t` -> `arm@_global_=grpo_t`; other keys as they are."""
    return _GROUP.sub(rf"\1\2{AT_ROOT}\3", override)


def user_folder() -> Path | None:
    """Where the user's groups are: arm/NAME.yaml, judge/NAME.yaml, ...

    Raises:
        ValueError: when the folder is not there.
    """
    if not (location := os.environ.get("FGRPO_CONFIG_DIR")):
        return None
    folder = Path(location).expanduser().absolute()
    if not folder.is_dir():
        raise ValueError(f"FGRPO_CONFIG_DIR={location}: no such folder")
    return folder


def chosen(choices: Mapping[str, str | None]) -> dict[str, str | None]:
    """What was chosen by group, from what Hydra says of its choices."""
    return {group: choices.get(group + AT_ROOT) for group in GROUPS}


def user_files(folder: Path | None, choices: Mapping[str, str | None]) -> dict[str, Path]:
    """The chosen groups that are the user's.

    Raises:
        ValueError: for a file named like one of ours, which Hydra would pass over without a word.
    """
    if folder is None:
        return {}
    found = {}
    for group, choice in choices.items():
        path = folder / group / f"{choice}.yaml"
        if choice and path.is_file():
            if (_HERE / group / path.name).is_file():
                raise ValueError(f"{path}: {group}={choice} is a group of this project; give the file another name")
            found[group] = path
    return found


def unknown_keys(path: Path, config: Any) -> Iterator[str]:
    """One line for each key of a user's group file that nothing reads.

    Args:
        path: the file.
        config: composed without it. A section of it is closed, as it is on the command line; an empty one is open, and
            so is `fgrpo`, whose schema lists the allowed keys.
    """
    ours = [_read(group) for group in sorted(_HERE.glob("*/*.yaml"))]  # for keys that some of our groups set
    config = OmegaConf.create(OmegaConf.to_container(config, resolve=False))  # Hydra's takes no new key
    known = OmegaConf.to_container(OmegaConf.merge(config, *ours), resolve=False)
    written = OmegaConf.to_container(_read(path), resolve=False)
    if written.pop("arm", path.stem) != path.stem:
        yield f"{path}: arm: an arm has its file's name; drop this line, or rename the file"
    for keys in _unknown(written, known, ()):
        key = ".".join(keys)
        verls = (
            ""
            if keys[0] in OURS
            else f"; one that verl reads without naming it in its config goes on the command line: ++{key}=VALUE"
        )
        yield f"{path}: {key}: no such key{_hint(keys, known)}{verls}"


def _read(path: Path) -> Any:
    keys = OmegaConf.load(path)
    keys.pop("defaults", None)
    return keys


def _unknown(written: Any, known: Any, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if above == ("fgrpo",) or not isinstance(written, dict) or known in (None, {}):
        return
    if not isinstance(known, dict):  # a section where there is a value
        yield above
        return
    for key, value in written.items():
        if key in known:
            yield from _unknown(value, known[key], (*above, str(key)))
        else:
            yield (*above, str(key))


def _hint(keys: Sequence[str], known: Any) -> str:
    *above, last = keys
    if last in known["fgrpo"]:
        return f" (did you mean fgrpo.{last}?)"
    section = known
    for key in above:
        section = section[key]
    close = difflib.get_close_matches(last, [str(key) for key in section if key != last], n=1)
    return f" (did you mean {'.'.join([*above, *close])}?)" if close else ""
