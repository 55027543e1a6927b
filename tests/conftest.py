"""Shared by all tests."""

import os
import uuid
from typing import Any

import hypothesis
import pytest

# No verdict of ours depends on how busy the machine is.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

# Ray clusters of the tests get a token of their own (left alone, Ray would write one into the user's home). Ray reads
# the mode once, when it is imported, so this has to stand before any test module imports verl.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ["RAY_AUTH_TOKEN"] = uuid.uuid4().hex

# Before any test module imports torch: the tests run side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before any test module imports verl, which resolves its platform once in a process.
os.environ.setdefault("VERL_PLATFORM", "cpu")

ONE_WARM_START = ("test_tiny_cpu_recipe.py", "test_model_judges.py", "test_recipes.py", "test_gpu_smoke.py")
"""Files whose tests share stages and one whole run of the recipe."""

ONE_IMPORT = ("test_untied_embeddings.py", "test_packed_sequences.py", "test_lora.py")
"""Files whose ranks are forked from one process that has imported verl."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--performance", action="store_true", help="keep what benchmarks measure, write docs/performance.md"
    )
    parser.addoption("--nightly", action="store_true", help="run the tests that train for up to an hour, too")
    parser.addoption("--easyr1", metavar="CHECKOUT", help="run the tests that train in EasyR1's trainer (tests/run.sh)")
    parser.addoption("--gpu-path", action="store_true", help="run the tests that need vLLM's CPU build (tests/run.sh)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Runs of the recipe first: they are long and mostly wait for one process after the other to import verl."""
    for opt_in in ("nightly", "gpu_path", "easyr1"):
        if not config.getoption(opt_in):
            items[:] = [item for item in items if item.get_closest_marker(opt_in) is None]
    items.sort(key=lambda item: item.path.name not in ONE_WARM_START)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
    """With several test processes: a file's tests stay together, and so do files that share what takes long."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            groups = {"recipes": ONE_WARM_START, "ranks": ONE_IMPORT}
            return next((name for name, files in groups.items() if file.endswith(files)), file)

    return ByFile(config, log)
