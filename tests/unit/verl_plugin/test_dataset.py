"""The pixel budget arrives where images are loaded, in RL and in the warm start."""

from __future__ import annotations

import io
import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf
from picture_files import FILES, qwen_to_rgb
from PIL import Image
from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset

from easyr1_fgrpo.config.load import load_config
from easyr1_fgrpo.generation.processor import load_processor
from easyr1_fgrpo.pictures import decode
from easyr1_fgrpo.verl_plugin.cpu import vision
from easyr1_fgrpo.verl_plugin.dataset import CHECK_EVERY, BudgetedDataset, BudgetedTraces, within_budget
from easyr1_fgrpo.verl_plugin.reward_manager import read_images

BUDGET = OmegaConf.create({"min_pixels": 56 * 56, "max_pixels": 84 * 84, "coordinates": "pixels"})


def png(width, height):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, "PNG")
    return buffer.getvalue()


def noise(width, height):
    buffer = io.BytesIO()
    Image.effect_noise((width, height), 60.0).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def files(tmp_path):
    from easyr1_fgrpo.miniature.build import build

    build(tmp_path / "world", seed=0, train=2, val=1, test=1, sft=2, sft_val=1)
    for name in ("train", "sft_train"):
        path = tmp_path / "world" / f"{name}.parquet"
        rows = pq.read_table(path).to_pylist()
        for row in rows:
            row["images"] = [{"bytes": png(336, 168)}]
        pq.write_table(pa.Table.from_pylist(rows), path)
    return tmp_path / "world"


def test_rollouts_see_an_image_within_the_budget(files, checkpoint):
    processor = load_processor(str(checkpoint))
    config = load_config([f"stages.world={files}", "backbone=tiny"]).data
    config.image_budget = BUDGET
    dataset = BudgetedDataset([str(files / "train.parquet")], processor.tokenizer, config, processor)
    (image,) = read_images(dataset[0]["raw_prompt"], image_patch_size=14)
    assert image.size == (112, 56)  # 336 x 168 in multiples of 28 within 7,056 pixels


def test_a_picture_travels_once_as_its_file(files, checkpoint):
    """The prompt goes to reward workers and into the queue with every rollout."""
    processor = load_processor(str(checkpoint))
    rows = pq.read_table(files / "train.parquet").to_pylist()
    picture = noise(640, 480)
    for row in rows:
        row["images"] = [{"bytes": picture}]
    pq.write_table(pa.Table.from_pylist(rows), files / "train.parquet")
    config = load_config([f"stages.world={files}", "backbone=tiny"]).data
    dataset = BudgetedDataset([str(files / "train.parquet")], processor.tokenizer, config, processor)
    row = dataset[0]
    size = sum(len(pickle.dumps(column)) for column in row.values())
    assert size < 1.4 * len(picture) + 4096  # base64 takes a third more than the file
    travelling = row["raw_prompt"]
    (image,) = read_images(travelling, image_patch_size=14)
    opened = {"image": Image.open(io.BytesIO(picture)), "max_pixels": config.image_budget.max_pixels}
    (opened,) = read_images([{"content": [opened]}], image_patch_size=14)
    assert image.size == opened.size
    assert image.tobytes() == opened.tobytes()


def test_policy_and_judge_see_the_same_pixels_of_every_kind_of_file(files, checkpoint, monkeypatch):
    """In RL as the reward worker reads the prompt, in the warm start as verl's reader does; both by qwen_vl_utils."""
    monkeypatch.setattr(vision, "rgb", qwen_to_rgb)
    processor = load_processor(str(checkpoint))
    row = pq.read_table(files / "train.parquet").to_pylist()[0]
    pictures = [file for file, _ in FILES.values()]
    rows = [{**row, "images": [{"bytes": file}]} for file in pictures]
    pq.write_table(pa.Table.from_pylist(rows), files / "train.parquet")
    config = load_config([f"stages.world={files}", "backbone=tiny"]).data
    config.image_budget = BUDGET
    questions = BudgetedDataset([str(files / "train.parquet")], processor.tokenizer, config, processor)
    trace = pq.read_table(files / "sft_train.parquet").to_pylist()[0]
    more = OmegaConf.create({"image_budget": BUDGET, "pad_mode": "no_padding", "max_length": 256})
    traces = BudgetedTraces(str(files / "sft_train.parquet"), processor.tokenizer, more, processor=processor)
    for number, file in enumerate(pictures):
        shown = {"image": decode(file), "min_pixels": BUDGET.min_pixels, "max_pixels": BUDGET.max_pixels}
        (expected,) = read_images([{"content": [shown]}], image_patch_size=14)
        (in_rl,) = read_images(questions[number]["raw_prompt"], image_patch_size=14)
        messages = traces._build_messages({**trace, "images": [{"bytes": file}]})
        (warm,) = [part["image"] for message in messages for part in message["content"] if part["type"] == "image"]
        same = [image.tobytes() == expected.tobytes() for image in (in_rl, warm)]  # a diff of bytes takes minutes
        assert same == [True, True], list(FILES)[number]


def test_the_warm_start_sees_the_same_image(files, checkpoint):
    processor = load_processor(str(checkpoint))
    config = OmegaConf.create({"image_budget": BUDGET, "pad_mode": "no_padding", "max_length": 256})
    dataset = BudgetedTraces(str(files / "sft_train.parquet"), processor.tokenizer, config, processor=processor)
    messages = dataset._build_messages(dataset.dataframe.iloc[0].to_dict())
    (image,) = [part["image"] for message in messages for part in message["content"] if part["type"] == "image"]
    assert image.size == (112, 56)


def test_a_template_that_does_not_fit_is_found_though_few_are_rendered_twice_on_the_cpu(files, checkpoint, monkeypatch):
    processor = load_processor(str(checkpoint))
    config = OmegaConf.create({"image_budget": BUDGET, "pad_mode": "no_padding", "max_length": 256})
    dataset = BudgetedTraces(str(files / "sft_train.parquet"), processor.tokenizer, config, processor=processor)
    checked = []
    monkeypatch.setattr(MultiTurnSFTDataset, "sanity_check", lambda self, *conversation: checked.append(self.n_read))
    for _ in range(2 * CHECK_EVERY + 1):
        dataset[0]
    assert checked == [0, CHECK_EVERY, 2 * CHECK_EVERY]
    monkeypatch.setenv("VERL_PLATFORM", "")
    dataset[0], dataset[0]
    assert checked[3:] == [2 * CHECK_EVERY + 1, 2 * CHECK_EVERY + 2]

    monkeypatch.undo()
    monkeypatch.setattr(processor, "chat_template", processor.chat_template + "{{ messages | length }}")
    fresh = BudgetedTraces(str(files / "sft_train.parquet"), processor.tokenizer, config, processor=processor)
    with pytest.raises(AssertionError, match="apply_chat_template"):
        fresh[0]


def test_rows_are_not_changed_in_place():
    file = png(2, 1)
    row = {"images": [{"bytes": file}], "prompt": []}
    assert within_budget(row, "images", BUDGET)["images"] == [{"bytes": file, "min_pixels": 3136, "max_pixels": 7056}]
    assert row["images"] == [{"bytes": file}]
    assert within_budget({"images": None}, "images", BUDGET) == {"images": None}
