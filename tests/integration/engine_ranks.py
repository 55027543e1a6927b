"""verl's worker with our engine, on ranks of this machine that talk through gloo: no Ray, no rollout.

One server imports verl and every rank is forked from it: an import takes longer than what a rank does.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.multiprocessing.spawn import start_processes

from easyr1_fgrpo.config.load import load_config
from easyr1_fgrpo.miniature.render import render
from easyr1_fgrpo.miniature.teacher import noisy_response
from easyr1_fgrpo.miniature.worlds.one_step import draw_example

from .ray_cluster import free_port

RANKS = 2
PICTURES = (1, 2, 2, 1, 0, 1, 1, 1)
"""Of each row."""


def on_ranks(folder: Path, task: Callable[..., Any], *given: Any, ranks: int = RANKS) -> list[Any]:
    """Run `task(*given)` on every rank; what each returned, rank 0 first.

    Raises:
        ProcessRaisedException: when a rank failed, with its traceback.
    """
    multiprocessing.set_forkserver_preload(["verl.workers.engine_workers", "easyr1_fgrpo.verl_plugin.engine"])
    folder.mkdir(parents=True, exist_ok=True)
    start_processes(_rank, (ranks, free_port(), folder, task, given), nprocs=ranks, start_method="forkserver")
    return [torch.load(folder / f"returned-{rank}.pt", weights_only=False) for rank in range(ranks)]


def _rank(rank: int, ranks: int, port: int, folder: Path, task: Callable[..., Any], given: tuple[Any, ...]) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.save(task(*given), folder / f"returned-{rank}.pt")


def start_worker(model: Path, *overrides: str) -> Any:
    """The policy's worker of a rank, as verl's trainer starts it for a run with these overrides."""
    from verl.workers.engine_workers import ActorRolloutRefWorker

    size = len(PICTURES) // int(os.environ["WORLD_SIZE"])
    sizes = [f"{part}_micro_batch_size_per_gpu={size}" for part in ("actor.ppo", "rollout.log_prob")]
    given = [f"actor_rollout_ref.{override}" for override in (f"model.path={model}", *sizes)]
    worker = ActorRolloutRefWorker(load_config([*given, *overrides]).actor_rollout_ref, role="actor")
    worker.init_model()
    return worker


# ---------------------------------------------------------------------- rows, as rollouts leave them


def rows_of(model: Path) -> Any:
    """This rank's rows: questions about pictures, with responses of different lengths, and what an update needs."""
    from verl.utils import tensordict_utils as tu

    mine = _rows_of_rank(model)
    columns = {name: [row[name] for row in mine] for name in mine[0]}
    pictures, positions = columns.pop("multi_modal_inputs"), columns.pop("position_ids")
    nested = {name: torch.nested.as_nested_tensor(column, layout=torch.jagged) for name, column in columns.items()}
    nested["position_ids"] = torch.nested.nested_tensor_from_jagged(
        torch.cat(positions, dim=-1), offsets=nested["input_ids"].offsets(), jagged_dim=2
    )
    batch = tu.get_tensordict(nested, {"calculate_entropy": True, "temperature": 1.0})
    tu.assign_non_tensor_stack(batch, "multi_modal_inputs", pictures)
    return batch


def log_probs(worker: Any, model: Path, **asked: Any) -> list[torch.Tensor]:
    """Of every token of this rank's rows but the first, one tensor a row."""
    from verl.utils import tensordict_utils as tu

    batch = rows_of(model)
    tu.assign_non_tensor(batch, compute_loss=False, **asked)
    return [row[:-1] for row in worker.compute_log_prob(batch)["log_probs"].unbind()]


def plain_log_probs(model: Path) -> list[torch.Tensor]:
    """The same by nothing but transformers, row by row, with positions of its own; before verl patches the classes."""
    from transformers import AutoModelForImageTextToText

    policy = AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32).eval()
    found = []
    for row in _rows_of_rank(model):
        ids = row["input_ids"][None]
        images = (ids == policy.config.image_token_id).long()
        with torch.no_grad():
            logits = policy(input_ids=ids, mm_token_type_ids=images, **row["multi_modal_inputs"]).logits
        found.append(logits.log_softmax(-1)[0, :-1].gather(-1, ids[0, 1:, None])[:, 0])
    return found


def update(worker: Any, model: Path) -> None:
    """One step on this rank's rows, which advantages of both signs push apart."""
    from verl.utils import tensordict_utils as tu

    batch = rows_of(model)
    size = len(PICTURES)
    tu.assign_non_tensor(batch, global_batch_size=size, mini_batch_size=size, epochs=1, seed=0,
                         dataloader_kwargs={"shuffle": False})  # fmt: skip
    worker.update_actor(batch)


def weights_of(worker: Any) -> dict[str, torch.Tensor]:
    """The whole weights, as verl sends them to a rollout engine."""
    return {name: weight.clone() for name, weight in worker.actor.engine.get_per_tensor_param()[0]}


def _rows_of_rank(model: Path) -> list[dict[str, Any]]:
    return _rows(model)[int(os.environ["RANK"]) :: int(os.environ["WORLD_SIZE"])]


def _rows(model: Path) -> list[dict[str, Any]]:
    from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
    from verl.utils.tokenizer import hf_processor

    processor, rng = hf_processor(str(model)), np.random.default_rng(0)
    rows = []
    for number, count in enumerate(PICTURES):
        example = draw_example(rng)
        pictures = [render(example.scene, rng) for _ in range(count)]
        parts = [*({"type": "image"} for _ in pictures), {"type": "text", "text": example.question}]
        text = processor.apply_chat_template([{"role": "user", "content": parts}], add_generation_prompt=True)
        seen = dict(processor(text=[text], images=pictures or None, return_tensors="pt"))
        prompt = seen.pop("input_ids")[0]
        response = torch.tensor(processor.tokenizer(noisy_response(example, rng))["input_ids"][: 10 + 4 * number])
        ids, mask = torch.cat([prompt, response]), torch.ones_like(response)
        seen["attention_mask"] = torch.ones_like(ids)[None]
        positions = AgentLoopWorker._compute_position_ids(
            SimpleNamespace(processor=processor), ids[None], seen.pop("attention_mask"), seen
        )
        rows.append({
            "input_ids": ids, "position_ids": positions[0], "multi_modal_inputs": seen,
            "prompts": prompt, "responses": response, "response_mask": mask,
            "loss_mask": torch.cat([torch.zeros_like(prompt), mask]),
            "advantages": mask * (1.0 if number % 2 else -1.0),
            "old_log_probs": mask * -1.0, "ref_log_prob": mask * -2.0,
        })  # fmt: skip
    return rows
