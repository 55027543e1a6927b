import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny
import torch
from typer.testing import CliRunner

from easyr1_fgrpo.cli import app
from easyr1_fgrpo.miniature import language, teacher
from easyr1_fgrpo.miniature.build import build
from easyr1_fgrpo.miniature.intervention import flipped_trace, measure, read_questions
from easyr1_fgrpo.miniature.scene import OPPOSITE
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.miniature.worlds import WORLDS, two_step


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    out = tmp_path_factory.mktemp("intervention") / "world"
    build(out, seed=0, world="two_step", train=1, val=1, test=20, sft=1, sft_val=1)
    return out


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("checkpoint"), two_step)


def test_only_the_end_of_a_flipped_trace_is_wrong():
    for world in WORLDS.values():
        example = world.draw_example(np.random.default_rng(0))
        true, flipped = teacher.clean_trace(example), flipped_trace(example)
        assert flipped[:-2] == true[:-2], world
        assert flipped[-1] == language.conclusion(OPPOSITE[example.answer]), world
        wrong = OPPOSITE[example.answer]
        assert flipped[-2] == true[-2].replace(language.LINK[example.answer], language.LINK[wrong]), world


def test_questions_are_those_of_the_file(world):
    shown = read_questions(world, 12)
    assert len(shown) == 12
    rows = pq.read_table(world / "test.parquet").to_pylist()[:12]
    assert [item.example.question for item in shown] == [row["extra_info"]["question"] for row in rows]
    assert [item.example.answer for item in shown] == [row["reward_model"]["ground_truth"] for row in rows]


def test_chances_are_the_models_own(world, checkpoint):
    from transformers import AutoModelForImageTextToText, AutoTokenizer

    from easyr1_fgrpo.miniature.model import build_image_processor

    shown = read_questions(world, 3)
    found = measure(checkpoint, shown)
    model, tokenizer = (
        AutoModelForImageTextToText.from_pretrained(checkpoint),
        AutoTokenizer.from_pretrained(checkpoint),
    )
    chances = []
    for example, picture in shown:
        user = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": example.question}]}
        prompt = tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
        text = prompt.replace("<|image_pad|>", "<|image_pad|>" * 9) + language.thought(flipped_trace(example))
        ids = tokenizer(text + "<answer>", return_tensors="pt")["input_ids"]
        pixels = build_image_processor()(images=[picture], return_tensors="pt")
        with torch.no_grad():
            logits = model(
                input_ids=ids,
                mm_token_type_ids=(ids == model.config.image_token_id).int(),
                pixel_values=pixels["pixel_values"],
                image_grid_thw=torch.tensor([[1, 6, 6]]),
            ).logits[0, -1]
        chances.append(logits.softmax(-1)[tokenizer.convert_tokens_to_ids(str(OPPOSITE[example.answer]))].item())
    assert found.probability == pytest.approx(np.mean(chances), abs=1e-5)
    assert found.questions == 3


def test_a_model_that_always_says_left(world, checkpoint, monkeypatch):
    left = build_tokenizer(two_step).convert_tokens_to_ids("left")

    def always(model, ids, features):
        logits = torch.zeros(*ids.shape, 200)
        logits[..., left] = 50.0
        return logits

    monkeypatch.setattr("easyr1_fgrpo.miniature.intervention.read", always)
    shown = read_questions(world, 20)
    found = measure(checkpoint, shown)
    answers = [item.example.answer for item in shown]
    assert (found.followed, found.right) == (answers.count("right"), answers.count("left"))
    assert 0 < found.right + found.followed < 20  # the vertical questions are answered neither way


def run(*arguments):
    return CliRunner().invoke(app, ["miniature", "intervention", *map(str, arguments)])


def test_the_command(world, checkpoint, tmp_path):
    done = run(f"warm={checkpoint}", "--world", world, "--out", tmp_path / "new" / "i.json", "--samples", 5)
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "new" / "i.json").read_text())
    assert set(written["warm"]) == {"questions", "followed", "right", "probability"}
    assert written["warm"]["questions"] == 5
    assert f"warm: the answer follows in {written['warm']['followed']} of 5 questions" in done.output


@pytest.mark.parametrize("checkpoint_text", ["nothing", "name=/nowhere"])
def test_bad_input_is_named(world, checkpoint_text):
    done = run(checkpoint_text, "--world", world)
    assert done.exit_code == 1
    assert f"error: {checkpoint_text}: write NAME=FOLDER" in done.output


def test_a_world_that_is_not_there(checkpoint, tmp_path):
    done = run(f"warm={checkpoint}", "--world", tmp_path / "none")
    assert done.exit_code == 1
    assert "scenes.jsonl" in done.output
