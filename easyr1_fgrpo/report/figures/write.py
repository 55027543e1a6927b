"""The paper's Figures 3, 4 and 8 of any runs, as files for a paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from easyr1_fgrpo.report.figures.dynamics import dynamics_figure
from easyr1_fgrpo.report.figures.formats import Format
from easyr1_fgrpo.report.figures.front import front_figure
from easyr1_fgrpo.report.figures.quality import quality_figure
from easyr1_fgrpo.report.figures.style import METADATA, house_style
from easyr1_fgrpo.report.run_files import Run
from easyr1_fgrpo.terminal import progress_bar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES: dict[str, Callable[[Sequence[Run]], tuple[Figure | None, list[str]]]] = {
    "figure_3_quality": quality_figure,
    "figure_4_front": front_figure,
    "figure_8_dynamics": dynamics_figure,
}


def write_figures(runs: Sequence[Run], out: Path, formats: Iterable[Format]) -> tuple[list[Path], list[str]]:
    """Draw every figure that the runs have something for.

    Args:
        runs: see `read_run`.
        out: folder to write into; made when it is missing.
        formats: of each figure; the same runs give the same bytes.

    Returns:
        The files, and one line for everything that is missing or damaged.

    Raises:
        OSError: when a file cannot be written.
    """
    formats = list(formats)
    problems = [line for run in runs for line in run.problems]
    written = []
    with house_style():
        out.mkdir(parents=True, exist_ok=True)
        for name, draw in progress_bar(FIGURES.items(), desc="Drawing", unit="figure", leave=False, disable=None):
            figure, missing = draw(runs)
            problems += missing
            if figure is None:
                continue
            for kind in formats:
                path = out / f"{name}.{kind}"
                figure.savefig(path, metadata=METADATA[kind])
                written.append(path)
    return written, problems
