import pytest
import tiny
from PIL import Image

from easyr1_fgrpo.generation.generator import Generator, Prompt
from easyr1_fgrpo.generation.processor import encode
from easyr1_fgrpo.generation.sampling import Sampling

QUESTIONS = (
    "Is red left or right of blue?",
    "Is red above or below blue?",
    "The red circle is nearer than the blue square.",
)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """Random weights, with a generation config as released models bring one."""

    def change(model):
        model.generation_config.update(repetition_penalty=1.5, do_sample=True, temperature=0.1)

    return tiny.save(tmp_path_factory.mktemp("tiny"), change=change)


@pytest.fixture(scope="session")
def generator(checkpoint):
    return Generator(str(checkpoint), rows=4, prompt_length=44)


@pytest.fixture(scope="session")
def prompt_of(generator):
    """Builds the i-th of any number of different prompts; they differ in words, pictures, length and seed."""

    def build(number, temperature=1.0, max_new_tokens=12, n_images=None, **sampling):
        marks = number % 3 if n_images is None else n_images
        images = [Image.new("RGB", (84, 84), (40 * number % 256, 90 * i, 200)) for i in range(marks)]
        content = "<image>" * marks + QUESTIONS[number % len(QUESTIONS)]
        ids, seen = encode(generator.processor, [{"role": "user", "content": content}], images)
        return Prompt(ids, seen, Sampling(temperature, seed=100 + number, **sampling), max_new_tokens)

    return build
