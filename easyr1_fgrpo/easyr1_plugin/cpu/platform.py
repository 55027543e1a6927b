"""EasyR1 on a machine without a GPU: gloo for NCCL, sdpa for flash-attn, our generator for vLLM.

`install` is Ray's `worker_process_setup_hook`, so it imports nothing heavy: each module is changed right after somebody
imports it. Such a run has `padding_free`, `dynamic_batching`, `use_torch_compile` and `fsdp.enable_rank0_init` false.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import wrapt

VLLM = (
    *("vllm", "vllm.distributed", "vllm.distributed.parallel_state"),
    *("vllm.lora", "vllm.lora.models", "vllm.lora.request", "vllm.lora.utils", "vllm.lora.worker_manager"),
)
"""Modules of vLLM that EasyR1 imports."""

VISION = ("qwen_vl_utils", "qwen_vl_utils.vision_process")
"""Needs torchvision, which has no CPU wheel; EasyR1 reads nothing but videos with it."""


class StandIn(ModuleType):
    """A module whose names are those of `cpu.engine`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        from easyr1_fgrpo.easyr1_plugin.cpu import engine

        return sys.modules.get(f"{self.__name__}.{name}") or getattr(engine, name, engine.Absent)


def install() -> None:
    """Change this process; a second time does nothing."""
    if isinstance(sys.modules.get("vllm"), StandIn):
        return
    for name in (*VLLM, *VISION):
        sys.modules[name] = StandIn(name)
    for name, change in _CHANGES.items():
        wrapt.register_post_import_hook(change, name)


def _torch(torch: Any) -> None:
    import psutil  # type: ignore[import-untyped,unused-ignore]
    from torch.distributed import device_mesh

    def memory() -> tuple[int, int]:
        found = psutil.virtual_memory()
        return int(found.available), int(found.total)

    def resident(device: Any = None) -> int:
        return int(psutil.Process().memory_info().rss)

    answers: dict[str, Callable[..., Any]] = {
        "current_device": lambda: torch.device("cpu"),
        "set_device": lambda device: None,
        "get_device_name": lambda device=None: "cpu",
        "get_rng_state": lambda device=None: torch.get_rng_state(),
        "set_rng_state": lambda state, device=None: torch.set_rng_state(state),
        "manual_seed": lambda seed: torch.manual_seed(seed),
        "mem_get_info": lambda device=None: memory(),
        "max_memory_allocated": resident,
        "max_memory_reserved": resident,
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, answer)
    _first_argument(torch.distributed, "init_process_group", "backend", "gloo")
    _first_argument(device_mesh, "init_device_mesh", "device_type", "cpu")


def _first_argument(module: Any, function: str, name: str, value: str) -> None:
    """Let a function be called with this value for its first argument, whatever its caller gives."""
    original = getattr(module, function)

    @wraps(original)
    def changed(*arguments: Any, **named: Any) -> Any:
        return original(*arguments[1:], **{**named, name: value})

    setattr(module, function, changed)


def _tensordict(tensordict: Any) -> None:
    tensordict.TensorDict.cuda = lambda self, device=None: self


def _auto_classes(factory: Any) -> None:
    original = factory._BaseAutoModelClass.from_pretrained.__func__

    def from_pretrained(cls: Any, *arguments: Any, **options: Any) -> Any:
        changes = {"attn_implementation": "sdpa", "device_map": "cpu"}
        options |= {key: value for key, value in changes.items() if key in options}
        return original(cls, *arguments, **options)

    factory._BaseAutoModelClass.from_pretrained = classmethod(from_pretrained)


def _processing(module: Any) -> None:
    from easyr1_fgrpo.generation.processor import drop_video_processor, torchvision_missing

    if torchvision_missing():
        drop_video_processor(module.ProcessorMixin)


def _vllm_utils(module: Any) -> None:
    module.VLLMHijack.hijack = staticmethod(lambda: None)  # it changes vLLM's own classes


_CHANGES: dict[str, Callable[[Any], None]] = {
    "torch": _torch,
    "tensordict": _tensordict,
    "transformers.models.auto.auto_factory": _auto_classes,
    "transformers.processing_utils": _processing,
    "verl.utils.vllm_utils": _vllm_utils,
}
