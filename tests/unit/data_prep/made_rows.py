"""Rows for the tests of the stages after normalising: small, valid, each with a picture of its own."""

from io import BytesIO

from PIL import Image

from data_prep.shards import ShardWriter
from easyr1_fgrpo.task_prompt import prompt_messages


def png(colour, size=(24, 16)):
    file = BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def made_row(index, *, source="sat", question=None, answer="left", choices=("left", "right"), pictures=None, boxes=()):
    question = question or f"{source} question {index}: where is the cup?"
    pictures = pictures or [png((index % 256, index // 256 % 256, len(source)))]
    return {
        "data_source": source,
        "prompt": prompt_messages(question, choices, len(pictures)),
        "images": [{"bytes": picture} for picture in pictures],
        "reward_model": {"style": "rule", "ground_truth": answer},
        "extra_info": {
            "index": index,
            "split": "train",
            "question": question,
            "choices": list(choices),
            "source": source,
            "boxes": [list(box) for box in boxes],
            "width": 24,
            "height": 16,
            "dataset": "made",
            "question_type": "side",
            "licence": "CC0-1.0",
        },
    }


def made_folder(folder, rows):
    """A folder of shards with these rows; its name is the source's."""
    with ShardWriter(folder, folder.name) as shards:
        for row in rows:
            shards.add(row)
    return folder
