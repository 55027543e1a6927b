import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer

from easyr1_fgrpo.generation.processor import load_processor
from easyr1_fgrpo.miniature import language, teacher
from easyr1_fgrpo.miniature.model import build_image_processor, build_model
from easyr1_fgrpo.miniature.render import render
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.miniature.worlds import WORLDS, four_way, one_step, two_step


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def test_text_survives_the_tokenizer():
    for world in WORLDS.values():
        tokenizer = build_tokenizer(world)
        for seed in range(25):
            rng = np.random.default_rng(seed)
            example = world.draw_example(rng)
            for text in (
                example.question,
                teacher.noisy_response(example, rng),
                teacher.backbone_response(example, rng),
                language.direct(example.answer),
            ):
                ids = tokenizer(text)["input_ids"]
                assert tokenizer.unk_token_id not in ids, text
                assert tokenizer.decode(ids, skip_special_tokens=True) == text, world


def test_lengths():
    for world, questions, traces in [(one_step, {7, 8}, {36, 37}), (two_step, {10}, {47}), (four_way, {11}, {47})]:
        tokenizer = build_tokenizer(world)
        example = world.draw_example(np.random.default_rng(0))
        trace = language.response(teacher.clean_trace(example), example.answer)
        assert len(tokenizer(trace + tokenizer.eos_token)["input_ids"]) in traces, world
        assert {len(tokenizer(question)["input_ids"]) for question in world.QUESTIONS.values()} <= questions, world


def test_the_checkpoint_loads_as_any_other(checkpoint, tiny_model, tokenizer):
    loaded = AutoModelForImageTextToText.from_pretrained(checkpoint)
    for name, weight in tiny_model.state_dict().items():
        assert torch.equal(weight, loaded.state_dict()[name]), name
    text = one_step.QUESTIONS["depth"]
    assert AutoTokenizer.from_pretrained(checkpoint)(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert 490_000 < sum(weight.numel() for weight in tiny_model.parameters()) < 505_000


def test_the_processor_leaves_pictures_at_their_size(checkpoint):
    processor = load_processor(str(checkpoint))
    example = one_step.draw_example(np.random.default_rng(0))
    picture = render(example.scene, np.random.default_rng(0))
    user = {
        "role": "user",
        "content": [{"type": "image"}, {"type": "text", "text": one_step.QUESTIONS["horizontal"]}],
    }
    text = processor.apply_chat_template([user], add_generation_prompt=True, tokenize=False)
    inputs = processor(text=[text], images=[picture], return_tensors="pt")
    assert inputs["input_ids"].shape == (1, 24)
    assert inputs["image_grid_thw"].tolist() == [[1, 6, 6]]
    ours = build_image_processor()(images=[picture], return_tensors="pt")["pixel_values"]
    assert torch.equal(inputs["pixel_values"], ours)


def test_the_chat_template_is_a_concatenation_of_turns(tokenizer):
    # verl's supervised data set renders turn by turn and insists that the pieces make the whole.
    turns = [
        {"role": "user", "content": "Is red left or right of blue?"},
        {"role": "assistant", "content": "<answer>left</answer>"},
    ]
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    assert whole == "".join(tokenizer.apply_chat_template([turn], tokenize=False) for turn in turns)
    prompt = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    assert whole == f"{prompt}<answer>left</answer><|im_end|>"


def test_same_seed_same_weights(tokenizer):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, again, other = (build_model(tokenizer, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)
