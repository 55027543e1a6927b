"""Every unit of the command: a kind of fault that is injected alone, within minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .bench import Bench
from .damage import damaged_checkpoints
from .disk import full_disk
from .hostile import hostile_bodies, hostile_pictures
from .judge_delay import judge_delay
from .judge_script import misbehaving_judge
from .kills import kill_units
from .outcomes import Outcome
from .soak import soak

UNITS: dict[str, Callable[[Bench], Iterator[Outcome]]] = {
    **kill_units(),
    "full_disk": full_disk,
    "damaged_checkpoints": damaged_checkpoints,
    "misbehaving_judge": misbehaving_judge,
    "hostile_bodies": hostile_bodies,
    "hostile_pictures": hostile_pictures,
    "judge_delay": judge_delay,
    "soak": soak,
}
"""In the order in which they are run and stand on the page."""
