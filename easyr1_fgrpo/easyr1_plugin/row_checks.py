"""The rows of a run on EasyR1 before it starts: read as EasyR1 reads them, pictures decoded.

EasyR1 meets a bad row when its turn comes, hours into a run, in a worker whose error names no row.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL.Image import Image
from pydantic import BaseModel, ValidationError

from easyr1_fgrpo.easyr1_plugin.rows import ROW, Rows, is_ours
from easyr1_fgrpo.pictures import decode, rgb
from easyr1_fgrpo.preflight.effects import BOXED, without_boxes
from easyr1_fgrpo.preflight.first_question import LOOKED_AT
from easyr1_fgrpo.preflight.lengths import too_long
from easyr1_fgrpo.preflight.tokens import SAMPLE, model_file, unknown_words_problem
from easyr1_fgrpo.rewards import Sample
from easyr1_fgrpo.rows import ExtraInfo, RewardModel, Row, causes, explain, parts_agree
from easyr1_fgrpo.terminal import progress_bar
from easyr1_fgrpo.training.rollout import sample_of


class _Scored(BaseModel):
    """What rewards read of a row, `rows.ROW`."""

    reward_model: RewardModel
    extra_info: ExtraInfo


def row_problems(config: Any, key: str, rows: Rows, patch_size: int) -> list[str]:
    """What is wrong with the rows of a file, those of one cause together.

    Args:
        config: the whole one.
        key: `train_files` or `val_files`.
        rows: of it.
        patch_size: of the policy's vision tower, in pixels.
    """
    data, where = config.data, f"data.{key}={config.data[key]}"
    if len(rows) == 0:
        return [f"{where}: it holds no rows"]
    batch = "rollout_batch_size" if data.mini_rollout_batch_size is None else "mini_rollout_batch_size"
    if key == "train_files" and len(rows) < data[batch]:
        return [
            f"data.{batch}={data[batch]}: {where} holds {len(rows)} rows, and EasyR1 drops a batch that is not full"
        ]
    ours = is_ours(dict.fromkeys(rows.columns))
    wanted = dict.fromkeys(Row.model_fields) if ours else {data.prompt_key: "prompt_key", data.answer_key: "answer_key"}
    absent = [f"{name} (data.{option})" if option else name for name, option in wanted.items()]
    if absent := [said for name, said in zip(wanted, absent, strict=True) if name not in rows.columns]:
        return [f"{where}: no column {', '.join(absent)}; it has {', '.join(rows.columns)}"]
    if ours and data.format_prompt:
        return [
            f"data.format_prompt={data.format_prompt}: the rows of {where} have a `prompt` of turns with their "
            "instruction; set it to null"
        ]
    template = Path(data.format_prompt).read_text(encoding="utf-8") if data.format_prompt else ""
    bar = progress_bar(total=len(rows), desc=f"Checking {data[key]}", unit="row", delay=1.0, leave=False)
    checked = []
    with bar, ThreadPoolExecutor() as threads:  # Pillow decodes outside the interpreter lock
        for row in threads.map(partial(_checked, rows, config), range(len(rows))):
            checked.append(row)
            bar.update()
    if problems := [f"{where} row {at}: {row.problem}" for at, row in enumerate(checked) if row.problem]:
        return causes(problems)
    keys = config.fgrpo.constraint_keys
    if key == "train_files" and BOXED in keys and not any(row.boxes for row in checked):
        problems = [without_boxes(keys, where)]
    if data.filter_overlong_prompts:
        return problems
    questions = ((template + row.text, row.width, row.height) for row in checked)
    bounds, room = (data.min_pixels, data.max_pixels), data.max_prompt_length
    long = too_long(questions, room, pixels=bounds, patch_size=patch_size)
    return [*problems, *([_too_long(where, room, len(rows), long)] if long else [])]


def _too_long(where: str, room: int, total: int, long: list[tuple[int, int]]) -> str:
    tokens, row = max(long)
    return (
        f"data.max_prompt_length={room}: {len(long)} of {total} rows of {where} may not fit, row {row} with about "
        f"{tokens} tokens most of all; raise it, lower data.max_pixels, or leave such rows out with "
        "data.filter_overlong_prompts=true"
    )


def row_notes(config: Any, rows: Rows) -> Iterator[str]:
    """What a user may not expect of rows that can be trained on."""
    if not is_ours(dict.fromkeys(rows.columns)) and not config.data.format_prompt:
        yield (
            "data.format_prompt=null: nothing asks for the form <think>...</think><answer>...</answer>, which rewards "
            "read, unless the rows themselves do; recipes/easyr1/format_prompt.jinja asks"
        )


def word_problems(config: Any, rows: Rows) -> Iterator[str]:
    """A line where the policy's tokenizer, if it is on this machine, does not know what the rows say."""
    model = config.worker.actor.model.model_path
    if file := model_file(model, "tokenizer.json"):
        some = (rows[at][ROW] for at in range(0, len(rows), max(1, len(rows) // SAMPLE)))
        infos = ((row["extra_info"], row["reward_model"]["ground_truth"]) for row in some)
        texts = (" ".join([info["question"], *info["choices"], answer]) for info, answer in infos)
        where = f"data.train_files={config.data.train_files}"
        yield from unknown_words_problem(model, "worker.actor.model.model_path", file, texts, where)


def first_samples(rows: Rows) -> tuple[Sample, list[str]]:
    """The first row as judges are asked about it, at its raw size, and the answers of some more; rows are checked."""
    first = rows[0]
    pictures = tuple(_picture(picture, rows.keys.image_dir) for picture in first.get(rows.keys.image_key, ()))
    answers = [rows[at][ROW]["reward_model"]["ground_truth"] for at in range(min(LOOKED_AT, len(rows)))]
    return sample_of(first[ROW], pictures), answers


@dataclass(frozen=True)
class _Row:
    """What is counted of a row, and what is wrong with it, "" when nothing is."""

    text: str = ""
    width: int = 1
    height: int = 1
    boxes: bool = False
    problem: str = ""


def _checked(rows: Rows, config: Any, position: int) -> _Row:
    keys, most = rows.keys, config.worker.rollout.limit_images
    try:
        row = rows[position]
        scored, pictures = _Scored.model_validate(row[ROW]), row.get(keys.image_key, ())
        text = _text(row[keys.prompt_key])
        parts_agree(text, len(pictures), scored.reward_model.ground_truth, scored.extra_info.choices)
        if 0 < most < len(pictures):
            raise ValueError(f"{len(pictures)} images, and worker.rollout.limit_images={most}: raise it")
        for picture in pictures:
            _picture(picture, keys.image_dir)
    except ValidationError as error:
        return _Row(problem=_in_their_words(explain(error), keys))
    except Exception as error:  # readers and Pillow raise many kinds
        return _Row(problem=_in_their_words(" ".join(str(error).split()), keys))
    info = scored.extra_info
    return _Row(text, info.width, info.height, bool(info.boxes))


def _text(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else "".join(turn["content"] for turn in prompt)


def _picture(image: Any, folder: str | None) -> Image:
    """A picture of `Rows` in RGB.

    Raises:
        UnreadableImage: when it is none.
    """
    if isinstance(image, Image):
        return rgb(image)
    return decode(image["bytes"] if isinstance(image, dict) else (Path(folder or "") / image).read_bytes())


def _in_their_words(problem: str, keys: Any) -> str:
    """Our names for parts of a row -> EasyR1's columns."""
    names = {
        "reward_model.ground_truth": keys.answer_key,
        "extra_info.question": keys.prompt_key,
        "extra_info.": "",
        "extra_info: box": "box",
    }
    for ours, theirs in names.items():
        problem = problem.replace(ours, theirs)
    return problem
