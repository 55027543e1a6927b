"""Which trainer this environment has: upstream's verl and EasyR1 are both distributed, and imported, as `verl`.

Told by its files, so that nothing of it is imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ESTIMATOR = "cgrpo"
"""The name under which a host knows our advantage estimator, and what its config says."""

EASYR1_COMMIT = "b44b311"
EASYR1_SOURCE = "https://github.com/hiyouga/EasyR1"
HOW_TO_GET_EASYR1 = (
    f"git clone {EASYR1_SOURCE} && cd EasyR1 && git checkout {EASYR1_COMMIT} && pip install --no-deps --editable ."
)

EASYR1_FILES = {
    "trainer/config.py": "8ecc0fed69805993",
    "trainer/core_algos.py": "871cadc71a8b0429",
    "trainer/data_loader.py": "dc70b12c3d6f30d4",
    "trainer/main.py": "f6bdd143a7da3f91",
    "trainer/ray_trainer.py": "54b9cb7fccc78513",
    "utils/dataset.py": "1c266af7bb86064d",
    "workers/reward/function.py": "59fa38dda0d879d7",
}
"""What the plug-in for EasyR1 builds on, with the first digits of its SHA-256 at `EASYR1_COMMIT`."""


@dataclass(frozen=True)
class Host:
    """The `verl` of this environment.

    Attributes:
        kind: whose it is: "easyr1", upstream's "verl", or "unknown".
        folder: where it lies.
    """

    kind: Literal["easyr1", "verl", "unknown"]
    folder: Path

    def changed_files(self) -> list[str]:
        """Of `EASYR1_FILES`, those that are not as the plug-in knows them."""
        return [name for name, sha256 in EASYR1_FILES.items() if not _digest(self.folder / name).startswith(sha256)]


def on_cpu() -> bool:
    """Whether this process trains on the CPU platform (VERL_PLATFORM=cpu)."""
    return os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"


def find_host() -> Host | None:
    """The trainer that `import verl` would import; None without any."""
    found = importlib.util.find_spec("verl")
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(next(iter(found.submodule_search_locations)))
    if (folder / "trainer" / "main_ppo.py").exists():
        return Host("verl", folder)
    is_easyr1 = (folder / "trainer" / "ray_trainer.py").exists() and (folder / "workers" / "reward").is_dir()
    return Host("easyr1" if is_easyr1 else "unknown", folder)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
