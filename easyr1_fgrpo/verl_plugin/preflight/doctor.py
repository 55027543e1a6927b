"""`fgrpo doctor`: what is installed, registered and patched here, and the fix for what is missing.

Everything is looked up in this process, as training will find it: verl loads the plug-in, and the modules of verl
that own a registry are imported. Nothing of the plug-in is imported before it is known to be installed.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
import warnings
from typing import TYPE_CHECKING

from easyr1_fgrpo.extras import missing
from easyr1_fgrpo.verl_plugin.preflight.gpus import gpus_here
from easyr1_fgrpo.verl_plugin.preflight.machine import cpu_build, missing_packages
from easyr1_fgrpo.verl_plugin.preflight.registrations import named, registrations

if TYPE_CHECKING:
    from rich.console import Console

    from easyr1_fgrpo.verl_plugin.patch import Patch

PACKAGE = "easyr1-fgrpo"
PLUGIN = "easyr1_fgrpo"
PLUGIN_MODULE = "easyr1_fgrpo.verl_plugin.plugin"
DISTRIBUTIONS = {
    "torch": "torch",
    "verl": "verl",
    "ray": "ray",
    "transformers": "transformers",
    "transfer_queue": "TransferQueue",
    "wrapt": "wrapt",
}
"""Modules training cannot do without -> the distribution each comes with."""


def registration_problems() -> list[str]:
    """Why this process cannot train with FGRPO: one line each, with the fix; nothing when it can.

    Imports verl, and with it the plug-in.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # verl names every engine it was built without
        return _blocking_problems() or _unregistered()


def report() -> int:
    """Print versions, platform, registrations, patches and problems.

    Returns:
        The exit code: 1 when there is a problem.
    """
    from rich.console import Console

    console = Console(highlight=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # verl names every engine it was built without
        problems = _blocking_problems()
        _print_versions(console)
        if not problems:
            problems = _gpu_problems(console)
            _print_platform(console)
            _print_registrations(console)
            _print_patches(console)
            problems += _unregistered()
    for line in problems:
        console.print(f"problem: {line}", style="red", markup=False, soft_wrap=True)
    if not problems:
        console.print("Everything that FGRPO needs is registered with verl.", style="green")
    return 1 if problems else 0


# ---------------------------------------------------------------------- checks


def _blocking_problems() -> list[str]:
    # Each check needs what the one before it found in order.
    return _missing() or _misinstalled() or _unloaded() or _misplaced()


def _missing() -> list[str]:
    absent = [module for module in DISTRIBUTIONS if importlib.util.find_spec(module) is None]
    return [missing(*absent) or f"{', '.join(absent)}: not installed"] if absent else []


def _misinstalled() -> list[str]:
    from easyr1_fgrpo.verl_plugin.patch import PATCHED_VERL

    problems = []
    verl = _version("verl")
    if verl != PATCHED_VERL:
        problems.append(
            f"verl {verl} is installed, the plug-in is for {PATCHED_VERL}: pip install verl=={PATCHED_VERL}"
        )
    if PLUGIN not in importlib.metadata.entry_points(group="verl.plugins").names:
        problems.append(
            f"the entry point {PLUGIN!r} of group 'verl.plugins' is not installed, so verl cannot find the plug-in: "
            f"pip install '{PACKAGE}', or `pip install --editable .` in the checkout"
        )
    policy = os.environ.get("VERL_USE_EXTERNAL_PLUGINS", "auto").strip().lower()
    if policy != "auto" and PLUGIN not in [name.strip() for name in policy.split(",")]:
        problems.append(
            f"VERL_USE_EXTERNAL_PLUGINS={policy} keeps verl from loading the plug-in: unset it, or add {PLUGIN} to it"
        )
    return problems


def _unloaded() -> list[str]:
    """Whether verl loads the plug-in; verl itself logs a failure at DEBUG only."""
    try:
        importlib.import_module("verl")
    except Exception as error:  # whatever breaks here is what the doctor was asked for
        return [f"verl cannot be imported: {named(error)}: install exactly the pinned versions"]
    if PLUGIN_MODULE in sys.modules:
        return []
    try:
        importlib.import_module(PLUGIN_MODULE)
    except Exception as error:  # the one that verl swallowed
        return [f"the plug-in {PLUGIN_MODULE} failed to load: {named(error)}"]
    return [f"verl could not load the plug-in {PLUGIN_MODULE} when it was imported, though it loads now: start again"]


def _misplaced() -> list[str]:
    """Whether VERL_PLATFORM names a platform that verl can take; verl chooses once in a process."""
    from verl.plugin.platform import PlatformRegistry, get_platform

    wanted = os.environ.get("VERL_PLATFORM", "").strip().lower()
    known = sorted({*PlatformRegistry.registered_names(), "cpu"})
    if wanted and wanted not in known:
        return [f"VERL_PLATFORM={wanted} is unknown to verl: unset it, or set it to one of {', '.join(known)}"]
    if wanted == "cpu" and (PlatformRegistry.get("cpu") is None or get_platform().device_name != "cpu"):
        return ["VERL_PLATFORM=cpu was set after verl had been imported: set it before Python starts"]
    return []


def _gpu_problems(console: Console) -> list[str]:
    """What training on this machine's GPUs lacks; where there are none to train on, a line that says so."""
    if not gpus_here() or os.environ.get("VERL_PLATFORM") == "cpu":
        console.print("not checked here, as no GPU of this machine is used: CUDA, vllm and flash_attn", soft_wrap=True)
        return []
    cuda = cpu_build()
    return [*([cuda] if cuda else ()), *missing_packages("vllm", "flash_attn")]


def _unregistered() -> list[str]:
    found = (registration.problem() for registration in registrations())
    return [problem for problem in found if problem is not None]


# ---------------------------------------------------------------------- what is printed


def _print_versions(console: Console) -> None:
    console.print("versions", style="bold")
    rows = [("python", platform.python_version())]
    rows += [(name, _version(name)) for name in (PACKAGE, *DISTRIBUTIONS.values(), "vllm", "flash-attn")]
    _print_rows(console, rows)


def _print_platform(console: Console) -> None:
    from verl.plugin.platform import get_platform

    found = get_platform()
    resolved = f"{found.device_name} ({type(found).__name__})"
    if not found.is_available():  # no problem in itself: a Ray head may be without the accelerators of its workers
        resolved += ", not available here; VERL_PLATFORM=cpu trains without an accelerator"
    console.print("platform", style="bold")
    _print_rows(console, [("VERL_PLATFORM", os.environ.get("VERL_PLATFORM") or "not set"), ("verl runs on", resolved)])


def _print_registrations(console: Console) -> None:
    console.print("registered with verl", style="bold")
    _print_rows(console, [(item.what, f"{item.name}{': no' if item.problem() else ''}") for item in registrations()])


def _print_patches(console: Console) -> None:
    from easyr1_fgrpo.verl_plugin.compat import PATCHES

    for patch in PATCHES:
        console.print(f"patch: {patch.name}", style="bold")
        needed = [("still needed", _still_needed(patch)), ("fixes", patch.module)]
        _print_rows(console, [*needed, ("why", patch.why), ("until", patch.until)])


def _print_rows(console: Console, rows: list[tuple[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(width=18)
    for name, value in rows:
        table.add_row(f"  {name}", Text(value))
    console.print(table)


def _still_needed(patch: Patch) -> str:
    try:
        needed = patch.needed(importlib.import_module(patch.module))
    except Exception as error:  # another verl may have moved anything a probe looks at
        return f"cannot tell: {named(error)}"
    if not needed:
        return "no, it can go"
    return "yes, applied" if patch.wanted() else "yes, but not on this platform"


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
