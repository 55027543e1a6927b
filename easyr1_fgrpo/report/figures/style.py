"""How figures look: one style, colours for the colour-blind (Okabe and Ito), distinct without colour too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from textwrap import fill
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLACK = "#000000"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES = ("", "///", "...", "\\\\\\", "xxx", "++", "ooo", "--")

COLUMN_INCHES = 2.4
"""Width of one panel."""

LETTERS_PER_INCH = 24
"""Of the smallest type."""

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # matplotlib ships it: the same figure on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,  # a run's name may hold a dollar sign
    "pdf.fonttype": 42,  # TrueType: text stays text, and journals accept it
    "svg.fonttype": "path",
    "svg.hashsalt": "easyr1-fgrpo",
    "savefig.dpi": 200,
}

METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
    "png": {"Software": None},
}
"""No date and no version in a file: the same numbers give the same bytes."""


@dataclass(frozen=True)
class Look:
    """How one run or model is drawn."""

    colour: str
    marker: str
    hatch: str


NEUTRAL = Look("#BBBBBB", "o", "")
"""What is no run of its own: the common start."""


def looks(names: list[str]) -> dict[str, Look]:
    """A look for each name, in order; they repeat after 56 names."""
    given = zip(cycle(COLOURS), cycle(MARKERS), cycle(HATCHES), strict=False)
    return {name: Look(*look) for name, look in zip(names, islice(given, len(names)), strict=True)}


def legend_text(name: str) -> str:
    """A name as a label: matplotlib leaves labels that start with an underscore out of the legend."""
    return f" {name}" if name.startswith("_") else name


def headed(figure: Figure, lines: Sequence[str]) -> None:
    """Write above a figure, in small type, what its numbers are of."""
    text = "\n".join(fill(line, int(LETTERS_PER_INCH * figure.get_figwidth())) for line in lines)
    figure.suptitle(text, x=0.005, ha="left", fontsize=5.5, color="#555555")


@contextmanager
def house_style() -> Iterator[None]:
    """Draw, and save, with this style."""
    import matplotlib

    with matplotlib.rc_context(_RC):
        yield
