"""Which of our extras brings a package that is missing, read from the installed metadata."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

DISTRIBUTION = "easyr1-fgrpo"

OTHER_NAMES = {
    **{"PIL": "pillow", "hydra": "hydra-core", "sklearn": "scikit-learn"},
    **{"transfer_queue": "TransferQueue", "yaml": "PyYAML"},
    **{"markupsafe": "jinja2", "pydantic_core": "pydantic", "peft": "verl", "qwen_vl_utils": "verl"},
    **{"safetensors": "transformers", "tokenizers": "transformers"},
}
"""Modules that are installed under another name than they are imported by, or that one of our requirements brings."""


def missing(*modules: str) -> str | None:
    """One line that names missing packages and the command that installs them.

    Args:
        modules: as they are imported; of a.b only a counts.

    Returns:
        None when no single extra brings all of them: then they are not ours to ask for.
    """
    packages = list(dict.fromkeys(module.partition(".")[0] for module in modules))
    extras = [_extras_with(package) for package in packages]
    common = [extra for extra in extras[0] if all(extra in others for others in extras)]
    if not common:
        return None
    names = [f"'{DISTRIBUTION}[{extra}]'" if extra else DISTRIBUTION for extra in common]
    return (
        f"{', '.join(packages)} {'is' if len(packages) == 1 else 'are'} not installed: pip install {' or '.join(names)}"
    )


def _extras_with(package: str) -> list[str]:
    """The extras that require a package; "" stands for an installation without any."""
    try:
        requirements = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
    except PackageNotFoundError:  # our folder is on the path, but nothing is installed
        return []
    wanted = canonicalize_name(OTHER_NAMES.get(package, package))
    markers = [item.marker for item in requirements if canonicalize_name(item.name) == wanted]
    # A marker reads: extra == "cpu"
    return ["" if marker is None else str(marker).split('"')[1] for marker in markers]
