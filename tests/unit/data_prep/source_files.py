"""Small files in the exact formats of the four public sources, for tests: records as given, pictures beside them.

`make_sources(root)` writes all four from generated scenes, with questions that can be answered from the pictures.
"""

import io
import json
import random
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

COLOURS = {"red": (220, 40, 40), "green": (40, 170, 60), "blue": (50, 80, 220), "yellow": (240, 210, 40)}


def encode(image, form="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def picture(seed, width=96, height=64, form="JPEG"):
    """A picture that no other seed's looks like."""
    blotches = np.random.default_rng([*str(seed).encode()]).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return encode(Image.fromarray(blotches).resize((width, height), Image.Resampling.BICUBIC), form)


def scene(seed, width=96, height=64):
    """Two coloured blocks on a mottled ground: the picture's bytes, and name -> box (xyxy, pixels)."""
    rng = random.Random(seed)
    image = Image.open(io.BytesIO(picture(seed, width, height))).point(lambda value: 128 + value // 4)
    boxes = {}
    for number, name in enumerate(rng.sample(sorted(COLOURS), 2)):
        x, y = number * width // 2 + rng.randint(2, 12), rng.randint(2, height // 2)
        boxes[name] = [x, y, x + rng.randint(12, 28), y + rng.randint(12, 28)]
        ImageDraw.Draw(image).rectangle(boxes[name], fill=COLOURS[name])
    return encode(image, quality=92), boxes


# ---------------------------------------------------------------------- one source each


SAT_COLUMNS = pa.schema(
    {
        "image_bytes": pa.list_(pa.binary()),
        "question": pa.string(),
        "answers": pa.list_(pa.string()),
        "question_type": pa.string(),
        "correct_answer": pa.string(),
    }
)


def write_sat(folder, records, name="SAT_train.parquet"):
    """hub array/SAT: one row group, however large."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(records, schema=SAT_COLUMNS), folder / name, row_group_size=10**9)
    return folder


def sat_record(pictures, question="Is the chair left or right?", answers=("left", "right"), correct=None, kind="other"):
    return {
        "image_bytes": list(pictures),
        "question": question,
        "answers": list(answers),
        "question_type": kind,
        "correct_answer": answers[0] if correct is None else correct,
    }


def write_vgr(folder, records, name="vgr_longcot.parquet"):
    """hub BytedanceDouyinContent/VGR; the pictures are LLaVA-NeXT's (`write_llava_images`)."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    turns = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))
    schema = pa.schema({"image": pa.string(), "conversations": turns})
    pq.write_table(pa.Table.from_pylist(records, schema=schema), folder / "data" / name)
    return folder


def vgr_record(image, question, answer, boxes=(), trace=None):
    """Boxes 0-1; `trace` replaces the whole assistant text."""
    regions = " ".join(f"I look at <SOT>{json.dumps(box)}<EOT><image> here." for box in boxes)
    told = f"<think> {regions} </think>\nFinal answer: {answer}" if trace is None else trace
    asked = f"<image>\n{question}\nAnswer the question using a single word or phrase."
    return {"image": image, "conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": told}]}


def write_llava_images(folder, pictures, archives=2):
    """hub lmms-lab/LLaVA-NeXT-Data: path -> bytes, spread over numbered tars."""
    raw = folder / "llava_next_raw_format"
    raw.mkdir(parents=True, exist_ok=True)
    for number in range(archives):
        part = dict(list(pictures.items())[number::archives])
        write_tar(raw / f"llava_next_raw_format_images_{number + 1}.tar.gz", part)
    return folder


def write_visual_cot(folder, records, pictures, pieces=3):
    """hub deepcs233/Visual-CoT, metadata: one JSON-lines file a data set; one tar in pieces."""
    (folder / "metadata").mkdir(parents=True, exist_ok=True)
    for dataset in sorted({record["dataset"] for record in records}):
        lines = [json.dumps(record) + "\n" for record in records if record["dataset"] == dataset]
        (folder / "metadata" / f"{dataset}_cot_train.jsonl").write_text("".join(lines))
    _visual_cot_images(folder, pictures, pieces)
    return folder


def visual_cot_record(dataset, image, question, answer, boxes, width=96, height=64):
    return {
        **{"question": question, "answer": answer, "image": image, "width": width, "height": height},
        **{"bboxs": [list(box) for box in boxes], "dataset": dataset, "split": "train"},
    }


def write_visual_cot_json(folder, records, pictures, pieces=3):
    """The same hub's viscot_363k.json: one array."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "viscot_363k.json").write_text(json.dumps(records, indent=1))
    _visual_cot_images(folder, pictures, pieces)
    return folder


def visual_cot_conversation(dataset, image, question, answer, text_box, pixel_box=None):
    ask = " Please provide the bounding box coordinate of the region that can help you answer the question better."
    turns = [
        ("human", f"<image>\n{question}{ask}"),
        ("gpt", json.dumps(text_box)),
        ("human", "<image>"),
        ("gpt", answer),
    ]
    second = image if pixel_box is None else f"{image}###{json.dumps(pixel_box)}"
    return {
        **{"dataset": dataset, "split": "train", "question_id": 0, "image": [image, second]},
        "conversations": [{"from": speaker, "value": value} for speaker, value in turns],
    }


def write_treevgr(folder, records, pictures):
    """hub HaochenWang/TreeVGR-RL-37K: one parquet, one gzipped tar."""
    folder.mkdir(parents=True, exist_ok=True)
    target = pa.struct([("bbox", pa.list_(pa.int64())), ("label", pa.string()), ("name", pa.string())])
    columns = {"images": pa.list_(pa.string()), "problem": pa.string(), "answer": pa.string()}
    schema = pa.schema({**columns, "target_instances": pa.list_(target)})
    pq.write_table(pa.Table.from_pylist(records, schema=schema), folder / "vstar30k_visdrone6k_x1y1x2y2.parquet")
    write_tar(folder / "images.tar.gz", pictures)
    return folder


def treevgr_record(image, question, answer, boxes):
    targets = [{"bbox": list(box), "label": "thing", "name": "thing"} for box in boxes]
    return {"images": [image], "problem": f"<image>\n{question}", "answer": answer, "target_instances": targets}


def write_tar(path, files):
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def _visual_cot_images(folder, pictures, pieces):
    split = folder / "cot_images_tar_split"
    split.mkdir(exist_ok=True)
    whole = write_tar(folder / "whole.tar", {f"cot_image_data/{name}": data for name, data in pictures.items()})
    data = whole.read_bytes()
    whole.unlink()
    size = -(-len(data) // pieces)
    for number in range(pieces):
        (split / f"cot_images_{number:02d}").write_bytes(data[number * size : (number + 1) * size])


# ---------------------------------------------------------------------- all four


def make_sources(root, rows=20, seed=0):
    """All four sources, `rows` records each, from generated scenes: folders sat, vgr, llava, visual_cot, treevgr."""
    root = Path(root)
    width, height = 96, 64
    sat, vgr, llava, cot, cot_images, tree, tree_images = [], [], {}, [], {}, [], {}
    for number in range(rows):
        scenes = [scene(f"{seed} {kind} {number}", width, height) for kind in ("sat", "vgr", "cot", "tree")]
        (sat_data, sat_boxes), (vgr_data, vgr_boxes), (cot_data, cot_boxes), (tree_data, tree_boxes) = scenes
        left, right = sat_boxes  # blocks are made from left to right
        side = "left" if number % 2 else "right"
        asked = left if number % 2 else right
        question = f"Is the {asked} block in the left or in the right half of the picture?"
        sat.append(sat_record([sat_data], question, (side, "left" if side == "right" else "right"), kind="other"))
        name, box = list(vgr_boxes.items())[number % 2]
        unit = [box[0] / width, box[1] / height, box[2] / width, box[3] / height]
        path = f"gqa/images/{number}.jpg"
        llava[path] = vgr_data
        vgr.append(vgr_record(path, f"On which side is the {name} block?", "right" if number % 2 else "left", [unit]))
        name, box = list(cot_boxes.items())[number % 2]
        dataset, folder = (("gqa", "gqa"), ("visual7w", "v7w"))[number % 2]
        cot_images[f"{folder}/{number}.jpg"] = cot_data
        where = "right" if number % 2 else "left"
        cot.append(visual_cot_record(dataset, f"{number}.jpg", f"What color is the block on the {where}?", name, [box]))
        tree_images[f"images/{number}.jpg"] = tree_data
        names, boxes = list(tree_boxes), list(tree_boxes.values())
        if number % 2:
            asked = f"What is the color of the block on the left, beside the {names[1]} one?"
            tree.append(treevgr_record(f"images/{number}.jpg", asked, names[0], boxes[:1]))
        else:
            asked = "How many blocks are there?\nOptions:\nA. 1\nB. 2\nC. 3\nD. 4"
            tree.append(treevgr_record(f"images/{number}.jpg", asked, "(B)", boxes))
    write_sat(root / "sat", sat)
    write_vgr(root / "vgr", vgr)
    write_llava_images(root / "llava", llava)
    write_visual_cot(root / "visual_cot", cot, cot_images)
    write_treevgr(root / "treevgr", tree, tree_images)
    return root
