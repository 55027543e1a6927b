"""verl's agent loop worker outside of Ray, and prompts of our dataset class: what becomes of a prompt's pictures."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from easyr1_fgrpo.config.load import load_config
from easyr1_fgrpo.host import on_cpu
from easyr1_fgrpo.verl_plugin.dataset import BudgetedDataset


def jpeg(width, height, seed=0):
    """A picture with large shapes and noise, as a file."""
    noise = np.random.default_rng(seed).integers(0, 32, (height, width, 3), dtype=np.uint8)
    slope = np.linspace(0, 220, width, dtype=np.uint8)[None, :, None]
    file = BytesIO()
    Image.fromarray(noise + slope).save(file, "JPEG", quality=90)
    return file.getvalue()


def allow_pixels(checkpoint, most):
    """Let the image processor of a checkpoint keep pictures of up to so many pixels."""
    path = checkpoint / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    for name in ("size", "min_pixels", "max_pixels"):
        settings.pop(name, None)
    path.write_text(json.dumps(settings | {"size": {"shortest_edge": 3136, "longest_edge": most}}))
    return checkpoint


def config_of(checkpoint, budget, *overrides):
    """Of a run with the tiny backbone whose policy is the checkpoint; budget in pixels, least and most."""
    assert on_cpu()
    return load_config(
        [
            "backbone=tiny",
            f"stages.warm_start={checkpoint}",
            f"fgrpo.images={{min_pixels: {budget[0]}, max_pixels: {budget[1]}}}",
            "data.max_prompt_length=8192",
            "actor_rollout_ref.rollout.prompt_length=8192",
            "actor_rollout_ref.rollout.max_model_len=null",
            *overrides,
        ]
    )


def worker_of(config, client, reward_workers=None):
    """An agent loop worker in this process, as its actor has it; needs TransferQueue's client, or a stand-in."""
    from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ

    return AgentLoopWorkerTQ.__ray_metadata__.modified_class(config, client, None, reward_workers)


def dataset_of(config, folder, worker, row, pictures):
    """Our dataset of prompts: `pictures` holds a list of files for each."""
    rows = []
    for index, files in enumerate(pictures):
        text = row["prompt"][0]["content"].replace("<image>", "")
        rows.append(
            {
                **row,
                "prompt": [{"role": "user", "content": "<image>" * len(files) + text}],
                "images": [{"bytes": file} for file in files],
                "extra_info": {**row["extra_info"], "index": index},
            }
        )
    path = folder / "prompts.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return BudgetedDataset([str(path)], worker.tokenizer, config.data, worker.processor)


def batch_of(dataset, numbers, step=1, validate=False):
    """Prompts of a dataset as the trainer sends them to the agent loop workers."""
    from verl.utils import tensordict_utils as tu
    from verl.utils.dataset.rl_dataset import collate_fn

    columns = collate_fn([dataset[number] for number in numbers])
    columns["uid"] = np.array([f"run-{step}-{number}" for number in numbers], dtype=object)
    batch = tu.get_tensordict(columns)
    tu.assign_non_tensor_data(batch, "global_steps", step)
    if validate:
        tu.assign_non_tensor_data(batch, "validate", True)
    return batch


async def roll_out(worker, batch):
    """Until every rollout of the batch is in the queue."""
    await worker.generate_sequences(batch)
    while worker.background_tasks:
        await asyncio.gather(*worker.background_tasks)


@contextmanager
def as_verl_has_it():
    """Without what we changed in the agent loop worker's processing."""
    from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
    from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ

    with pytest.MonkeyPatch.context() as patch:
        for name in ("_run_agent_loop", "_compute_multi_modal_inputs"):
            # Ray gives the actor's class wrapped methods of its own.
            actor = AgentLoopWorkerTQ.__ray_metadata__.modified_class
            patch.setattr(actor, name, getattr(AgentLoopWorker, name).__wrapped__)
        yield
