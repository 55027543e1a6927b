"""`fgrpo doctor` where `import verl` finds EasyR1: what is installed here, and the fix for what is missing."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

from easyr1_fgrpo.easyr1_plugin.problems import host_problems, host_warnings, vllm_problems
from easyr1_fgrpo.host import EASYR1_COMMIT, find_host, on_cpu

DISTRIBUTIONS = ("easyr1-fgrpo", "torch", "transformers", "ray", "tensordict", "numpy", "vllm", "flash-attn")


def report() -> int:
    """Print versions, where EasyR1 lies, and problems; gives the exit code, 1 when there is a problem."""
    print("versions")
    for name, version in [("python", platform.python_version()), *((name, _version(name)) for name in DISTRIBUTIONS)]:
        print(f"  {name:<16}{version}")
    problems = [*host_problems(), *vllm_problems(needed=not on_cpu())]
    if not problems:
        host, changed = find_host(), host_warnings()
        assert host is not None
        print(f"trainer\n  EasyR1 {'' if changed else f'at {EASYR1_COMMIT} '}in {host.folder.parent}")
        for line in changed:
            print(f"  warning: {line}")
        print("EasyR1 is here: `fgrpo plan config=YOURS.yaml` checks a run of its trainer (docs/easyr1.md)")
    for line in problems:
        print(f"problem: {line}", file=sys.stderr)
    return 1 if problems else 0


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
