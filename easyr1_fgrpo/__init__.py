"""Faithful GRPO for verl: task reward subject to consistent and visually grounded reasoning (arXiv 2604.08476).

The names a researcher looks for, without the rooms they live in: `__init__.pyi` lists them. Each is loaded when it is
first used, so `import easyr1_fgrpo` costs next to nothing; those of `algorithm` need torch.
"""

import lazy_loader

_load, _, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """A name of the list, or the version."""
    if name == "__version__":
        from importlib.metadata import version

        return version("easyr1-fgrpo")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        from easyr1_fgrpo.extras import missing

        if error.name and (fix := missing(error.name)):
            error.add_note(fix)
        raise


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
