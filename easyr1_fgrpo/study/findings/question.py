"""A question that the study answers: which runs it needs, and how their records become a section of the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from easyr1_fgrpo.miniature.worlds import WorldName
from easyr1_fgrpo.study.findings.numbers import Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[["Figure", Runs], None]


CONSTRAINTS = "constraints (`arm=fgrpo`)"
SUM = "a sum (`arm=additive`)"
WEIGHTED_SUM = "a weighted sum (`arm=weighted_sum`)"
PRODUCT = "a product (`arm=multiplicative`)"


@dataclass(frozen=True)
class Section:
    """What the records say.

    Attributes:
        answer: its first sentence answers the question.
        parts: what follows, Markdown: tables and paragraphs.
    """

    answer: str
    parts: Sequence[str] = ()


@dataclass(frozen=True)
class Advice:
    """A line of the closing table: when to use what, one of the names above or two that are not told apart, and why."""

    use: str
    when: str
    evidence: str


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        slug: of its picture's file.
        title: the question, as a user would ask it.
        arms: whose runs answer it.
        seeds: of these runs.
        find: the section that these runs give; None when those that are there cannot answer it.
        draw: its picture.
        world: of its runs.
        advise: lines for the closing table, from the same runs; none where they decide nothing.
    """

    slug: str
    title: str
    arms: Sequence[str]
    seeds: Sequence[int]
    find: Callable[[Runs], Section | None]
    draw: Draw
    world: WorldName = "two_step"
    advise: Callable[[Runs], Sequence[Advice]] = lambda runs: ()

    @property
    def command(self) -> str:
        """What makes its runs."""
        seeds = ",".join(map(str, self.seeds))
        world = f" --world {self.world}" if self.world != "two_step" else ""
        return f"bash recipes/run_miniature_study.sh{world} --seeds {seeds} \\\n  --arms {','.join(self.arms)}"
