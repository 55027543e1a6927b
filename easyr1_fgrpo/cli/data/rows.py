"""`fgrpo data normalise|easyr1|inspect|validate`: data sets of others -> rows, and looks at rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from easyr1_fgrpo.cli.shared import fail, out_file, out_folder, refusing
from easyr1_fgrpo.terminal import printable


def normalise(
    source: Annotated[str, typer.Argument(help="sat, vgr, visual_cot or treevgr")],
    out: Annotated[Path, typer.Option(help="folder of the shards; a killed run goes on in it", callback=out_folder)],
    location: Annotated[str, typer.Option(help="hub id, folder or file; else the source's hub id")] = "",
    images: Annotated[str, typer.Option(help="where the pictures are: hub id, folder or archive")] = "",
    open_ended: Annotated[str, typer.Option(help="questions without choices: keep, drop or to-choices")] = "keep",
    benchmark: Annotated[list[Path] | None, typer.Option(help="benchmark items to keep out; repeatable")] = None,
    seed: Annotated[int, typer.Option(min=0, help="shuffles choices, draws options")] = 0,
) -> None:
    """Bring one public source into the row schema.

    What cannot be used goes to the rejects with its reason.
    """
    from data_prep.normalise.decontaminate import Benchmarks, read_benchmarks
    from data_prep.normalise.normalise import prepare_source
    from data_prep.normalise.open_ended import OpenEnded

    if open_ended not in set(OpenEnded):
        fail(f"--open-ended {open_ended}: is none of {', '.join(OpenEnded)}")
    with refusing(ValueError, OSError):
        benchmarks = Benchmarks(read_benchmarks(benchmark or []))
        summary = prepare_source(source, location, images, out, seed, OpenEnded(open_ended), benchmarks)
    _account(source, summary, out)
    typer.echo(f"kept out: {summary['benchmark_items']} benchmark items" if benchmark else "no --benchmark was named")
    typer.echo(f"{out}: rows-*.parquet, rejects-*.jsonl, summary.json")
    _check_any_left(source, summary, out)


def inspect(
    file: Annotated[Path, typer.Argument(help="parquet file of rows, or a folder of shards")],
    out: Annotated[Path | None, typer.Option(help="the HTML file; else FILE.html", callback=out_file)] = None,
    rows: Annotated[int, typer.Option(min=1, max=1000, help="rows at most, a seeded choice")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="of that choice")] = 0,
    model: Annotated[str, typer.Option(help="checkpoint folder: prompts through its chat template")] = "",
) -> None:
    """Write a contact sheet of a file's rows.

    Pictures with boxes drawn, question, options, answer, and the prompt as it is read.
    """
    from data_prep.sets.contact_sheet import contact_sheet

    page = out or file.with_name(f"{file.name}.html")
    with refusing(ValueError, OSError):
        shown = contact_sheet(file, page, rows, seed, model)
    typer.echo(f"{page}: {shown} rows")


def validate(
    files: Annotated[list[Path], typer.Argument(help="parquet files of rows, or folders of shards")],
) -> None:
    """Check every row before training, pictures decoded.

    Exit code 1 when one is wrong. Questions, or traces for the warm start. Problems of one cause are one line: the
    first, and how many more there are.
    """
    from data_prep.sets.validate import SHOWN
    from data_prep.sets.validate import validate as check

    problems, totals = check(files)
    for problem in problems[:SHOWN]:
        typer.echo(f"error: {printable(problem)}", err=True)
    if problems:
        typer.echo(f"{len(problems)} problems, {min(len(problems), SHOWN)} shown", err=True)
        raise typer.Exit(1)
    typer.echo("good: " + ", ".join(f"{count} {name}" for name, count in totals.items()))


def easyr1(
    file: Annotated[str, typer.Argument(help="as EasyR1's data.train_files: file, folder or hub id; @part for a part")],
    out: Annotated[Path, typer.Option(help="folder of the shards; a killed run goes on in it", callback=out_folder)],
    images: Annotated[Path | None, typer.Option(help="EasyR1's data.image_dir; else the records' folder")] = None,
    split: Annotated[str, typer.Option(help="of all rows; only train is trained on")] = "train",
    prompt_key: Annotated[str, typer.Option(help="column of the question")] = "problem",
    answer_key: Annotated[str, typer.Option(help="column of the answer")] = "answer",
    image_key: Annotated[str, typer.Option(help="column of the images")] = "images",
) -> None:
    """Convert rows of EasyR1.

    What cannot be used goes to the rejects with its reason.
    """
    from data_prep.normalise.normalise import prepare_easyr1
    from data_prep.sources.easyr1 import Keys

    with refusing(ValueError, OSError):
        summary = prepare_easyr1(file, out, images, Keys(prompt_key, answer_key, image_key), split)
    _account(file, summary, out)
    _check_any_left(file, summary, out)


def _account(name: str, summary: Mapping[str, Any], out: Path) -> None:
    """In = out + rejects, and why."""
    from data_prep.record import mostly_rejected, why_rejected
    from data_prep.shards import read_rejects

    total = sum(summary["rejected"].values())
    typer.echo(f"{name}: in {summary['in']} = out {summary['out']} + rejected {total}")
    for line in why_rejected(summary):
        typer.echo(line)
    if warning := mostly_rejected(summary, read_rejects(out)):
        typer.echo(f"warning: {printable(warning)}", err=True)


def _check_any_left(name: str, summary: Mapping[str, Any], out: Path) -> None:
    if not summary["out"]:
        fail(f"no row is left of {name}; the rejects in {out} say why")
