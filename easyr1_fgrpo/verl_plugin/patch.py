"""What a patch to verl says of itself: what it fixes, why, until when, and whether the fault is still there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from easyr1_fgrpo.host import on_cpu

PATCHED_VERL = "0.9.1"


Probe = Callable[[Any], bool]
Fix = Callable[[Any], None]


@dataclass(frozen=True)
class Patch:
    """One fix of one module.

    Attributes:
        name: what is fixed.
        module: the module that is fixed, patched right after its import.
        why: what happens without it.
        until: when it can go.
        needed: looks at the unpatched module and says whether the fault is still there.
        apply: fixes the module in place.
        everywhere: whether it is applied on any platform, not only with VERL_PLATFORM=cpu.
    """

    name: str
    module: str
    why: str
    until: str
    needed: Probe
    apply: Fix
    everywhere: bool

    def wanted(self) -> bool:
        """Whether this process wants the patch: right verl version, right platform."""
        return version("verl") == PATCHED_VERL and (self.everywhere or on_cpu())


PATCHES: list[Patch] = []
"""In the order in which they are declared."""


def patch(
    name: str, module: str, *, why: str, until: str, needed: Probe, everywhere: bool = False
) -> Callable[[Fix], Fix]:
    """Add the decorated function to `PATCHES`; see `Patch`."""

    def add(apply: Fix) -> Fix:
        PATCHES.append(Patch(name, module, why, until, needed, apply, everywhere))
        return apply

    return add


def source_holds(text: str, *path: str) -> Probe:
    """A probe: does the source of `module.path` hold this text?"""

    def probe(module: Any) -> bool:
        import inspect

        target: Any = module
        for name in path:
            target = getattr(target, name)
        return text in inspect.getsource(inspect.unwrap(target))

    return probe
