"""What several of the findings' pictures are drawn with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from easyr1_fgrpo.report.figures.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def bars(axis: Axes, values: Mapping[str, float | None], label: str) -> None:
    """Shares as bars with their numbers; what was not measured has its name and no bar.

    Args:
        axis: to draw on.
        values: in [0, 1], by name.
        label: of the axis of values.
    """
    for place, value in enumerate(values.values()):
        if value is not None:
            axis.bar(place, 100 * value, width=0.6, color=COLOURS[0])
            axis.text(place, 100 * value, f"{100 * value:.1f}", ha="center", va="bottom", fontsize=7)
    axis.set(ylabel=label, ylim=(0, 105), xticks=range(len(values)), xlim=(-0.5, len(values) - 0.5))
    axis.set_xticklabels(values.keys())
