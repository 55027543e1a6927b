import importlib
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from tensordict import TensorDict
from transformers import AutoProcessor, ProcessorMixin

from easyr1_fgrpo.generation.processor import torchvision_missing
from easyr1_fgrpo.miniature.model import build_image_processor
from easyr1_fgrpo.verl_plugin import compat
from easyr1_fgrpo.verl_plugin.compat import PATCHES

NAMED = {patch.name: patch for patch in PATCHES}
EVERYWHERE = {
    "micro-batches without images",
    "batches of equal length",
    "processors without torchvision",
    "locks for making folders",
    "one processing of a prompt",
    "pixel values in levels",
}


def test_every_patch_says_what_why_and_until_when():
    assert len(NAMED) == len(PATCHES)
    for patch in PATCHES:
        assert patch.name.strip()
        assert patch.why.strip()
        assert patch.until.strip()


@pytest.mark.parametrize(
    ("verl", "platform", "wanted"),
    [
        ("0.9.1", "cpu", set(NAMED)),
        ("0.9.1", " CPU ", set(NAMED)),
        ("0.9.1", "", EVERYWHERE),
        ("0.9.1", "cuda", EVERYWHERE),
        ("0.9.2", "cpu", set()),
    ],
)
def test_a_patch_is_wanted_on_its_platform_and_version(monkeypatch, verl, platform, wanted):
    monkeypatch.setattr("easyr1_fgrpo.verl_plugin.patch.version", {"verl": verl}.get)
    monkeypatch.setenv("VERL_PLATFORM", platform)
    assert {patch.name for patch in PATCHES if patch.wanted()} == wanted


def fixed_elsewhere():
    """Stands for what a later verl may ship."""


def test_a_patch_leaves_a_fixed_module_alone():
    for name, module in [
        ("micro-batches without images", SimpleNamespace(_get_input_embeds=fixed_elsewhere)),
        ("batches of equal length", SimpleNamespace(maybe_fix_3d_position_ids=fixed_elsewhere)),
        ("process group backend", SimpleNamespace(initialize_global_process_group_ray=fixed_elsewhere)),
        ("reference model offload", SimpleNamespace(FSDPEngine=SimpleNamespace(_build_fsdp_module=fixed_elsewhere))),
        (
            "counting placeholders",
            SimpleNamespace(ProcessorMixin=SimpleNamespace(_check_special_mm_tokens=fixed_elsewhere)),
        ),
        ("locks for making folders", SimpleNamespace(local_mkdir_safe=fixed_elsewhere)),
        (
            "building agent loops",
            SimpleNamespace(AgentLoopWorker=SimpleNamespace(_run_agent_loop=fixed_elsewhere)),
        ),
        (
            "one processing of a prompt",
            SimpleNamespace(AgentLoopWorker=SimpleNamespace(_compute_multi_modal_inputs=fixed_elsewhere)),
        ),
        ("pixel values in levels", SimpleNamespace(extract_multi_modal_inputs=fixed_elsewhere)),
    ]:
        patch = NAMED[name]
        assert not patch.needed(module), name
        before = dict(vars(module))
        compat._apply_if_needed(patch, module)
        assert vars(module) == before, name


# ---------------------------------------------------------------------- micro-batches without images


@pytest.fixture
def qwen2_vl():
    from verl.models.transformers import qwen2_vl

    return qwen2_vl


@pytest.fixture
def text_ids():
    return torch.tensor([[20, 21, 22, 23], [24, 25, 0, 0]])


def test_text_only_branch_fails_unpatched(qwen2_vl, tiny_model, text_ids):
    unpatched = qwen2_vl._get_input_embeds.__wrapped__
    assert NAMED["micro-batches without images"].needed(SimpleNamespace(_get_input_embeds=unpatched))
    with pytest.raises(AttributeError, match="mean"):
        unpatched(tiny_model.model, text_ids)


def test_text_only_branch_gives_the_words_embeddings_and_keeps_the_tower_in_the_graph(qwen2_vl, tiny_model, text_ids):
    words = tiny_model.get_input_embeddings()(text_ids)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    embeds, seen_mask = qwen2_vl._get_input_embeds(tiny_model.model, text_ids, mask, None, None, None, None)
    assert torch.isfinite(embeds).all()
    torch.testing.assert_close(embeds, words, rtol=0, atol=0)
    assert torch.equal(seen_mask, mask)
    embeds.sum().backward()
    assert all(weight.grad is not None and not weight.grad.any() for weight in tiny_model.model.visual.parameters())
    assert qwen2_vl._get_input_embeds(tiny_model.model, text_ids)[1] is None


def test_with_images_the_branch_is_verls_own(qwen2_vl, tiny_model):
    vision = build_image_processor()(images=[Image.new("RGB", (84, 84), "red")], return_tensors="pt")
    ids = torch.tensor([[20, *[tiny_model.config.image_token_id] * 9, 21]])
    arguments = (ids, torch.ones_like(ids), vision["pixel_values"], None, vision["image_grid_thw"], None)
    with torch.no_grad():
        embeds, _ = qwen2_vl._get_input_embeds(tiny_model.model, *arguments)
        expected, _ = qwen2_vl._get_input_embeds.__wrapped__(tiny_model.model, *arguments)
        words = tiny_model.get_input_embeddings()(ids)
    assert torch.equal(embeds, expected)
    assert not torch.equal(embeds[:, 1:10], words[:, 1:10])


# ---------------------------------------------------------------------- process group backend

START = """
import torch
import torch.distributed as dist
for backend in {backends}:
    try:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    except Exception:
        print("refused", backend)
    else:
        total = torch.ones(1)
        dist.all_reduce(total)
        print("works", backend, int(total))
        dist.destroy_process_group()
"""


def test_torch_takes_the_fixed_process_group_and_refuses_verls(monkeypatch):
    from verl.utils import distributed
    from verl.utils.device import get_device_name

    assert NAMED["process group backend"].needed(distributed)
    asked = []
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: False)
    monkeypatch.setattr("torch.distributed.init_process_group", lambda backend, **rest: asked.append(backend))
    distributed.initialize_global_process_group_ray()
    monkeypatch.setattr(distributed, "get_device_name", get_device_name)  # as verl has it
    distributed.initialize_global_process_group_ray()
    assert asked == ["cpu:gloo,cuda:gloo", "cpu:gloo,cpu:gloo"]
    # In a process of its own: torch keeps one default group a process.
    run = [sys.executable, "-c", START.format(backends=asked)]
    output = subprocess.run(run, capture_output=True, text=True, timeout=400, check=True).stdout
    assert output.splitlines() == ["works cpu:gloo,cuda:gloo 1", "refused cpu:gloo,cpu:gloo"]


# ---------------------------------------------------------------------- reference model offload


@pytest.mark.skipif(torch.cuda.is_available(), reason="memory can be pinned here")
def test_the_offload_policy_pins_no_memory_where_none_can_be_pinned():
    from torch.distributed.fsdp import CPUOffloadPolicy
    from verl.workers.engine.fsdp import transformer_impl

    assert NAMED["reference model offload"].needed(transformer_impl)
    with pytest.raises(RuntimeError):
        torch.zeros(1).pin_memory()
    policy = transformer_impl.CPUOffloadPolicy(pin_memory=True)
    assert isinstance(policy, CPUOffloadPolicy)
    assert policy.pin_memory is False


# ---------------------------------------------------------------------- processors without torchvision


@pytest.mark.skipif(not torchvision_missing(), reason="torchvision is installed: the patch is not needed")
def test_processors_are_built_without_their_video_half(checkpoint):
    import transformers.processing_utils

    assert NAMED["processors without torchvision"].needed(transformers.processing_utils)
    processor = AutoProcessor.from_pretrained(checkpoint)
    encoded = processor(text=["<|image_pad|>"], images=[Image.new("RGB", (84, 84))])
    assert len(encoded["input_ids"][0]) == 9
    patched = ProcessorMixin.get_attributes.__func__
    unpatched = patched.__wrapped__
    assert "video_processor" in unpatched(type(processor))
    assert "video_processor" not in patched(type(processor))


# ---------------------------------------------------------------------- counting placeholders


def test_placeholders_are_counted_in_lists_and_as_strictly(checkpoint):
    seen = []
    patched = ProcessorMixin._check_special_mm_tokens
    unpatched = patched.__wrapped__
    processor = AutoProcessor.from_pretrained(checkpoint)
    ids = torch.tensor([[processor.image_token_id, 1, processor.image_token_id]])
    for check in (patched, unpatched):
        check(processor, [processor.image_token * 2], {"input_ids": ids}, ["image"])
        with pytest.raises(ValueError, match="Mismatch in `image` token count"):
            check(processor, [processor.image_token], {"input_ids": ids}, ["image"])

    original = SimpleNamespace(_check_special_mm_tokens=lambda self, text, inputs, kinds: seen.append(inputs))
    compat._fix_placeholder_count(SimpleNamespace(ProcessorMixin=original))
    original._check_special_mm_tokens(None, [], {"input_ids": ids}, [])
    original._check_special_mm_tokens(None, [], {"input_ids": [[5]]}, [])
    assert seen == [{"input_ids": ids.tolist()}, {"input_ids": [[5]]}]


# ---------------------------------------------------------------------- log-probabilities


@pytest.mark.parametrize("shape", [(1, 72), (1025, 72), (64, 2374), (2, 5, 72)])
def test_log_probabilities_and_gradients_of_many_tokens_are_verls_to_the_last_digit(shape):
    module = importlib.import_module("verl.utils.torch_functional")
    patched = module.logprobs_from_logits_v2
    assert patched is not patched.__wrapped__
    logits = (10 * torch.randn(shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
    labels = torch.randint(shape[-1], shape[:-1], generator=torch.Generator().manual_seed(1))
    found, verls = (function(logits, labels) for function in (patched, patched.__wrapped__))
    assert torch.equal(found, verls)
    weights = torch.linspace(-1.0, 1.0, found.numel()).reshape(found.shape)
    assert torch.equal(*(torch.autograd.grad((each * weights).sum(), logits)[0] for each in (found, verls)))


# ---------------------------------------------------------------------- building agent loops


def test_an_agent_loop_is_built_as_hydra_builds_it():
    from verl.experimental.agent_loop import agent_loop

    plain = agent_loop._agent_loop_registry["single_turn_agent"]
    assert set(plain) == {"_target_"}
    named, more = {"_target_": "types.SimpleNamespace"}, {"_target_": "types.SimpleNamespace", "b": 2}
    kept = object()
    for instantiate in (agent_loop.hydra.utils.instantiate, agent_loop.hydra.__wrapped__.utils.instantiate):
        assert instantiate(config=named, a=kept) == SimpleNamespace(a=kept)
        assert instantiate(config=more, a=1) == SimpleNamespace(a=1, b=2)


@pytest.mark.skipif(not torchvision_missing(), reason="torchvision is installed")
def test_the_stand_in_for_qwen_vl_utils_is_installed():
    import qwen_vl_utils

    from easyr1_fgrpo.verl_plugin.cpu import vision

    assert qwen_vl_utils.process_vision_info is vision.process_vision_info


@pytest.mark.parametrize("lengths", [(3, 3), (3, 3, 3), (3, 2), (1, 4, 2)])
def test_position_ids_of_any_lengths_can_be_padded(lengths):
    from verl.utils import tensordict_utils

    rows = [torch.arange(4 * length).reshape(4, length) for length in lengths]

    def pad(fix):
        nested = torch.nested.as_nested_tensor(rows, layout=torch.jagged)
        data = TensorDict({"position_ids": nested}, batch_size=[len(rows)])
        fix(data)
        size = (len(rows), 4, max(lengths))
        return torch.nested.to_padded_tensor(data["position_ids"], padding=0, output_size=size)

    patched = tensordict_utils.maybe_fix_3d_position_ids
    padded = pad(patched)
    for row, length, expected in zip(padded, lengths, rows, strict=True):
        assert torch.equal(row[:, :length], expected)
        assert not row[:, length:].any()
    if len(set(lengths)) == 1:
        with pytest.raises(RuntimeError):
            pad(patched.__wrapped__)


# ---------------------------------------------------------------------- a prompt's pictures


def test_verl_still_processes_each_rollout_and_its_engines_read_by_the_patched_function():
    """What the two patches do is in test_shared_prompt.py and test_pixel_levels.py."""
    from verl.experimental.agent_loop import agent_loop
    from verl.utils import model
    from verl.workers.engine.fsdp import transformer_impl

    assert NAMED["one processing of a prompt"].needed(agent_loop)
    assert NAMED["pixel values in levels"].needed(model)
    assert transformer_impl.extract_multi_modal_inputs is model.extract_multi_modal_inputs
    assert hasattr(model.extract_multi_modal_inputs, "__wrapped__")


# ---------------------------------------------------------------------- locks for making folders


def test_making_a_folder_leaves_nothing_behind(tmp_path, monkeypatch):
    """verl's own leaves a file in the temporary folder, each process another."""
    from verl.utils import fs

    left = tmp_path / "tmp"
    left.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(left))
    monkeypatch.chdir(tmp_path)
    unpatched = fs.local_mkdir_safe.__wrapped__
    assert NAMED["locks for making folders"].needed(SimpleNamespace(local_mkdir_safe=unpatched))
    unpatched("a/b")
    (lock,) = left.iterdir()
    lock.unlink()
    for path in ("c/d", str(tmp_path / "c/d"), "a/b"):
        assert fs.local_mkdir_safe(path) == str(tmp_path / path)
        assert (tmp_path / path).is_dir()
    assert not list(left.iterdir())
