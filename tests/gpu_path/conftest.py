"""One set of stages serves all runs of the 7B recipe on this machine."""

from __future__ import annotations

import pytest
from integration.recipe_runs import Runs
from integration.recipes import HERE
from performance import row  # noqa: F401 (a fixture)

RECIPE = "recipes/run_fgrpo_qwen25vl_7b.sh"
ON_VLLM = [
    "actor_rollout_ref.rollout.name=vllm",
    "actor_rollout_ref.rollout.load_format=auto",  # as in config/gpu.yaml
    # On a CPU vLLM has neither graphs nor sleep, and refuses verl's determinism, which needs a GPU's kernels.
    "actor_rollout_ref.rollout.enforce_eager=true",
    "+actor_rollout_ref.rollout.enable_sleep_mode=false",
    "actor_rollout_ref.rollout.full_determinism=false",
    "actor_rollout_ref.rollout.gpu_memory_utilization=0.2",
    "actor_rollout_ref.rollout.max_model_len=512",
    "actor_rollout_ref.rollout.max_num_batched_tokens=2048",
    # Weights travel through shared memory, which containers have little of.
    "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes=8",
]
"""On top of scale=cpu: verl's vLLM rollout, which is what runs on GPUs, instead of ours."""


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"), RECIPE, [*HERE, *ON_VLLM])
