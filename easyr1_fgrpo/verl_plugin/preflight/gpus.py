"""GPUs: what policy and judges take together, against those of the Ray cluster or of this machine."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from easyr1_fgrpo.config.judges import VllmServerConfig
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.ray_token import refusal

SCALES = (4, 8)
"""GPUs of the scales on one machine, `scale=gpus_N`, for a model of several billion parameters."""
MANY = 4
"""Equal nodes that are still written one by one."""
ASSUMED_NODE = 8
"""GPUs of a machine where there is none to count."""


@dataclass(frozen=True)
class Wanted:
    """GPUs that a run takes.

    Attributes:
        policy: on each node that trains.
        judges: of each judge server, all on one node.
    """

    policy: tuple[float, ...]
    judges: tuple[float, ...]

    @property
    def blocks(self) -> tuple[float, ...]:
        """GPUs that have to lie on one node each."""
        return (*self.policy, *self.judges)

    def __str__(self) -> str:
        if len(self.blocks) == 1:
            return f"{self.blocks[0]:g}"
        return f"{_added_up(self.blocks)} = {sum(self.blocks):g}"


@dataclass(frozen=True)
class Offered:
    """GPUs that there are.

    Attributes:
        nodes: of each node.
        where: "this machine" or the Ray cluster.
    """

    nodes: tuple[float, ...]
    where: str

    def __str__(self) -> str:
        return f"{_added_up(self.nodes) or '0'} of {self.where}"


def _added_up(blocks: Sequence[float]) -> str:
    """Like 8 + 8 + 2; many of a kind, which stand together, like 64 x 8 + 2."""
    kinds = [(f"{block:g}", len(list(same))) for block, same in groupby(blocks)]
    return " + ".join(f"{count} x {block}" if count > MANY else " + ".join([block] * count) for block, count in kinds)


def wanted_by(config: Any, settings: FgrpoConfig) -> Wanted:
    """The GPUs of policy and judges; a judge behind a URL takes none."""
    trainer = config.trainer
    policy = (trainer.n_gpus_per_node,) * trainer.nnodes if trainer.device == "cuda" else ()
    servers = [server for server in settings.reward_servers.values() if isinstance(server, VllmServerConfig)]
    return Wanted(policy, tuple(server.gpus for server in servers if server.gpus))


def offered() -> Offered | None:
    """The GPUs of the Ray cluster at RAY_ADDRESS; where that is not set, those of this machine that Ray would find.

    Returns:
        None where there is neither cluster nor GPU.

    Raises:
        ConnectionError: when no cluster at RAY_ADDRESS lets this process in.
    """
    if address := os.environ.get("RAY_ADDRESS"):
        return Offered(_of_cluster(address), f"the Ray cluster at {address}")
    here = gpus_here()
    return Offered((here,), "this machine") if here else None


def gpus_here() -> int:
    """GPUs of this machine that CUDA shows a process: those that nvidia-smi lists, less what is hidden."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # no driver, or one that does not work: nothing to train on
        return 0
    return visible(
        re.findall(r"^GPU .*\(UUID: ([^)]+)\)", listed, re.MULTILINE), re.findall(r"UUID: (MIG-[^)]+)", listed)
    )


def visible(cards: Sequence[str], slices: Sequence[str] = ()) -> int:
    """GPUs that CUDA_VISIBLE_DEVICES leaves, read as CUDA reads it.

    Numbers, or UUIDs that may be cut short, up to the first that is none; nothing where one stands twice. Of slices of
    cards (MIG) a process is shown one.

    Args:
        cards: UUIDs of the cards.
        slices: UUIDs of their slices.
    """
    if "CUDA_VISIBLE_DEVICES" not in os.environ:
        return len(cards)
    chosen: list[str] = []
    for name in os.environ["CUDA_VISIBLE_DEVICES"].split(","):
        name = name.strip()
        if name.startswith("MIG-"):
            found = [uuid for uuid in slices if uuid == name]
        elif name.startswith("GPU-"):
            found = [uuid for uuid in cards if uuid.startswith(name)]
        else:
            number = re.match(r"\+?\d+", name)
            found = list(cards[int(number[0]) :][:1]) if number else []
        if len(found) != 1:
            break
        if found[0] in chosen:
            return 0
        chosen += found
    return 1 if chosen and chosen[0].startswith("MIG-") else len(chosen)


def _of_cluster(address: str) -> tuple[float, ...]:
    if refused := refusal(address):
        raise ConnectionError(refused)
    import ray

    inside = ray.is_initialized()
    try:
        if not inside:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        nodes = [float(node["Resources"].get("GPU", 0.0)) for node in ray.nodes() if node["Alive"]]
    except ConnectionError as error:
        raise ConnectionError(f"RAY_ADDRESS={address}: no Ray cluster answers there") from error
    finally:
        if not inside:
            ray.shutdown()
    return tuple(sorted((gpus for gpus in nodes if gpus), reverse=True))


def too_few(wanted: Wanted, found: Offered) -> str | None:
    """Why the run does not fit onto the nodes, with the fix; None when it does."""
    if fits(wanted.blocks, found.nodes):
        return None
    policy = _added_up(wanted.policy)
    judges = f", the judges {_added_up(wanted.judges)}" if wanted.judges else ""
    return (
        f"trainer.n_gpus_per_node={max(wanted.policy):g}: the policy takes {policy} GPUs{judges}, together "
        f"{sum(wanted.blocks):g}, and there are {found}; {', or '.join(_ways_out(wanted, found))}"
    )


def _ways_out(wanted: Wanted, found: Offered) -> Iterator[str]:
    smaller = [size for size in SCALES if size < max(wanted.policy) and fits((size, *wanted.judges), found.nodes)]
    if smaller:
        yield f"scale=gpus_{max(smaller)} fits"
    if wanted.judges and fits(wanted.policy, found.nodes):
        yield "judge=openai_compatible, served elsewhere, takes none"
    yield "add nodes (recipes/ray/README.md)"


def fits(blocks: Sequence[float], nodes: Sequence[float]) -> bool:
    """Whether each block finds room on one node, beside the others."""
    return _fits(tuple(sorted(blocks, reverse=True)), tuple(sorted(nodes)))


@lru_cache(maxsize=1 << 16)
def _fits(blocks: tuple[float, ...], nodes: tuple[float, ...]) -> bool:
    """The same, largest block first; nodes of equal room are one choice, or a large cluster takes for ever."""
    if sum(blocks) > sum(nodes):
        return False
    if not blocks:
        return True
    first, *others = blocks
    for room in sorted({room for room in nodes if room >= first}):
        place = nodes.index(room)
        left = (*nodes[:place], room - first, *nodes[place + 1 :])
        if _fits(tuple(others), tuple(sorted(left))):
            return True
    return False


def machines(wanted: Wanted, gpus: int = ASSUMED_NODE) -> int:
    """How many machines of so many GPUs the run takes, one at least; of larger ones where a block needs it."""
    size = max((gpus, *wanted.blocks))
    return next(count for count in range(1, len(wanted.blocks) + 2) if fits(wanted.blocks, [size] * count))
