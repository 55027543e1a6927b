"""The Ray cluster of a stage: the one at RAY_ADDRESS, or a private one that ends with the stage."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OBJECT_STORE_BYTES = 512 * 2**20
"""Of a private cluster: blocks of a few rows are all that lies there."""


@contextmanager
def ray_cluster() -> Iterator[None]:
    """Be connected while the context lasts; workers find this checkout's modules."""
    # Ray reads these when it is imported; without a token of our own it would write one into the user's home.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if os.environ["RAY_AUTH_MODE"] == "token":
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.data import DataContext

    checkout = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [checkout, os.environ.get("PYTHONPATH", "")]))
    if (address := os.environ.get("RAY_ADDRESS", "local")) == "local":
        os.environ["PYTHONPATH"] = path  # inherited; a runtime_env would make every worker start anew
        how: dict[str, Any] = {
            "num_cpus": max(2, os.cpu_count() or 1),
            "object_store_memory": OBJECT_STORE_BYTES,
            "include_dashboard": False,
        }
    else:
        how = {"runtime_env": {"env_vars": {"PYTHONPATH": path}}}
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **how)
    DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()
