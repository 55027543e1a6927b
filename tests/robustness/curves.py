"""The soak's curves as a picture, in the style of the report's figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from integration.recipe_runs import ROOT
from matplotlib.figure import Figure

from easyr1_fgrpo.report.figures.style import COLUMN_INCHES, METADATA, house_style, looks

PICTURE = ROOT / "docs/pictures/soak.svg"
PANELS = {"uss": ("memory, MiB", 2**20), "descriptors": ("descriptors", 1), "threads": ("threads", 1)}


def draw(samples: Sequence[dict[str, Any]], warm_up: int) -> None:
    """Memory, descriptors and threads by role over the steps of a run; the end of the warm-up is a dotted line."""
    roles = sorted({sample["role"] for sample in samples if sample["step"] > warm_up})
    look_of = looks(roles)
    with house_style():
        figure = Figure(figsize=(COLUMN_INCHES * len(PANELS), 3.4))
        axes = figure.subplots(1, len(PANELS))
        for axis, (name, (title, unit)) in zip(axes, PANELS.items(), strict=True):
            for role in roles:
                mine = [sample for sample in samples if sample["role"] == role and sample["step"] > 0]
                look, every = look_of[role], max(1, len(mine) // 6)
                axis.plot(
                    [sample["step"] for sample in mine], [sample[name] / unit for sample in mine],
                    color=look.colour, marker=look.marker, markevery=every, label=role,
                )  # fmt: skip
            axis.axvline(warm_up, color="#777777", linestyle=":", linewidth=0.9)
            axis.set_ylim(bottom=0)
            axis.set_title(title)
            axis.set_xlabel("step")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        figure.savefig(PICTURE, metadata=METADATA["svg"])
