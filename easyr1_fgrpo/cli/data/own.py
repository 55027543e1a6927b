"""`fgrpo data import`: a file of questions about pictures -> what is trained and validated on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from easyr1_fgrpo.cli.shared import fail, out_folder, refusing
from easyr1_fgrpo.terminal import printable

if TYPE_CHECKING:
    from data_prep.own.look import Found

_COLUMN = "column, or none"


def import_(
    file: Annotated[str, typer.Argument(help="JSONL, JSON, CSV, TSV, parquet, a folder or a hub id; @part for a part")],
    out: Annotated[
        Path,
        typer.Option(help="new folder of train.parquet, val.parquet, rejects.jsonl, summary.json", callback=out_folder),
    ],
    images: Annotated[Path | None, typer.Option(help="folder of the pictures that rows name; else FILE's")] = None,
    question: Annotated[str, typer.Option(help="column; guessed and shown, as all columns")] = "",
    answer: Annotated[str, typer.Option(help="column")] = "",
    image: Annotated[str, typer.Option(help="column of the picture or pictures")] = "",
    choices: Annotated[str, typer.Option(help="column of the options, or A,B,C,D for one column each, or none")] = "",
    boxes: Annotated[str, typer.Option(help=_COLUMN)] = "",
    hint: Annotated[str, typer.Option(help=f"{_COLUMN}; put before the question")] = "",
    split: Annotated[str, typer.Option(help=_COLUMN)] = "",
    answers: Annotated[
        str, typer.Option(help="how answers name options: text, letter, index0, index1; else guessed")
    ] = "",
    box_form: Annotated[
        str, typer.Option(help="pixels, thousandths or unit (x1, y1, x2, y2); with -xywh for x, y, width, height")
    ] = "",
    val: Annotated[float, typer.Option(min=0.001, max=0.9, help="share for validation, where splits are made")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="of that choice")] = 0,
) -> None:
    """Import questions about pictures.

    What cannot be used goes to the rejects with its reason.
    """
    from data_prep.own.answers import Form
    from data_prep.own.importing import import_rows
    from data_prep.own.look import Wishes, look
    from data_prep.own.record import BOX_FORMS
    from data_prep.record import mostly_rejected, why_rejected
    from data_prep.shards import read_rejects

    if answers and answers not in set(Form):
        fail(f"--answers {answers}: is none of {', '.join(Form)}")
    if box_form and box_form not in BOX_FORMS:
        fail(f"--box-form {box_form}: is none of {', '.join(BOX_FORMS)}")
    said = {
        **{"question": question, "answer": answer, "image": image},
        **{"choices": choices, "boxes": boxes, "hint": hint, "split": split},
    }
    wishes = Wishes(said, Form(answers) if answers else None, box_form, val, seed)
    with refusing(ValueError, OSError):
        found = look(file, images, wishes)
        _show(found)
        summary = import_rows(found, out, wishes)
    typer.echo(f"splits: {summary['splits']}; no picture is in two of them")
    parts = [f"{name} {count}" for name, count in summary["out"].items()]
    typer.echo(f"in {summary['in']} = {' + '.join(parts)} + rejected {sum(summary['rejected'].values())}")
    for line in why_rejected(summary):
        typer.echo(line)
    if warning := mostly_rejected(summary, read_rejects(out)):
        typer.echo(f"warning: {printable(warning)}", err=True)
    names = [f"{name}.parquet" for name in summary["out"]]
    typer.echo(f"{out}: {', '.join(names)}, rejects.jsonl, summary.json")


def _show(found: Found) -> None:
    """Which column is what, with the first record as the example."""
    columns, item = found.columns, found.example
    boxes = "; ".join(", ".join(f"{corner:g}" for corner in box) for box in item.boxes)
    shown = {
        "question": (columns.question, item.question),
        "answer": (columns.answer, item.answer),
        "image": (columns.image, f"{len(item.images)} in the first record"),
        "choices": (",".join(columns.choices), ", ".join(item.choices) or "none"),
        "boxes": (columns.boxes, f"{found.reader.box_form}: {boxes}" if boxes else "none"),
        **({"hint": (columns.hint, "put before the question")} if columns.hint else {}),
        "split": (columns.split, ""),
    }
    for part, (column, example) in shown.items():
        where = f"column {column} ({columns.reasons[part]})" if column else "no column"
        typer.echo(f"{part:<9} {where:<50} {printable(example)[:60]}".rstrip())
    typer.echo(f"answers are {found.about_answers}")
    if found.left:
        names = [[printable(file.name) for file in files] for files in (found.files, found.left)]
        typer.echo(f"files: {', '.join(names[0])}; not read: {', '.join(names[1])}")
