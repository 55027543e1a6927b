"""What EasyR1's own main does, with FGRPO's trainer, rewards and dataset; it runs in a Ray worker."""

from __future__ import annotations

from typing import Any

import ray
from verl.single_controller.ray import RayWorkerGroup
from verl.trainer import data_loader
from verl.trainer.ray_trainer import ResourcePoolManager, Role
from verl.utils.tokenizer import get_processor, get_tokenizer
from verl.workers.fsdp_workers import FSDPWorker

from easyr1_fgrpo.easyr1_plugin.config import FaithfulPPOConfig, as_written
from easyr1_fgrpo.easyr1_plugin.dataset import FaithfulDataset
from easyr1_fgrpo.easyr1_plugin.rewards import FaithfulRewards
from easyr1_fgrpo.easyr1_plugin.trainer import FaithfulTrainer
from easyr1_fgrpo.preflight.resume import write_config

POOL = "fgrpo"


class Runner:
    """Builds a run and trains it."""

    def run(self, config: FaithfulPPOConfig) -> None:
        """Train to the last step."""
        trainer = build_trainer(config)
        write_config(as_written(config, trainer.training_steps))
        trainer.init_workers()
        trainer.fit()


def build_trainer(config: FaithfulPPOConfig) -> FaithfulTrainer:
    """The trainer of a config, with its data, its reward actor and its places on the cluster."""
    model, data = config.worker.actor.model, config.data
    template = {"override_chat_template": data.override_chat_template}
    options = {**template, "trust_remote_code": model.trust_remote_code, "use_fast": True}
    tokenizer, processor = get_tokenizer(model.model_path, **options), get_processor(model.model_path, **options)
    train, val = dataloaders(config, tokenizer, processor)
    rewards = (
        ray.remote(FaithfulRewards)
        .options(num_cpus=config.worker.reward.num_cpus)
        .remote(
            config.fgrpo,
            tokenizer,
            processor,
            pixels=(data.min_pixels, data.max_pixels),
            max_response_length=data.max_response_length,
        )
    )
    return FaithfulTrainer(
        config=config,
        tokenizer=tokenizer,
        processor=processor,
        train_dataloader=train,
        val_dataloader=val,
        role_worker_mapping={Role.ActorRolloutRef: ray.remote(FSDPWorker)},
        resource_pool_manager=ResourcePoolManager(
            resource_pool_spec={POOL: [config.trainer.n_gpus_per_node] * config.trainer.nnodes},
            mapping={Role.ActorRolloutRef: POOL},
        ),
        ray_worker_group_cls=RayWorkerGroup,
        reward_fn=rewards,
        val_reward_fn=rewards,
    )


def dataloaders(config: FaithfulPPOConfig, tokenizer: Any, processor: Any) -> tuple[Any, Any]:
    """EasyR1's loaders of training and validation over our dataset, whose class it names in its own module."""
    splits = {config.data.train_files: "train", config.data.val_files: "val"}

    def dataset(*, data_path: str, **options: Any) -> FaithfulDataset:
        return FaithfulDataset(split=splits[data_path], data_path=data_path, **options)

    data_loader.RLHFDataset = dataset
    loaders: tuple[Any, Any] = data_loader.create_dataloader(config.data, tokenizer, processor)
    return loaders
