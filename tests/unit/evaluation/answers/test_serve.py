import base64
from io import BytesIO

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from easyr1_fgrpo.evaluation.answers.serve import build_app
from easyr1_fgrpo.generation.generator import Generator, Prompt
from easyr1_fgrpo.generation.processor import encode
from easyr1_fgrpo.generation.sampling import Sampling
from easyr1_fgrpo.rows import read_rows


@pytest.fixture(scope="module")
def generator(checkpoint):
    return Generator(str(checkpoint), rows=3, prompt_length=None)


@pytest.fixture(scope="module")
def client(generator):
    with TestClient(build_app(generator, "tiny")) as client:
        yield client


def data_url(image):
    file = BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def request(row, **fields):
    parts = [{"type": "image_url", "image_url": {"url": data_url(row.open_images()[0])}}]
    parts.append({"type": "text", "text": row.extra_info.question})
    defaults = {"model": "tiny", "messages": [{"role": "user", "content": parts}], "temperature": 0, "max_tokens": 6}
    return {name: value for name, value in (defaults | fields).items() if value is not None}


def post(client, body):
    return client.post("/v1/chat/completions", json=body)


def directly(generator, row, sampling, width):
    ids, images = encode(generator.processor, [m.model_dump() for m in row.prompt], row.open_images())
    generator.prompt_length = width
    (completion,) = generator.complete([Prompt(ids, images, sampling, 6)])
    return generator.decode(completion), len(completion.ids)


def test_it_says_what_it_serves(client):
    assert client.get("/health").status_code == 200
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["tiny"]


@pytest.mark.parametrize("fields", [{}, {"temperature": 1.0, "seed": 5}])
def test_a_completion_is_the_generators(client, generator, data, fields):
    for row in list(read_rows(data))[:3]:
        reply = post(client, request(row, **fields)).json()
        sampling = Sampling(fields.get("temperature", 0.0), seed=fields.get("seed", 0))
        text, tokens = directly(generator, row, sampling, 64)
        assert reply["choices"][0]["message"] == {"role": "assistant", "content": text}
        assert reply["choices"][0]["finish_reason"] == ("length" if tokens == 6 else "stop")
        assert reply["usage"]["completion_tokens"] == tokens


def test_neighbours_do_not_change_an_answer(generator, data):
    rows = list(read_rows(data))[:7]

    def answers(together):
        with TestClient(build_app(generator, "tiny")) as client:
            if not together:
                return [post(client, request(row)).json()["choices"] for row in rows]
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(7) as threads:
                return [reply.json()["choices"] for reply in threads.map(lambda row: post(client, request(row)), rows)]

    assert answers(together=True) == answers(together=False)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": "other"}, "'other' is not served here"),
        ({"temperature": None}, "needs a seed"),
        ({"messages": []}, "at least 1 item"),
        ({"messages": [{"role": "assistant", "content": "So"}]}, "role"),
        ({"messages": [{"role": "user", "content": "<image>"}]}, "a text holds <image>"),
        ({"stream": True}, "stream"),
        ({"n": 2}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 1.0, "seed": 1, "top_p": 0.0}, "top_p=0.0"),
        ({"messages": [{"role": "user", "content": "is " * 900}]}, "context ends"),
    ],
)
def test_what_cannot_be_served_is_refused(client, data, fields, said):
    reply = post(client, request(next(read_rows(data)), **fields))
    assert reply.status_code == 400
    assert said in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    "url", ["http://host/a.png", "data:image/png;base64,aGVsbG8=", "data:text/plain;base64,aa", "x"]
)
def test_no_image_is_fetched_or_guessed(client, url):
    part = {"type": "image_url", "image_url": {"url": url}}
    body = {"model": "tiny", "messages": [{"role": "user", "content": [part]}], "temperature": 0, "max_tokens": 4}
    reply = post(client, body)
    assert reply.status_code == 400
    assert "image" in reply.json()["error"]["message"]


def test_an_image_of_any_size_is_taken(client):
    part = {"type": "image_url", "image_url": {"url": data_url(Image.new("L", (100, 60)))}}
    body = {"model": "tiny", "messages": [{"role": "user", "content": [part]}], "temperature": 0, "max_tokens": 2}
    assert post(client, body).status_code == 200
