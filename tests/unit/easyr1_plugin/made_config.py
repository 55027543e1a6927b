"""The keys of EasyR1's that are looked at, with the values of a run as it should be."""

from copy import deepcopy

from omegaconf import OmegaConf

LOCAL = {"kind": "local", "target": "easyr1_fgrpo.miniature.own.judge:ConclusionJudge"}
THEIRS = {
    "data": {
        "train_files": "me/train@train",
        "val_files": "me/train@test",
        "min_pixels": 3136,
        "max_pixels": 7056,
        "max_prompt_length": 64,
        "max_response_length": 56,
        "rollout_batch_size": 8,
        "val_batch_size": -1,
        "mini_rollout_batch_size": None,
        "format_prompt": None,
        "override_chat_template": None,
        "image_dir": None,
        "seed": 1,
    },
    "algorithm": {
        "adv_estimator": "grpo",
        "gamma": 1.0,
        "lam": 1.0,
        "disable_kl": False,
        "use_kl_loss": True,
        "kl_penalty": "low_var_kl",
        "kl_coef": 0.01,
        "kl_type": "fixed",
        "online_filtering": False,
    },
    "worker": {
        "hybrid_engine": True,
        "actor": {
            "strategy": "fsdp",
            "global_batch_size": 4,
            "micro_batch_size_per_device_for_update": 5,
            "micro_batch_size_per_device_for_experience": 10,
            "max_grad_norm": 1.0,
            "clip_ratio_low": 0.2,
            "clip_ratio_high": 0.3,
            "loss_avg_mode": "token",
            "loss_type": "default",
            "ppo_epochs": 1,
            "ulysses_size": 1,
            "model": {"model_path": "me/model", "lora": {"rank": 0}},
            "optim": {"lr": 1e-6, "strategy": "adamw", "lr_scheduler_type": "constant"},
            "fsdp": {"enable_cpu_offload": False},
        },
        "ref": {"strategy": "fsdp"},
        "rollout": {
            "name": "vllm",
            "n": 5,
            "seed": 1,
            "limit_images": 0,
            "temperature": 1.0,
            "top_p": 1.0,
            "gpu_memory_utilization": 0.6,
            "tensor_parallel_size": 1,
            "max_num_batched_tokens": 8192,
            "max_model_len": None,
            "val_override_config": {"n": 1},
        },
        "reward": {
            "reward_function": None,
            "reward_function_kwargs": {},
            "skip_special_tokens": True,
            "num_cpus": 1,
        },
    },
    "trainer": {
        "total_epochs": 1,
        "max_steps": 5,
        "experiment_name": "x",
        "logger": ["console", "file"],
        "nnodes": 1,
        "n_gpus_per_node": 2,
        "max_try_make_batch": 20,
        "critic_warmup": 0,
        "val_only": False,
        "save_freq": 2,
        "save_model_only": False,
        "save_checkpoint_path": None,
        "load_checkpoint_path": None,
        "find_last_checkpoint": True,
    },
    "arm": "fgrpo",
}
OURS = {
    "run_dir": "runs/x",
    "constraint_keys": ["consistency"],
    "constraints": {"consistency": {"threshold": 0.95}},
    "judges": {"consistency": LOCAL},
    "images": {"min_pixels": 3136, "max_pixels": 7056},
    "max_probs_difference": None,
}


def config_of(*changes, **ours):
    """With (key, value) changed in EasyR1's keys, and keys of ours replaced."""
    config = OmegaConf.create(deepcopy(THEIRS) | {"fgrpo": OURS | ours})
    for key, value in changes:
        OmegaConf.update(config, key, value, merge=False)
    return config
