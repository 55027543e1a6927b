"""FGRPO in TRL's GRPOTrainer, run as docs/as_a_library.md has it: on pictures, on text, resumed, without a judge."""

import re
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from integration.memorised import World, memorise

trl = pytest.importorskip("trl", reason="TRL has an environment of its own: bash tests/run.sh --trl")

import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from transformers import Qwen2Config, Qwen2ForCausalLM, TrainerCallback  # noqa: E402

import easyr1_fgrpo as f  # noqa: E402
from easyr1_fgrpo.generation.processor import load_processor  # noqa: E402
from easyr1_fgrpo.judges.protocol import Failure, Verdict  # noqa: E402
from easyr1_fgrpo.miniature.backbone import IGNORED  # noqa: E402
from easyr1_fgrpo.miniature.oracle import OracleJudge  # noqa: E402
from easyr1_fgrpo.miniature.tokenizer import EOS, build_tokenizer  # noqa: E402

ROOT = Path(__file__).parents[2]
(USE,) = [
    block
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs/as_a_library.md").read_text(), re.DOTALL)
    if "trainer.train()" in block
]
HERE = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": [], "disable_tqdm": True} | {
    "logging_steps": 1, "log_completions": True, "num_completions_to_print": 0, "per_device_train_batch_size": 20,
}  # fmt: skip
THRESHOLDS = {"consistency_reward": 0.95, "grounding_reward": 0.95, "spatial_reward": 0.65}
LR, MAX, MIN_APPLICABLE = 0.05, 5.0, 8


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("tiny") / "world", 16)


@pytest.fixture(scope="module")
def model(world):
    """A tiny Qwen2.5-VL that half knows by heart some faithful and some unfaithful responses."""
    folder = world.folder / "model"
    memorise(world, world.responses("shortcut"), folder, 40)
    load_processor(str(folder))  # which lets transformers build one without torchvision
    return folder


@pytest.fixture
def text_model(world):
    """A tiny Qwen2 that knows the same without the pictures."""
    folder, tokenizer = world.folder / "text_model", build_tokenizer()
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    special = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tokenizer), num_key_value_heads=1, **sizes, **special))
    asked = [[{"role": "user", "content": example.question}] for example in world.examples]
    prompts = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    texts = [prompt + response + EOS for prompt, response in zip(prompts, world.responses("shortcut"), strict=True)]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, IGNORED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(100):
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
    model.save_pretrained(folder)  # without the tokenizer, which transformers would load as Qwen's own class
    return folder


def rows(world, *, pictures):
    for number, (example, picture) in enumerate(zip(world.examples, world.pictures, strict=True)):
        yield {
            "prompt": [{"role": "user", "content": example.question}],
            "choices": [str(relation) for relation in example.choices],
            "ground_truth": str(example.answer),
            **({"image": picture} if pictures else {}),
            "boxes": [[float(edge) for edge in thing.box] for thing in example.asked] if number % 4 else [],
        }


def run_the_page(monkeypatch, judge, model, dataset, changes, **settings):
    """Run the page's code with a tiny model on this machine; gives the log, and the advantages in TRL's loss."""
    trained = []
    compute_loss = trl.GRPOTrainer._compute_loss

    def noting(trainer, model, inputs):
        trained.extend(inputs["advantages"].tolist())
        return compute_loss(trainer, model, inputs)

    code = USE
    for old, new in ({"Qwen/Qwen2.5-VL-7B-Instruct": str(model), "length=1024": "length=48"} | changes).items():
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    names = {"dataset": dataset, "tokenizer": build_tokenizer()}
    with monkeypatch.context() as patched:
        patched.syspath_prepend(ROOT / "recipes/examples")
        patched.setattr(f, "model_judge", lambda *_: judge)
        patched.setattr(trl, "GRPOConfig", partial(trl.GRPOConfig, **HERE | settings))
        patched.setattr(trl.GRPOTrainer, "_compute_loss", noting)
        exec(code, names)
    logged = {entry["step"]: entry for entry in names["trainer"].state.log_history if "loss" in entry}
    return logged, trained


def completions(step):
    return pd.read_parquet(f"runs/trl/completions/completions_{step:05d}.parquet")


def check_step(logged, table, thresholds):
    """A step's advantages and multipliers by hand, from what TRL logged of its completions."""
    multipliers = {name: logged[f"multiplier/{name}"] for name in thresholds}
    found = f.constrained_advantage(
        table["answer_reward"].tolist(),
        {name: table[name].tolist() for name in thresholds},
        {name: table[name].notna().tolist() for name in thresholds},
        multipliers,
        groups_B=[row // 5 for row in range(len(table))],
        whiten="rollout",
    )
    assert found.whole_B.tolist() == pytest.approx(table["advantage"].tolist(), abs=2e-3)
    assert table["advantage"].abs().max() > 0.5
    for name, threshold in thresholds.items():
        measured = table[name].count() >= MIN_APPLICABLE
        step = LR * (threshold - table[name].mean()) if measured else 0.0
        assert logged[f"next_multiplier/{name}"] == pytest.approx(min(MAX, multipliers[name] + step), abs=1e-5)
        assert not measured or logged[f"next_multiplier/{name}"] != multipliers[name]


def test_on_pictures_and_resumed(world, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    judge, dataset = OracleJudge(world.folder / "scenes.jsonl"), Dataset.from_list(list(rows(world, pictures=True)))
    logged, trained = run_the_page(monkeypatch, judge, model, dataset, {}, max_steps=2, save_steps=2)
    tables = [completions(step) for step in (1, 2)]
    for step, table in enumerate(tables, 1):
        check_step(logged[step], table, THRESHOLDS)
        # Verdicts are there for right answers only, boxes' scores for rows with boxes, and both kinds occur.
        assert 0 < table["consistency_reward"].count() < len(table)
        assert set(table["consistency_reward"].dropna()) <= {0.0, 1.0}
        assert table["spatial_reward"].count() > 0
    assert sorted(trained) == pytest.approx(sorted(pd.concat(tables)["advantage"]))
    last = {name: logged[2][f"next_multiplier/{name}"] for name in THRESHOLDS}
    assert all(logged[2][f"multiplier/{name}"] == logged[1][f"next_multiplier/{name}"] for name in THRESHOLDS)

    resume = {"trainer.train()": "trainer.train(resume_from_checkpoint=True)"}
    logged, _ = run_the_page(monkeypatch, judge, model, dataset, resume, max_steps=3, save_steps=2)
    assert {name: logged[3][f"multiplier/{name}"] for name in THRESHOLDS} == pytest.approx(last)
    check_step(logged[3], completions(3), THRESHOLDS)


def test_trls_own_sum_counts_none_as_0(world, model, tmp_path, monkeypatch):
    """Why the page asks for another aggregation than TRL's default."""
    monkeypatch.chdir(tmp_path)
    judge, dataset = OracleJudge(world.folder / "scenes.jsonl"), Dataset.from_list(list(rows(world, pictures=True)))
    dual = re.search(r"    dual=.*\n", USE)[0]
    changes = {
        "from trl_fgrpo import FgrpoTrainer": "from trl import GRPOTrainer as FgrpoTrainer",
        'multi_objective_aggregation="normalize_then_sum"': 'multi_objective_aggregation="sum_then_normalize"',
        dual: "",
    }
    run_the_page(monkeypatch, judge, model, dataset, changes, max_steps=1)
    table = completions(1)
    names = ["answer_reward", *THRESHOLDS]
    assert table[names].isna().to_numpy().any()
    sums = f.group_normalize(table[names].fillna(0.0).sum(axis=1).tolist(), [row // 5 for row in range(20)])
    assert sums.tolist() == pytest.approx(table["advantage"].tolist(), abs=2e-3)


class Mortal(TrainerCallback):
    """An oracle until step 2 has ended."""

    name = "mortal"

    def __init__(self, scenes):
        self.oracle, self.alive, self.logged = OracleJudge(scenes), True, {}

    async def ask(self, request):
        return await self.oracle.ask(request) if self.alive else Verdict(None, "mortal", Failure.UNREACHABLE, "gone")

    def on_step_end(self, args, state, control, **kwargs):
        self.alive = state.global_step < 2

    def on_log(self, args, state, control, logs, **kwargs):
        self.logged[state.global_step] = logs


def test_on_text_until_the_judge_is_gone(world, text_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    judge, dataset = Mortal(world.folder / "scenes.jsonl"), Dataset.from_list(list(rows(world, pictures=False)))
    changes = {
        ", f.grounding_reward(judge), f.spatial_reward]": "], processing_class=tokenizer, callbacks=[judge]",
        ', "grounding_reward": 0.95, "spatial_reward": 0.65': "",
    }
    with pytest.raises(RuntimeError, match=r"consistency_reward: judge mortal measured 0 of .* for 3 calls in a row"):
        run_the_page(monkeypatch, judge, text_model, dataset, changes, max_steps=6, per_device_train_batch_size=40)
    for step in (1, 2):
        check_step(judge.logged[step], completions(step), {"consistency_reward": 0.95})
        assert completions(step)["consistency_reward"].count() >= MIN_APPLICABLE
    for step in (3, 4):
        assert completions(step)["consistency_reward"].count() == 0
        assert completions(step)["answer_reward"].notna().all()
    assert judge.logged[4]["next_multiplier/consistency_reward"] == judge.logged[3]["multiplier/consistency_reward"]
    assert judge.logged.keys() == {1, 2, 3, 4}
