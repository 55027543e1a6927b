import asyncio
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from easyr1_fgrpo.evaluation.answers.asking import Asking
from easyr1_fgrpo.evaluation.answers.batches import Batches
from easyr1_fgrpo.evaluation.answers.in_process import InProcess, check_request
from easyr1_fgrpo.evaluation.answers.pictures import prepare
from easyr1_fgrpo.evaluation.answers.serve import build_app
from easyr1_fgrpo.evaluation.benchmarks import RowFile
from easyr1_fgrpo.evaluation.styles import STYLES
from easyr1_fgrpo.generation.generator import Generator, Prompt
from easyr1_fgrpo.generation.processor import encode
from easyr1_fgrpo.generation.sampling import Sampling
from easyr1_fgrpo.rows import read_rows


@pytest.fixture(scope="module")
def generator(checkpoint):
    return Generator(str(checkpoint), rows=4, prompt_length=None)


@pytest.fixture(scope="module")
def prompts(generator, data):
    """Five prompts, the last one wider than the others."""
    found = []
    for seed, row in enumerate(list(read_rows(data))[:5]):
        ids, images = encode(generator.processor, [m.model_dump() for m in row.prompt], row.open_images())
        found.append(Prompt(ids, images, Sampling(1.0, seed=seed), 6))
    return [*found[:4], replace(found[4], ids=found[4].ids + found[4].ids[-1:] * 64)]


async def test_what_a_prompt_gets_does_not_depend_on_its_neighbours(generator, prompts):
    batches = Batches(generator, 0.01)
    together = await asyncio.gather(*map(batches.complete, prompts))
    alone = [await batches.complete(prompt) for prompt in reversed(prompts)]
    assert together == alone[::-1]  # to the last digit of the log-probabilities


async def test_a_prompt_that_nobody_waits_for_is_not_completed(generator, prompts, monkeypatch):
    seen = []
    complete = generator.complete
    monkeypatch.setattr(generator, "complete", lambda batch: seen.extend(batch) or complete(batch))
    batches = Batches(generator, 0.05)
    left, stays = (asyncio.create_task(batches.complete(prompt)) for prompt in prompts[:2])
    await asyncio.sleep(0)
    left.cancel()
    await stays
    assert seen == [prompts[1]]


async def test_an_error_of_the_model_is_the_answer_and_the_next_batch_goes_on(generator, prompts, monkeypatch):
    batches = Batches(generator, 0.01)
    with monkeypatch.context() as patch:
        patch.setattr(generator, "complete", lambda batch: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await batches.complete(prompts[0])
    assert (await batches.complete(prompts[0])).ids


@pytest.mark.parametrize(("temperature", "seed"), [(0.0, None), (1.0, 7)])
async def test_a_checkpoint_answers_in_this_process_as_it_does_behind_a_url(
    checkpoint, generator, data, temperature, seed
):
    items = list(RowFile("x").load(data))[:6]
    asking = Asking("tiny", "hash", STYLES["trained"], {"temperature": temperature, "max_tokens": 8}, seed)
    model = InProcess(checkpoint, rows=4)
    with TestClient(build_app(generator, "tiny")) as client:
        for item in items:
            pictures = prepare(item.load_images(), None, fit=True)
            here = await model.answer(asking.style.messages(item, 1), pictures, asking.request(item))
            reply = client.post("/v1/chat/completions", content=asking.body(item, pictures)).json()
            choice = reply["choices"][0]
            there = (choice["message"]["content"], choice["finish_reason"] == "length")
            assert (here.text, here.truncated, here.tokens) == (*there, reply["usage"]["completion_tokens"])


def test_a_request_that_a_checkpoint_here_does_not_understand_is_refused():
    good = {"temperature": 0.0, "max_tokens": 8}
    check_request(good)
    check_request(good | {"temperature": 1.0, "top_p": 0.9, "seed": 0})
    for request, said in (
        (good | {"repetition_penalty": 1.1}, "repetition_penalty takes a server"),
        ({"temperature": 0.0}, "needs max_tokens"),
        (good | {"temperature": 0.7}, "takes --mode sampled"),
    ):
        with pytest.raises(ValueError, match=said):
            check_request(request)
