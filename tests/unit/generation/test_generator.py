import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from easyr1_fgrpo.generation.generator import Generator, Prompt
from easyr1_fgrpo.generation.sampling import Sampling


@torch.no_grad()
def raw_logits_TV(generator, prompt, response):
    """Teacher-forced, one row, no padding, no cache."""
    ids = torch.tensor([[*prompt.ids, *response]])
    vision = (
        generator.processor.image_processor(images=list(prompt.images), return_tensors="pt") if prompt.images else {}
    )
    output = generator.model(input_ids=ids, mm_token_type_ids=(ids == generator.image_id).int(), **vision)
    return output.logits[0, len(prompt.ids) - 1 :]


def test_greedy_equals_a_plain_argmax_loop(generator, prompt_of):
    prompts = [prompt_of(number, temperature=0.0) for number in range(6)]
    for prompt, completion in zip(prompts, generator.complete(prompts), strict=True):
        ids = []
        while len(ids) < prompt.max_new_tokens and not (ids and ids[-1] in generator.eos_ids):
            logits_V = raw_logits_TV(generator, prompt, ids)[-1]
            logits_V[generator.banned_ids] = -torch.inf
            ids.append(int(logits_V.argmax()))
        assert completion.ids == ids


def test_log_probs_equal_a_teacher_forced_forward(generator, prompt_of):
    prompts = [prompt_of(number) for number in range(6)]
    for prompt, completion in zip(prompts, generator.complete(prompts), strict=True):
        log_probs_TV = torch.log_softmax(raw_logits_TV(generator, prompt, completion.ids)[:-1], -1)
        expected = log_probs_TV.gather(-1, torch.tensor(completion.ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(completion.log_probs), expected, atol=1e-5, rtol=0)


def test_a_row_is_the_same_in_any_company_position_and_batch(generator, prompt_of):
    prompts = [prompt_of(number) for number in range(9)]
    together = generator.complete(prompts)
    reversed_order = generator.complete(prompts[::-1])[::-1]
    alone = [generator.complete([prompt])[0] for prompt in prompts]
    assert len({tuple(completion.ids) for completion in together}) == 9
    for other in (reversed_order, alone):
        assert [completion.ids for completion in other] == [completion.ids for completion in together]
        for a, b in zip(other, together, strict=True):
            assert a.log_probs == pytest.approx(b.log_probs, abs=1e-5)


def test_the_same_batch_twice_is_the_same_to_the_last_digit(generator, prompt_of):
    prompts = [prompt_of(number) for number in range(4)]
    assert generator.complete(prompts) == generator.complete(prompts)


def test_another_seed_draws_other_tokens(generator, prompt_of):
    prompt = prompt_of(1)
    other = Prompt(prompt.ids, prompt.images, Sampling(seed=5), prompt.max_new_tokens)
    first, second = generator.complete([prompt, other])
    assert first.ids != second.ids


def test_banned_image_tokens_never_appear_even_when_the_model_wants_them(generator, prompt_of):
    assert len(generator.banned_ids) == 4
    head = generator.model.get_output_embeddings()
    boost = torch.zeros(head.out_features)
    boost[generator.banned_ids] = 50.0
    hook = head.register_forward_hook(lambda module, inputs, logits: logits + boost)
    try:
        completions = generator.complete([prompt_of(n, temperature=n % 2) for n in range(8)])
    finally:
        hook.remove()
    drawn = {token for completion in completions for token in completion.ids}
    assert drawn
    assert not drawn & set(generator.banned_ids)


def test_top_k_and_top_p_reach_the_row_they_belong_to(generator, prompt_of):
    greedy, narrow_k, narrow_p, free = generator.complete(
        [prompt_of(1, temperature=0.0), prompt_of(1, top_k=1), prompt_of(1, top_p=1e-6), prompt_of(1)]
    )
    assert greedy.ids == narrow_k.ids == narrow_p.ids != free.ids


def test_every_row_keeps_its_own_length_limit(generator, prompt_of):
    limits = [1, 5, 12]
    completions = generator.complete([prompt_of(1, max_new_tokens=limit) for limit in limits])
    longest = completions[-1].ids
    for limit, completion in zip(limits, completions, strict=True):
        assert completion.ids == longest[:limit]
        assert len(completion.log_probs) == len(completion.ids)


def test_a_response_ends_with_its_end_token(generator, prompt_of):
    completions = generator.complete([prompt_of(number, max_new_tokens=100) for number in range(16)])
    reasons = {completion.stop_reason for completion in completions}
    assert reasons == {"completed", "length"}
    for completion in completions:
        ended = completion.ids[-1] in generator.eos_ids
        assert ended == (completion.stop_reason == "completed")
        assert ended or len(completion.ids) == 100
        assert not set(completion.ids[:-1]) & generator.eos_ids
        assert all(math.isfinite(log_prob) for log_prob in completion.log_probs)


def test_decoding_leaves_the_end_token_out(generator, prompt_of):
    completion = generator.complete([prompt_of(0, max_new_tokens=100)])[0]
    assert "<|im_end|>" not in generator.decode(completion)


def test_a_prompt_that_does_not_fit_is_refused(generator, prompt_of):
    ids = prompt_of(0).ids
    too_long = Prompt(ids * 9, (), Sampling(), 4)
    with pytest.raises(ValueError, match=f"{len(ids) * 9} tokens, batches hold 44"):
        generator.complete([prompt_of(0), too_long])
    assert generator.complete([]) == []


def test_without_a_fixed_length_batches_are_as_wide_as_they_need(checkpoint, generator, prompt_of):
    free = Generator(str(checkpoint), rows=4, prompt_length=None)
    prompts = [prompt_of(number) for number in range(6)]
    long = Prompt(prompts[0].ids * 9, (), Sampling(), 2)  # too long for the fixed shape
    *completions, last = free.complete([*prompts, long])
    assert [completion.ids for completion in completions] == [done.ids for done in generator.complete(prompts)]
    assert 1 <= len(last.ids) <= 2


# ---------------------------------------------------------------------- weights


@pytest.fixture
def weights(generator):
    """The model's own weights; put back afterwards."""
    kept = {name: tensor.clone() for name, tensor in generator.model.state_dict().items()}
    yield dict(kept)
    generator.model.load_state_dict(kept)


def test_loaded_weights_are_used(generator, prompt_of, weights):
    prompt = prompt_of(1, temperature=0.0)
    before = generator.complete([prompt])
    generator.load_weights((name, -tensor) for name, tensor in weights.items())
    assert generator.complete([prompt]) != before
    generator.load_weights((name, tensor.bfloat16()) for name, tensor in weights.items())
    assert all(tensor.dtype == torch.float32 for tensor in generator.model.state_dict().values())
    generator.load_weights(weights.items())
    assert generator.complete([prompt]) == before


def test_a_tied_head_need_not_be_sent(generator, weights):
    del weights["lm_head.weight"]
    generator.load_weights(weights.items())


def test_a_checkpoint_that_lacks_weights_is_refused(checkpoint, tmp_path):
    """transformers would draw them at random and only warn."""
    folder = shutil.copytree(checkpoint, tmp_path / "adapter")
    weights = load_file(folder / "model.safetensors")
    save_file({f"base_model.model.{name}": weight for name, weight in weights.items()}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"adapter lacks \d+ weights of its model \([\w.]+, .*, which would be random"):
        Generator(str(folder), rows=1, prompt_length=None)


@pytest.mark.parametrize("fault", ["missing", "unknown", "of another shape"])
def test_weights_that_do_not_fit_are_refused_by_name_and_nothing_is_copied(generator, weights, fault):
    before = {name: tensor.clone() for name, tensor in generator.model.state_dict().items()}
    name = "model.language_model.norm.weight"
    changed = {key: tensor + 1 for key, tensor in weights.items()}
    tensor = changed.pop(name)
    changed |= {"missing": {}, "unknown": {name: tensor, "lora.a": tensor}, "of another shape": {name: tensor[:1]}}[
        fault
    ]
    with pytest.raises(ValueError, match=rf"{fault} \['{'lora.a' if fault == 'unknown' else name}'\]"):
        generator.load_weights(changed.items())
    assert all(torch.equal(tensor, before[key]) for key, tensor in generator.model.state_dict().items())
