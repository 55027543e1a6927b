"""`fgrpo report`: runs -> one HTML page that opens from disk and asks no network for anything.

Tables are written by jinja2 with autoescape. Charts, traces and plotly.js are gzipped JSON and script text in inert
elements, read by the page's own script when they are first looked at. The content security policy names the two
scripts by hash, so nothing that a model wrote can run.
"""

from __future__ import annotations

import gzip
import json
import os
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from easyr1_fgrpo.report.charts.faithfulness import benchmark_sections, front_sections
from easyr1_fgrpo.report.charts.overview import overview_section
from easyr1_fgrpo.report.charts.parts import N_COLOURS
from easyr1_fgrpo.report.charts.training import smoothing, training_sections
from easyr1_fgrpo.report.configs import config_groups, config_rows
from easyr1_fgrpo.report.constraints import LATELY, constraint_rows
from easyr1_fgrpo.report.evaluations import METRICS, evaluation_columns, evaluation_groups
from easyr1_fgrpo.report.run_files import Run, read_run
from easyr1_fgrpo.report.subjects import run_names, subjects
from easyr1_fgrpo.report.traces.data import TraceData, read_trace_data
from easyr1_fgrpo.report.traces.thumbnails import find_images, linked, thumbnails
from easyr1_fgrpo.report.traces.view import visible
from easyr1_fgrpo.report.verdicts import verdicts

SCRIPTS = (
    *("dom", "data", "theme", "tabs", "anchors", "smoothing", "charts", "configs"),
    *("filters", "opening", "list", "picture", "trace", "browser", "main"),
)
"""Parts of the page's script, in order."""

MOST_TRACES = 20_000
LEVEL = 6
"""Of gzip: higher ones take longer and save little."""


@dataclass(frozen=True)
class Written:
    """What came of a report.

    Attributes:
        path: the page.
        n_bytes: its size.
        n_traces, n_images: in it.
        problems: one line for everything that is missing or damaged; the page says them too.
    """

    path: Path
    n_bytes: int
    n_traces: int
    n_images: int
    problems: list[str]


def write_page(paths: Sequence[Path], out: Path, *, link_images: bool = False, most: int = MOST_TRACES) -> Written:
    """Read the runs and write the page, whole or not at all.

    Args:
        paths: run directories, or folders of an `fgrpo evaluate`.
        out: the HTML file.
        link_images: link the runs' full images instead of embedding small ones; they are then looked for beside `out`.
        most: traces in the page, see `read_trace_data`.

    Raises:
        ValueError: when a path is no run directory, or comes twice.
        OSError: when `out` cannot be written.
    """
    if twice := [str(path) for path in paths if [other.resolve() for other in paths].count(path.resolve()) > 1]:
        raise ValueError(f"{twice[0]}: this run is named twice")
    runs = [read_run(path) for path in paths]
    traces = read_trace_data(runs, most)
    images, notes = _images(traces, out, link_images)
    problems = [*(line for run in runs for line in run.problems), *traces.problems, *notes]
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    part.write_text(render(runs, traces, images, problems, link_images=link_images), encoding="utf-8")
    os.replace(part, out)
    return Written(out, out.stat().st_size, len(traces.traces), len(images), problems)


def render(
    runs: Sequence[Run], traces: TraceData, images: dict[str, list[Any]], problems: Sequence[str], *, link_images: bool
) -> str:
    """The page's HTML."""
    sections = {
        "overview": [overview_section(runs)],
        "training": training_sections(runs),
        "faithfulness": [*front_sections(runs), *benchmark_sections(runs)],
    }
    figures = [chart.figure for tab in sections.values() for section in tab for chart in section.charts]
    config = config_rows(runs)
    script, plotly = _own_script(), _plotly() if figures else ""
    return _template().render(
        css=Markup(_page_file("page.css")),
        script=Markup(script),
        script_hashes=[_csp_hash(text) for text in (script, plotly) if text],
        link_images=link_images,
        runs=list(zip(run_names(runs), runs, strict=True)),
        numbers=subjects(runs),
        n_colours=N_COLOURS,
        constraints=constraint_rows(runs),
        columns=[METRICS[name] for name in evaluation_columns(runs)],
        evaluations=evaluation_groups(runs),
        config=config,
        config_groups=config_groups(config),
        verdicts=verdicts(runs),
        smoothing=smoothing(runs),
        lately=LATELY,
        sections=sections,
        traces=traces,
        problems=problems,
        plotly=_packed(plotly),
        figures=_packed(json.dumps(figures)),
        trace_json=_packed(json.dumps(traces.payload(), separators=(",", ":"))),
        images=images,
    )


def _images(traces: TraceData, out: Path, link_images: bool) -> tuple[dict[str, list[Any]], list[str]]:
    """The traces' images, and one line for each that is missing or damaged."""
    files, missing = find_images(traces.image_folders, traces.image_hashes)
    notes = []
    if missing:
        n_images = len(files) + len(missing)
        notes.append(f"{len(missing)} of {n_images} images of the traces are missing, the first is {missing[0]}.png")
    if link_images:
        images, damaged = linked(files, out)
    else:
        images, damaged = thumbnails(files)
    return images, [*notes, *damaged]


# ---------------------------------------------------------------------- parts of the page


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("easyr1_fgrpo.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = lambda value: visible(str(value))
    return environment.get_template("page.html.jinja")


def _own_script() -> str:
    """All scripts as one, in a scope of its own."""
    parts = "\n".join(_page_file(f"{name}.js") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _plotly() -> str:
    return (resources.files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


def _page_file(name: str) -> str:
    return (resources.files("easyr1_fgrpo.report") / "page" / name).read_text(encoding="utf-8")


def _csp_hash(script: str) -> str:
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"


def _packed(text: str) -> str:
    """Gzip and base64: letters, digits, + / = only, so that nothing in it can end an element."""
    return b64encode(gzip.compress(text.encode(), LEVEL, mtime=0)).decode()
