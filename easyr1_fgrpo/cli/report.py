"""`fgrpo figures` and `fgrpo report` between their arguments and their exit codes.

Exit codes: 0 done, 1 bad input or nothing to show.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from easyr1_fgrpo.cli.shared import fail, out_file, out_folder
from easyr1_fgrpo.report.figures.formats import Format
from easyr1_fgrpo.terminal import printable

Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="run directories, or folders of `fgrpo evaluate`")]


def figures(
    runs: Runs,
    out: Annotated[Path, typer.Option("--out", "-o", help="folder to write into", callback=out_folder)],
    formats: Annotated[list[Format], typer.Option("--format", help="may be given several times")] = list(Format),  # noqa: B006
) -> None:
    """Draw the paper's Figures 3, 4 and 8 of the given runs.

    Accuracy and faithfulness, their front, the multipliers. What a run lacks is named and left out.
    """
    from easyr1_fgrpo.report.figures.write import write_figures
    from easyr1_fgrpo.report.run_files import read_run

    try:
        written, problems = write_figures([read_run(path) for path in runs], out, formats)
    except (ValueError, OSError) as error:
        fail(error)
    for line in problems:
        typer.echo(printable(line), err=True)
    if not written:
        fail("none of the figures could be drawn; what is missing stands above")
    for path in written:
        typer.echo(printable(str(path)))


def report(
    runs: Runs,
    out: Annotated[Path, typer.Option("--out", "-o", help="the page", callback=out_file)] = Path("report.html"),
    link_images: Annotated[
        bool, typer.Option("--link-images", help="link the full images of the runs instead of embedding small ones")
    ] = False,
    traces: Annotated[int, typer.Option(min=1, help="most traces on the page; of more, some of every step")] = 20_000,
) -> None:
    """Write one HTML page about the runs.

    Overview, training, front, benchmarks, traces and configs side by side. It opens from disk and needs no network.
    What is missing is named here and on the page.
    """
    from easyr1_fgrpo.report.page import write_page

    try:
        written = write_page(runs, out, link_images=link_images, most=traces)
    except (ValueError, OSError) as error:
        fail(error)
    for line in written.problems:
        typer.echo(printable(line), err=True)
    mib = written.n_bytes / 2**20
    typer.echo(printable(f"{out}: {written.n_traces} traces, {written.n_images} images, {mib:.1f} MiB"))
