import subprocess
import sys

import numpy as np
import torch

from easyr1_fgrpo.miniature import backbone, language, teacher
from easyr1_fgrpo.miniature.backbone import (
    IGNORED,
    draw_pool,
    learn_to_read,
    learn_to_see,
    read,
    see,
    tokenize,
    train_backbone,
)
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.miniature.worlds import one_step
from easyr1_fgrpo.rewards.response import parse_response


def test_read_agrees_with_the_model_itself(tiny_model):
    tokenizer = build_tokenizer()
    pool = draw_pool(one_step, np.random.default_rng(0), 2)
    texts = [(e.question, language.direct(e.answer)) for e in pool.examples]
    ids, _ = tokenize(tokenizer, texts)
    attention = (ids != tokenizer.pad_token_id).long()
    with torch.no_grad():
        ours = read(tiny_model, ids, see(tiny_model, pool.patches))
        theirs = tiny_model(
            input_ids=ids,
            attention_mask=attention,
            mm_token_type_ids=(ids == tiny_model.config.image_token_id).int(),
            pixel_values=pool.patches.flatten(0, 1),
            image_grid_thw=torch.tensor([[1, 6, 6]] * 2),
        ).logits
    real = attention.bool()
    torch.testing.assert_close(ours[real], theirs[real], atol=1e-4, rtol=1e-4)


def test_labels_are_the_response_only():
    tokenizer = build_tokenizer()
    ids, labels = tokenize(tokenizer, [("Is red left or right of blue?", "<answer>left</answer>")])
    assert tokenizer.decode(labels[labels != IGNORED]) == "<answer>left</answer><|im_end|>"
    assert ids.shape == labels.shape == (1, 24 + 4)


def test_training_lowers_the_loss_and_leaves_sight_alone(tiny_model):
    tokenizer, rng = build_tokenizer(), np.random.default_rng(0)
    pool = draw_pool(one_step, rng, 64)
    learn_to_see(tiny_model, pool, rng, 3)
    sight = {name: weight.clone() for name, weight in tiny_model.model.visual.state_dict().items()}
    ids, labels = tokenize(
        tokenizer,
        [(e.question, language.response(teacher.clean_trace(e), e.answer)) for e in pool.examples],
    )

    def loss():
        with torch.no_grad():
            logits = read(tiny_model, ids, see(tiny_model, pool.patches))[:, :-1]
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)

    before = loss()
    learn_to_read(tiny_model, tokenizer, pool, rng, 8)
    assert loss() < 0.7 * before
    assert all(torch.equal(weight, sight[name]) for name, weight in tiny_model.model.visual.state_dict().items())


def test_no_steps_writes_a_random_checkpoint(tmp_path):
    train_backbone(tmp_path / "backbone", seed=0, steps=0)
    assert {"config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"} <= {
        path.name for path in (tmp_path / "backbone").iterdir()
    }


def test_what_the_backbone_reads_is_true_and_of_three_kinds():
    rng = np.random.default_rng(0)
    pool = draw_pool(one_step, rng, 1)
    (example,) = pool.examples
    responses = [parse_response(teacher.backbone_response(example, rng)) for _ in range(500)]
    assert all(response.answer == example.answer for response in responses)
    whole = " ".join(teacher.clean_trace(example))
    direct = sum(response.trace is None for response in responses)
    complete = sum(response.trace == whole for response in responses)
    assert all(response.trace is None or whole.startswith(response.trace) for response in responses)
    assert 60 <= direct <= 140  # .2 of 500, five standard deviations are 45
    assert 195 <= complete <= 305  # .5 of 500


def test_same_seed_same_backbone(tmp_path, monkeypatch):
    monkeypatch.setattr(backbone, "POOL", 8)
    weights = []
    for name in ("first", "again"):
        train_backbone(tmp_path / name, seed=7, steps=2, vision_steps=2)
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_taken_folder_is_refused_before_any_work(tmp_path):
    (tmp_path / "something").write_text("")
    command = [sys.executable, "-m", "easyr1_fgrpo", "miniature", "backbone", "--out", str(tmp_path), "--seed", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "not empty" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert "Learning" not in done.stderr
