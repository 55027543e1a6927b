"""Small benchmarks in the files, columns, index bases and letters of the published ones."""

import csv
import io
import json
import zipfile
from pathlib import Path

from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures


def encoded(image: Pictures.Image, suffix: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, suffix, lossless=True)
    return file.getvalue()


def picture(shade: int = 0, suffix: str = "PNG", size: tuple[int, int] = (12, 8)) -> bytes:
    return encoded(Pictures.new("RGB", size, (shade % 256, 80, 160)), suffix)


def write_parquet(path: Path, rows: list[dict], features: Features) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_list(rows, features=features).to_parquet(path)
    return path


# ---------------------------------------------------------------------- CV-Bench

CV_BENCH = Features(
    {
        **{name: Value("string") for name in ("type", "task", "question", "answer", "prompt", "filename", "source")},
        "idx": Value("int32"),
        "image": Image(),
        "choices": List(Value("string")),
        "bbox": List(List(Value("float64"))),
    }
)


def cv_bench_rows(half: str, n: int = 4) -> list[dict]:
    """Choices are n + 2, n + 3, n + 4 of which the second is right; sources alternate."""
    sources = ["ADE20K", "COCO"] if half == "2D" else ["Omni3D"]
    rows = []
    for i in range(n):
        choices = [str(i + 2), str(i + 3), str(i + 4)]
        question = f"How many lamps are in picture {i}?"
        lines = "\n".join(f"({letter}) {text}" for letter, text in zip("ABC", choices, strict=True))
        rows.append(
            {
                "idx": i,
                "type": half,
                "task": "Count" if half == "2D" else "Depth",
                "image": {"bytes": picture(i), "path": None},
                "question": question,
                "choices": choices,
                "answer": "(B)",
                "prompt": f"{question} Select from the following choices.\n{lines}",
                "filename": f"img/{half}/{i}.png",
                "source": sources[i % len(sources)],
                "bbox": None,
            }
        )
    return rows


def cv_bench(folder: Path, half: str = "2D", rows: list[dict] | None = None, features: Features = CV_BENCH) -> Path:
    return write_parquet(folder / f"test_{half.lower()}.parquet", rows or cv_bench_rows(half), features)


# ---------------------------------------------------------------------- MindCube


def mindcube_rows() -> list[dict]:
    shared = {"category": ["perspective", "P-P"], "type": "what-if", "meta_info": [["TV", "table"]]}
    return [
        {
            "id": "among_group1_q1_1_1",
            **shared,
            "question": "From these views, what is behind you? A. TV B. Wooden dining table C. White wall D. Door",
            "images": ["other_all_image/among/g1/front_1.png", "other_all_image/among/g1/back_1.png"],
            "gt_answer": "B",
        },
        {
            "id": "aroundnew_g2_q2",
            **shared,
            "question": "If I turn left at view 2, is the sofa closer? A. Yes B. No",
            "images": [f"other_all_image/around/g2/{i}.png" for i in range(4)],
            "gt_answer": "A",
        },
        {
            "id": "rotation_g3_q1",
            **shared,
            "question": "What lies to the right?\nA. Plan A. map\nB. Lamp\nC. Chair",
            "images": [f"other_all_image/rotation/g3/{i}.png" for i in range(3)],
            "gt_answer": "C",
        },
    ]


def mindcube(folder: Path, rows: list[dict] | None = None, lines: list[str] | None = None) -> Path:
    """The archive `data.zip` with all pictures that the rows name."""
    rows = mindcube_rows() if rows is None else rows
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "data.zip", "w") as archive:
        text = "\n".join(lines if lines is not None else [json.dumps(row) for row in rows]) + "\n"
        archive.writestr("data/raw/MindCube_tinybench.jsonl", text)
        archive.writestr("data/raw/MindCube.jsonl", "")
        for i, path in enumerate(sorted({path for row in rows for path in row.get("images", ())})):
            archive.writestr(f"data/{path}", picture(i))
    return folder / "data.zip"


# ---------------------------------------------------------------------- MMVP

MMVP_TEXTS = [
    ("Are the butterfly's wings closer to being open or closed?", "(a) Open (b) Closed", "(a)"),
    ("Are the butterfly's wings closer to being open or closed?", "(a) Open (b) Closed", "(b)"),
    ("How many wheels can be seen, one or two?", "(a) 1 (b) 2", "(b)"),
    ("How many wheels can be seen, one or two?", "(a) 1 (b) 2", "(a)"),
]
MMVP = Features(
    {
        "Index": Value("int32"),
        **{name: Value("string") for name in ("Question", "Options", "Correct Answer")},
        "image": Image(),
    }
)


def mmvp_folder(folder: Path, texts: list[tuple] = MMVP_TEXTS, header: str = "lndex") -> Path:
    (folder / "MMVP Images").mkdir(parents=True)
    with (folder / "Questions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([header, "Question", "Options", "Correct Answer"])
        writer.writerows([i, *texts_i] for i, texts_i in enumerate(texts, start=1))
    for i in range(1, len(texts) + 1):
        (folder / "MMVP Images" / f"{i}.jpg").write_bytes(picture(i, "JPEG"))
    return folder


def mmvp_parquet(folder: Path, texts: list[tuple] = MMVP_TEXTS) -> Path:
    rows = [
        {
            "Index": i,
            "Question": question,
            "Options": options,
            "Correct Answer": answer,
            "image": {"bytes": picture(i, "JPEG"), "path": f"{i}.jpg"},
        }
        for i, (question, options, answer) in enumerate(texts, start=1)
    ]
    write_parquet(folder / "data" / "train-00000-of-00001.parquet", rows, MMVP)
    return folder


# ---------------------------------------------------------------------- OmniSpatial


def omnispatial_rows() -> list[dict]:
    return [
        {
            "id": "0_0",
            "question": "How long does the car need to reach the line?",
            "options": ["2.7s", "14.7s", "25.7s", "3.9s"],
            "answer": 0,
            "task_type": "Dynamic_Reasoning",
            "sub_task_type": "Motion_Analysis",
        },
        {
            "id": "0_1",
            "question": "Which way does it turn?",
            "options": ["left", "right"],
            "answer": 1,
            "task_type": "Dynamic_Reasoning",
            "sub_task_type": "Motion_Analysis",
        },
        {
            "id": "0_0",
            "question": "Which side is the door from her eyes?",
            "options": ["left", "right", "behind"],
            "answer": 2,
            "task_type": "Perspective_Taking",
            "sub_task_type": "Allocentric",
        },
    ]


def omnispatial(
    folder: Path, rows: list[dict] | None = None, pictures: dict[str, bytes] | None = None, text: str | None = None
) -> Path:
    rows = omnispatial_rows() if rows is None else rows
    if pictures is None:
        pictures = {"Dynamic_Reasoning/0.png": picture(1), "Perspective_Taking/0.jpg": picture(2, "JPEG")}
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "OmniSpatial-test.zip", "w") as archive:
        archive.writestr("OmniSpatial-test/data.json", text if text is not None else json.dumps(rows))
        for name, data in pictures.items():
            archive.writestr(f"OmniSpatial-test/{name}", data)
    return folder / "OmniSpatial-test.zip"


# ---------------------------------------------------------------------- RealWorldQA

LETTER = "Please answer directly with only the letter of the correct option and nothing else."
WORD = "Please answer directly with a single word or number."
REALWORLDQA_TEXTS = [
    (f"In which direction does the front wheel face?\n\nA. Left\nB. Straight\nC. Right\n{LETTER}", "C"),
    (f"How many pedestrians are there?\n\n{WORD}", "0"),
    (f"Is the car uphill or downhill from us? {WORD}", "Downhill"),
    (f"What is the speed limit?\n\nA. 35 m.p.h.\nB. 45\n\n{LETTER}", "A"),
]
REALWORLDQA = Features({"image": Image(), "question": Value("string"), "answer": Value("string")})


def realworldqa(folder: Path, texts: list[tuple[str, str]] = REALWORLDQA_TEXTS) -> Path:
    """Two shards, as on the hub."""
    rows = [
        {"image": {"bytes": picture(i, "WEBP"), "path": f"{i}.webp"}, "question": question, "answer": answer}
        for i, (question, answer) in enumerate(texts)
    ]
    half = (len(rows) + 1) // 2
    for shard, part in enumerate([rows[:half], rows[half:]]):
        if part:
            write_parquet(folder / "data" / f"test-0000{shard}-of-00002.parquet", part, REALWORLDQA)
    return folder


# ---------------------------------------------------------------------- SAT-Real

SAT_TEXTS = {
    **{name: Value("string") for name in ("question", "question_type", "correct_answer")},
    "answers": List(Value("string")),
}
SAT = Features({"image_bytes": List(Value("binary")), **SAT_TEXTS})
SAT_V2 = Features({"images": List(Image()), **SAT_TEXTS})


def sat_rows() -> list[dict]:
    return [
        {
            "image_bytes": [picture(1), picture(2)],
            "question": "How did the camera likely move when shooting the video?",
            "answers": ["moved left", "moved right"],
            "question_type": "ego_movement",
            "correct_answer": "moved left",
        },
        {
            "image_bytes": [picture(3)],
            "question": "Would the lamp be to my left or right?",
            "answers": ["right", "left", "behind"],
            "question_type": "perspective",
            "correct_answer": "left",
        },
    ]


def sat_real(folder: Path, rows: list[dict] | None = None) -> Path:
    return write_parquet(folder / "SAT_test.parquet", rows or sat_rows(), SAT)


def sat_real_v2(folder: Path) -> Path:
    rows = sat_rows()
    for row in rows:
        row["images"] = [{"bytes": data, "path": None} for data in row.pop("image_bytes")]
    return write_parquet(folder / "SAT_test.parquet", rows, SAT_V2)
