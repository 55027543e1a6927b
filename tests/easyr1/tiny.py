"""A tiny Qwen2.5-VL and its questions for EasyR1: made by what is installed here, read by its older transformers."""

import json
from pathlib import Path

from integration.memorised import World, memorise

from easyr1_fgrpo.files import write_json
from easyr1_fgrpo.miniature import rows
from easyr1_fgrpo.miniature.render import png
from easyr1_fgrpo.rows import write_rows


def make(folder: Path, size: int = 16, steps: int = 40) -> World:
    """`model/`, `train.parquet` and `val.parquet` (the same scenes: nothing is measured on them), `scenes.jsonl`."""
    world = World(folder / "world", size)
    for split in ("train", "val"):
        pairs = enumerate(zip(world.examples, world.pictures, strict=True))
        table = [rows.question_row(example, png(picture), split=split, index=at) for at, (example, picture) in pairs]
        write_rows(folder / f"{split}.parquet", table)
    memorise(world, world.responses("warm"), folder / "model", steps)
    for_transformers_4(folder / "model")
    return world


def for_transformers_4(model: Path) -> None:
    """What transformers 5 writes of a Qwen2.5-VL under names that transformers 4 knows."""
    config = json.loads((model / "config.json").read_text())
    text = config["text_config"]
    rope = text.pop("rope_parameters")
    text |= {"rope_theta": rope["rope_theta"], "architectures": config["architectures"]}
    text["rope_scaling"] = {"type": "mrope", "rope_type": "default", "mrope_section": rope["mrope_section"]}
    write_json(model / "config.json", config)
    tokenizer = json.loads((model / "tokenizer_config.json").read_text())
    special = {"additional_special_tokens": tokenizer.pop("extra_special_tokens")}
    write_json(model / "tokenizer_config.json", tokenizer | special | {"tokenizer_class": "Qwen2TokenizerFast"})
