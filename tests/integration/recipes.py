"""The RL recipes as the folder has them, and the group choices each of them is."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from pathlib import Path

from omegaconf import OmegaConf

from easyr1_fgrpo.config.load import load_config

ROOT = Path(__file__).parents[2]
ARMS = sorted(path.stem for path in (ROOT / "easyr1_fgrpo/config/arm").glob("*.yaml"))
HERE = ["backbone=tiny", "dataset=miniature", "judge=oracle", "scale=cpu"]
"""What makes any RL recipe run on this machine."""


def rl_recipes() -> dict[str, list[str]]:
    """Recipe file -> its group choices."""
    found = {}
    for path in sorted((ROOT / "recipes").glob("run_*.sh")):
        calls = re.findall(r'^run_recipe (.*) "\$@"$', path.read_text(), re.MULTILINE)
        if calls:
            (call,) = calls
            found[str(path.relative_to(ROOT))] = shlex.split(call)
    return found


def digest(overrides: list[str]) -> str:
    """Hash of a resolved config: equal for runs that would be the same run."""
    resolved = OmegaConf.to_container(load_config(overrides), resolve=True)
    return hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()
