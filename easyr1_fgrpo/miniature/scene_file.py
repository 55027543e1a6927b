"""`scenes.jsonl`: which scene each picture of a world shows, for those who know pictures by their pixels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from easyr1_fgrpo.miniature.scene import Scene, Thing


def scene_line(picture: str, scene: Scene) -> str:
    """One line of the file.

    Args:
        picture: the picture's `render.fingerprint`.
        scene: what it shows, called as the world calls it.
    """
    things = [{"colour": thing.colour, "shape": thing.shape, "box": thing.box} for thing in scene]
    return json.dumps({"picture": picture, "things": things}) + "\n"


def read_scenes(path: Path) -> Iterator[tuple[str, Scene]]:
    """Pictures and their scenes.

    Raises:
        ValueError: when a line is no scene; it names file and line.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                things = (Thing(thing["colour"], thing["shape"], tuple(thing["box"])) for thing in row["things"])
                yield row["picture"], tuple(things)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: not a scene ({error!r}); build the world again") from error
