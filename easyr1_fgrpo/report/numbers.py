"""Numbers as they are written on the page. What was not measured is "–", never 0."""

from __future__ import annotations

from dataclasses import dataclass

from easyr1_fgrpo.statistics import Estimate


@dataclass(frozen=True)
class Number:
    """A number of the files and how it is written.

    Attributes:
        value: as in the file; None where it was not measured.
        text: for reading.
        interval: its 95 % interval, "" where there is none.
        n: how many were measured; None where that is not known.
    """

    value: float | None
    text: str = "–"
    interval: str = ""
    n: int | None = None


def plain(value: float | None) -> Number:
    """A number of one step."""
    return Number(None) if value is None else Number(value, f"{value:.3f}")


def estimated(estimate: Estimate | None, scale: float = 100.0) -> Number:
    """An estimate with its interval, in per cent unless `scale` says otherwise."""
    return _written(estimate, scale, "", "–")


def difference(estimate: Estimate | None) -> Number:
    """A difference in percentage points, with its sign."""
    return _written(estimate, 100.0, "+", " to ")


def _written(estimate: Estimate | None, scale: float, sign: str, between: str) -> Number:
    if estimate is None or estimate.value is None:
        return Number(None, n=estimate.n if estimate else None)
    interval = ""
    if estimate.low is not None and estimate.high is not None:
        interval = between.join(f"{scale * end:{sign}.1f}" for end in (estimate.low, estimate.high))
    return Number(estimate.value, f"{scale * estimate.value:{sign}.1f}", interval, estimate.n)
