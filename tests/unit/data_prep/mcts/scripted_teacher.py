"""A teacher for the miniature's questions: a rule over the scene, its choices drawn by the seed of each request.

It reads what a model would read: the picture, the question and the steps so far. `judge_endpoint.Script` serves it.
"""

from __future__ import annotations

import random
import re

import numpy as np

from easyr1_fgrpo.miniature import rows
from easyr1_fgrpo.miniature.language import LINK
from easyr1_fgrpo.miniature.render import fingerprint, png, render
from easyr1_fgrpo.miniature.scene import OPPOSITE, SIDE
from easyr1_fgrpo.miniature.worlds.one_step import draw_example
from easyr1_fgrpo.rows import write_rows

BOX = re.compile(r"<bbox>\[(.*?)\]</bbox>")


class World:
    """Questions of the miniature in a parquet file, and a teacher who knows their scenes.

    Args:
        path: of the file to write.
        count: of questions.
        right: share of the conclusions that are right.

    Attributes:
        asked: (question's index, seed) of each call, in order.
    """

    def __init__(self, path, count, right=0.6):
        self.path, self.count, self.right, self.asked = path, count, right, []
        rng = np.random.default_rng(0)
        self.scenes, written = {}, []
        for index in range(count):
            example = draw_example(rng)
            picture = render(example.scene, rng)
            self.scenes[fingerprint(picture)] = index, example
            written.append(rows.question_row(example, png(picture), split="train", index=index))
        write_rows(path, written)

    def answer(self, case):
        """The next step: perhaps the whole picture, a box of red, one of blue, then the relation and the answer."""
        index, example = self.scenes[fingerprint(case.images[0])]
        self.asked.append((index, case.body["seed"]))
        draw = random.Random(case.body["seed"])
        first, second = example.asked
        _, _, steps = case.text.partition("Steps so far:")
        seen = BOX.findall(steps)
        forced = "There is room for no more steps" in case.text
        for thing in (first, second):
            box = ",".join(map(str, thing.box))
            if box not in seen and not forced:
                if draw.random() < 0.3 and not seen:
                    return f"<think>The picture <bbox>[0,0,{SIDE},{SIDE}]</bbox> shows three shapes.</think>"
                if draw.random() < 0.2:
                    x, y = (draw.randrange(0, SIDE - 28, 7) for _ in range(2))
                    box = f"{x},{y},{x + 21},{y + 21}"
                return f"<think>The {thing.colour} {thing.shape} is at <bbox>[{box}]</bbox>.</think>"
        claimed = example.answer if draw.random() < self.right else OPPOSITE[example.answer]
        relation = f"The {first.colour} {first.shape} is {LINK[claimed]} the {second.colour} {second.shape}."
        return f"<think>{relation} So the answer is {claimed}.</think><answer>{claimed}</answer>"


def files(folder, *names):
    """Bytes of every file below some subfolders, by relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for name in names
        for path in sorted((folder / name).rglob("*"))
        if path.is_file()
    }
