"""Runs as the trainer leaves them, with a tiny checkpoint: exported, loaded by plain transformers, asked."""

import json
import shutil
import subprocess
import sys

import pytest
import tiny
import torch
from omegaconf import OmegaConf
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, ProcessorMixin

from easyr1_fgrpo.checkpoints import CheckpointError, checkpoint_problems, checkpoint_sha256
from easyr1_fgrpo.config.load import load_config
from easyr1_fgrpo.export import export, find_checkpoint
from easyr1_fgrpo.generation.generator import Generator, Prompt
from easyr1_fgrpo.generation.processor import drop_video_processor, encode, torchvision_missing
from easyr1_fgrpo.generation.sampling import Sampling
from easyr1_fgrpo.miniature.model import save_checkpoint
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer

MULTIPLIERS = {"consistency": 0.7654, "spatial_grounding": 0.0, "semantic_grounding": 0.9321}
QUESTION = [{"role": "user", "content": "<image>Is red left or right of blue?"}]


@pytest.fixture(scope="session")
def model():
    """Rounded to bfloat16, in which verl's merger writes."""
    return tiny.model().bfloat16().float()


@pytest.fixture(scope="session")
def config():
    return load_config(["arm=fgrpo"])


@pytest.fixture
def run(tmp_path, model, config):
    """A run after step 2, whose checkpoint holds verl's Hugging Face folder."""
    folder = tmp_path / "fgrpo_tiny-s0"
    checkpoint = folder / "checkpoints" / "global_step_2"
    save_checkpoint(model, build_tokenizer(), checkpoint / "actor" / "huggingface")
    (checkpoint / "fgrpo.json").write_text(json.dumps({"controller": "dual_ascent", "multipliers": MULTIPLIERS}))
    (folder / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("2")
    OmegaConf.save(config, folder / "config.yaml", resolve=True)
    return folder


def as_shards(run, state):
    """Leave the policy's weights as FSDP shards only, as a run without hf_model does."""
    actor = run / "checkpoints" / "global_step_2" / "actor"
    for path in (actor / "huggingface").glob("*.safetensors"):
        path.unlink()
    (actor / "fsdp_config.json").write_text('{"FSDP_version": 2, "world_size": 1}')
    torch.save(state, actor / "model_world_size_1_rank_0.pt")
    return actor


def plain_answer(folder, tokens=24):
    """Greedy, by nothing but transformers, whose processor's video half wants torchvision."""
    if torchvision_missing():
        drop_video_processor(ProcessorMixin)
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    image_tokens = [model.config.image_token_id, model.config.video_token_id]
    image_tokens += [model.config.vision_start_token_id, model.config.vision_end_token_id]
    parts = [{"type": "image"}, {"type": "text", "text": QUESTION[0]["content"].removeprefix("<image>")}]
    text = processor.apply_chat_template([{"role": "user", "content": parts}], add_generation_prompt=True)
    inputs = processor(text=[text], images=[picture()], return_tensors="pt")
    # The rollout never draws an image token.
    ids = model.generate(**inputs, max_new_tokens=tokens, do_sample=False, suppress_tokens=image_tokens)
    return ids[0, inputs["input_ids"].shape[1] :].tolist()


def rollout_answer(folder, tokens=24):
    generator = Generator(str(folder), rows=1, prompt_length=None)
    ids, images = encode(generator.processor, QUESTION, [picture()])
    (completion,) = generator.complete([Prompt(ids, images, Sampling(temperature=0.0), tokens)])
    return completion.ids


def picture():
    image = Image.new("RGB", (84, 84), "white")
    image.paste("red", (0, 0, 28, 28))
    image.paste("blue", (56, 28, 84, 56))
    return image


def test_an_exported_checkpoint_answers_as_the_rollout_does(run, tmp_path):
    checkpoint = export(run, tmp_path / "out" / "my-model")
    folder = tmp_path / "out" / "my-model"
    assert checkpoint.step == 2
    assert checkpoint_problems(folder) == []
    answer = plain_answer(folder)
    assert len(answer) > 3
    assert answer == rollout_answer(checkpoint.exported)
    assert [path.name for path in folder.parent.iterdir()] == ["my-model"]


@pytest.mark.integration
def test_fsdp_shards_are_merged(run, model, tmp_path):
    expected = rollout_answer(run / "checkpoints" / "global_step_2" / "actor" / "huggingface")
    as_shards(run, model.state_dict())
    export(run / "checkpoints" / "global_step_2", tmp_path / "out")
    assert plain_answer(tmp_path / "out") == expected


def test_the_card_tells_that_a_threshold_is_one_of_the_true_rate(run, tmp_path):
    config = OmegaConf.load(run / "config.yaml")
    config.fgrpo.constraints.consistency.judge_error = {"false_negative": 0.1, "false_positive": 0.05}
    OmegaConf.save(config, run / "config.yaml")
    export(run, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    threshold = "0.95 of the true rate (its judge's false negatives 0.1, false positives 0.05)"
    assert f"| consistency | {threshold} | 0.765 |" in card
    assert "| semantic_grounding | 0.95 | 0.932 |" in card


def test_the_card_tells_what_was_trained_and_hides_where(run, tmp_path):
    config = OmegaConf.load(run / "config.yaml")
    config.actor_rollout_ref.model.path = "/home/somebody/runs/warm_start"
    config.data.train_files = ["/home/somebody/data/sat|vgr.parquet"]
    OmegaConf.save(config, run / "config.yaml")
    export(run, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| consistency | 0.95 | 0.765 |" in card
    assert "| spatial_grounding | 0.65 | 0.000 |" in card
    assert "| semantic_grounding | 0.95 | 0.932 |" in card
    assert "| arm | fgrpo |" in card
    assert "16 prompts x 5 rollouts" in card
    assert "trained with Faithful GRPO ([arXiv 2604.08476](https://arxiv.org/abs/2604.08476)) for 2\nsteps" in card
    assert "judge of grounding in training | easyr1_fgrpo.miniature.oracle:OracleJudge" in card
    assert r"sat\|vgr.parquet" in card
    assert "vllm serve out" in card
    assert "Not evaluated." in card
    assert "somebody" not in card
    assert "base_model" not in card


def test_a_base_model_of_the_hub_and_an_unconstrained_arm(run, tmp_path):
    config = OmegaConf.load(run / "config.yaml")
    config.actor_rollout_ref.model.path = "Qwen/Qwen2.5-VL-7B-Instruct"
    config.fgrpo.constraint_keys = []
    config.fgrpo.judges.grounding = {
        "kind": "openai_compatible", "model": "Qwen/Qwen3-VL-30B-A3B-Instruct", "base_urls": ["http://secret-host/v1"],
    }  # fmt: skip
    OmegaConf.save(config, run / "config.yaml")
    export(run, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith('---\nbase_model: "Qwen/Qwen2.5-VL-7B-Instruct"\n')
    assert "No constraint acted in training." in card
    assert "| judge of grounding in training | Qwen/Qwen3-VL-30B-A3B-Instruct |" in card
    assert "secret-host" not in card


def test_only_evaluations_of_these_weights_are_on_the_card(run, tmp_path):
    exported = run / "checkpoints" / "global_step_2" / "actor" / "huggingface"
    (run / "evaluation").mkdir()
    estimate = {"value": 0.5, "low": 0.25, "high": None, "n": 8}
    nothing = {"value": None, "low": None, "high": None, "n": 0}
    results = [
        {
            "mode": mode,
            "identity": weights,
            "data": "/home/somebody/test.parquet, sha256 d",
            "totals": {"scored": 8},
            "metrics": {"accuracy": estimate | {"value": accuracy}, "spatial_grounding": nothing},
        }
        for mode, weights, accuracy in (("greedy", checkpoint_sha256(exported), 0.5), ("sampled", "other", 0.9876))
    ]
    evaluation = {"settings": {"judges": dict.fromkeys(("consistency", "grounding"), "pkg:Judge")}, "results": results}
    (run / "evaluation" / "results.json").write_text(json.dumps(evaluation))
    export(run, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "8 questions of test.parquet, greedy; judged by\npkg:Judge." in card
    assert "| accuracy | 0.500 | 0.250 – – | 8 |" in card
    assert "0.988" not in card
    assert "| spatial_grounding | –" not in card
    assert "Not evaluated." not in card


# ---------------------------------------------------------------------- bad input


def command(source, out):
    return subprocess.run(
        [sys.executable, "-m", "easyr1_fgrpo", "export", str(source), str(out)],
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip


def test_the_command_says_what_is_wrong_in_one_line(tmp_path):
    done = command(tmp_path, tmp_path / "out")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: {tmp_path}: no checkpoint; give a run's folder or one of its checkpoints/global_step_N\n"
    )


def _cut_off(run):
    (weights,) = (run / "checkpoints" / "global_step_2" / "actor" / "huggingface").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1000])


def _without(name):
    def remove(run):
        (run / "checkpoints" / "global_step_2" / name).unlink()

    return remove


def _unfinished(run):
    """Killed while verl was writing the checkpoint of step 2."""
    (run / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("1")


def _without_template(run):
    folder = run / "checkpoints" / "global_step_2" / "actor" / "huggingface"
    (folder / "chat_template.jinja").unlink()


def _a_shard_missing(run):
    actor = as_shards(run, {})
    (actor / "fsdp_config.json").write_text('{"world_size": 8}')
    (actor / "model_world_size_1_rank_0.pt").rename(actor / "model_world_size_8_rank_0.pt")


def _no_weights(run):
    actor = as_shards(run, {})
    (actor / "fsdp_config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut_off, "half-written checkpoint: model.safetensors is cut off or damaged"),
        (_unfinished, "global_step_2: half-written; the last whole one is global_step_1"),
        (_without("fgrpo.json"), "fgrpo.json is missing"),
        (_without("actor/huggingface/config.json"), "config.json is missing"),
        (_without("actor/huggingface/tokenizer.json"), "half-written checkpoint: the checkpoint has no tokenizer"),
        (_without_template, "no chat template"),
        (_a_shard_missing, "model_world_size_8_rank_1.pt is missing: 7 of 8 FSDP shards"),
        (_no_weights, "no weights, neither in huggingface/ nor as FSDP shards"),
        (lambda run: (run / "config.yaml").unlink(), "config.yaml is missing"),
    ],
    ids=lambda value: getattr(value, "__name__", "")[:20],
)
def test_a_damaged_checkpoint_leaves_nothing_behind(run, tmp_path, damage, message):
    damage(run)
    with pytest.raises(CheckpointError, match=message) as raised:
        export(run / "checkpoints" / "global_step_2", tmp_path / "out" / "model")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_a_listed_shard_that_is_missing_is_named(run, tmp_path):
    folder = run / "checkpoints" / "global_step_2" / "actor" / "huggingface"
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00002-of-00002.safetensors"}}')
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002\.safetensors, which the index lists, is missing"):
        export(run, tmp_path / "out")


def test_an_existing_output_is_never_overwritten(run, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="is there already"):
        export(run, out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_a_step_that_does_not_exist_is_refused(run):
    with pytest.raises(CheckpointError, match="global_step_7: no such checkpoint"):
        find_checkpoint(run / "checkpoints" / "global_step_7")


def test_a_run_means_its_last_whole_checkpoint(run):
    checkpoints = run / "checkpoints"
    shutil.copytree(checkpoints / "global_step_2", checkpoints / "global_step_4")
    assert find_checkpoint(run).step == 2
    (checkpoints / "latest_checkpointed_iteration.txt").write_text("4")
    assert find_checkpoint(run).folder == (checkpoints / "global_step_4").resolve()
    assert find_checkpoint(checkpoints / "global_step_2").step == 2


def test_a_run_on_easyr1_has_its_card_and_says_who_merges_its_shards(run, model, config, tmp_path):
    actor = as_shards(run, model.state_dict())
    (actor / "fsdp_config.json").unlink()
    data = {"train_files": "/home/somebody/train.parquet@train", "rollout_batch_size": 12}
    worker = {"actor": {"model": {"model_path": "Qwen/Qwen2.5-VL-7B-Instruct"}}, "rollout": {"n": 7}}
    fgrpo = OmegaConf.to_container(config, resolve=True)["fgrpo"]
    OmegaConf.save({"fgrpo": fgrpo, "data": data, "worker": worker, "arm": "fgrpo"}, run / "config.yaml")
    with pytest.raises(CheckpointError) as refused:
        export(run, tmp_path / "out")  # upstream's verl is here
    way_out = f"`fgrpo export` again, or python EASYR1/scripts/model_merger.py --local_dir {actor}"
    assert str(refused.value).endswith(way_out)
    save_checkpoint(model, build_tokenizer(), actor / "huggingface")  # what EasyR1's merger makes there
    export(run, tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    assert "steps of 12 prompts x 7 rollouts" in " ".join(card.split())
    assert 'base_model: "Qwen/Qwen2.5-VL-7B-Instruct"' in card
    assert "| training data | train.parquet@train |" in card
