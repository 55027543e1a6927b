"""The soak's curves as a picture, in the style of the report's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from integration.recipe_runs import ROOT
from matplotlib.figure import Figure

from easyr1_fgrpo.report.figures.style import COLUMN_INCHES, METADATA, house_style, looks

PICTURE = ROOT / "docs/pictures/soak.svg"
PANELS = {"memory_mib": "memory, MiB", "descriptors": "descriptors", "threads": "threads"}


def draw(columns: Mapping[str, Mapping[str, Sequence[int]]], warm_up: int) -> None:
    """Memory, descriptors and threads by role over the steps of a run; the end of the warm-up is a dotted line."""
    look_of = looks(sorted(columns))
    with house_style():
        figure = Figure(figsize=(COLUMN_INCHES * len(PANELS), 3.4))
        axes = figure.subplots(1, len(PANELS))
        for axis, (name, title) in zip(axes, PANELS.items(), strict=True):
            for role, look in look_of.items():
                axis.plot(
                    columns[role]["step"], columns[role][name],
                    color=look.colour, marker=look.marker, markevery=10, label=role,
                )  # fmt: skip
            axis.axvline(warm_up, color="#777777", linestyle=":", linewidth=0.9)
            axis.set_ylim(bottom=0)
            axis.set_title(title)
            axis.set_xlabel("step")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        figure.savefig(PICTURE, metadata=METADATA["svg"])
