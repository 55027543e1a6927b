"""Tiny checkpoints that know a few responses by heart: briefly trained, and as unfaithful as they were taught."""

import json

import numpy as np
import torch
from torch.nn import functional as F

from easyr1_fgrpo.miniature import language, rows
from easyr1_fgrpo.miniature.backbone import IGNORED, read, see, tokenize
from easyr1_fgrpo.miniature.model import build_image_processor, build_model, save_checkpoint
from easyr1_fgrpo.miniature.render import fingerprint, png, render
from easyr1_fgrpo.miniature.scene import OPPOSITE
from easyr1_fgrpo.miniature.teacher import clean_trace, noisy_response
from easyr1_fgrpo.miniature.tokenizer import build_tokenizer
from easyr1_fgrpo.miniature.worlds.one_step import draw_example
from easyr1_fgrpo.rows import write_rows


class World:
    """Pictures with questions: `test.parquet` and `scenes.jsonl` in a folder."""

    def __init__(self, folder, size, seed=0):
        rng = np.random.default_rng(seed)
        self.folder, self.examples = folder, [draw_example(rng) for _ in range(size)]
        self.pictures = [render(example.scene, rng) for example in self.examples]
        folder.mkdir(parents=True)
        pairs = list(zip(self.examples, self.pictures, strict=True))
        table = [
            rows.question_row(example, png(picture), split="test", index=index)
            for index, (example, picture) in enumerate(pairs)
        ]
        write_rows(folder / "test.parquet", table)
        with (folder / "scenes.jsonl").open("w") as file:
            for example, picture in pairs:
                things = [{"colour": thing.colour, "shape": thing.shape, "box": thing.box} for thing in example.scene]
                file.write(json.dumps({"picture": fingerprint(picture), "things": things}) + "\n")

    def responses(self, kind, seed=1):
        """What a model is taught: "warm" errs as warm starts do, "shortcut" answers right after wrong conclusions."""
        rng = np.random.default_rng(seed)
        if kind == "warm":
            return [noisy_response(example, rng) for example in self.examples]
        taught = []
        for number, example in enumerate(self.examples):
            first, second = example.asked
            argued = OPPOSITE[example.answer] if kind == "shortcut" and number % 2 else example.answer
            trace = clean_trace(example)[:2]
            trace += [language.relation_sentence(first, argued, second), language.conclusion(argued)]
            taught.append(language.response(trace, example.answer))
        return taught


def memorise(world, responses, folder, steps):
    """Train a new tiny model on the world's pictures and save it."""
    tokenizer, processor = build_tokenizer(), build_image_processor()
    model = build_model(tokenizer, seed=0)
    patches = torch.stack(
        [processor(images=[picture], return_tensors="pt")["pixel_values"] for picture in world.pictures]
    )
    texts = [(example.question, response) for example, response in zip(world.examples, responses, strict=True)]
    ids, labels = tokenize(tokenizer, texts)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    for _ in range(steps):
        logits = read(model, ids, see(model, patches))
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_checkpoint(model, tokenizer, folder)
    return float(loss.detach())
