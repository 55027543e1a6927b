"""The search for one question: selection, expansion, rollouts and back-propagation (FGRPO section A.4).

One simulation at a time; within one, draws and rollouts are asked for together. Every call has an address in the tree
("0.2+4": fifth draw after the root's first child's third child; "0.2~1.3": fourth step of its second rollout), from
which its seed is made, so that a search that goes on asks what it would have asked, whatever the order of the replies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import pairwise
from typing import TypeVar

from data_prep.mcts.steps import BadReply, Step
from data_prep.mcts.tree import Node, Rollout, SearchSettings, back_propagate, select, steps_of

T = TypeVar("T")

Ask = Callable[[str, Sequence[Step], int], Awaitable[Step]]
"""Draws the step after some steps: (address, steps, how many more steps there may be; at 0 it has to be the answer).
Raises `BadReply` when the teacher's reply is no step."""


async def search(ask: Ask, right: Callable[[str], bool], settings: SearchSettings) -> Node:
    """Build the tree.

    A leaf above the depth limit is expanded by up to k distinct steps, and each new node is tried by n rollouts; a
    terminal one gives its reward. Where there is nothing new (a leaf at the limit, or no usable draw) the leaf itself
    is tried, so every simulation measures something. The search ends early when every way in the tree has its answer.

    Args:
        ask: draws a step.
        right: whether an answer is.
        settings: FGRPO Table 7.

    Returns:
        The root. Whatever else `ask` raises ends the search, after the calls under way.
    """
    root = Node()
    for _ in range(settings.simulations):
        if root.exhausted:
            break
        path = select(root, settings.c_puct)
        new = await _expand(path, ask, right, settings)
        tried = [[*path, child] for child in new] or [path]
        outcomes = await _together(_rewards(way, ask, right, settings) for way in tried)
        for way, rewards in zip(tried, outcomes, strict=True):
            for reward in rewards:
                back_propagate(way, reward)
    return root


async def _expand(path: list[Node], ask: Ask, right: Callable[[str], bool], settings: SearchSettings) -> list[Node]:
    """The leaf's children: distinct steps, none of which the path holds already."""
    leaf, steps = path[-1], steps_of(path)
    if len(steps) >= settings.max_depth:
        return []
    address, left = _address(path), settings.max_depth - len(steps)
    draws = await _together(
        _usable(ask(f"{address}+{leaf.draws + number}", steps, left)) for number in range(settings.branching)
    )
    leaf.draws += settings.branching
    taken = {step.identity for step in steps}
    children: dict[tuple[object, ...], Node] = {}
    for step in draws:
        if isinstance(step, str):
            leaf.dropped.append(step)
        elif step.identity in taken:
            leaf.dropped.append("repeats an earlier step")
        else:
            reward = None if step.answer is None else int(right(step.answer))
            children.setdefault(step.identity, Node(step=step, reward=reward)).proposals += 1
    leaf.children = list(children.values())
    return leaf.children


async def _rewards(path: list[Node], ask: Ask, right: Callable[[str], bool], settings: SearchSettings) -> list[int]:
    """What a node gives: a terminal one its reward, another one those of n rollouts, which it keeps."""
    node = path[-1]
    if node.reward is not None:
        return [node.reward]
    address, steps = _address(path), steps_of(path)
    numbers = range(len(node.rollouts), len(node.rollouts) + settings.rollouts)
    rollouts = await _together(_roll_out(f"{address}~{number}", steps, ask, right, settings) for number in numbers)
    node.rollouts += rollouts
    return [rollout.reward for rollout in rollouts]


async def _roll_out(
    address: str, before: Sequence[Step], ask: Ask, right: Callable[[str], bool], settings: SearchSettings
) -> Rollout:
    """Steps up to an answer. A reply that is no step ends it: that is the model's failure, and its reward is 0."""
    steps: list[Step] = []
    while True:
        left = settings.max_depth - len(before) - len(steps)
        step = await _usable(ask(f"{address}.{len(steps)}", [*before, *steps], left))
        if isinstance(step, str):
            return Rollout(steps=steps, reward=0, broke_off=step)
        if step.answer is not None:
            return Rollout(steps=[*steps, step], reward=int(right(step.answer)))
        if left <= 0:
            return Rollout(steps=steps, reward=0, broke_off="no answer at the depth limit")
        steps.append(step)


async def _usable(step: Awaitable[Step]) -> Step | str:
    """The step, or why it is none."""
    try:
        return await step
    except BadReply as reason:
        return str(reason)


async def _together(work: Iterable[Awaitable[T]]) -> list[T]:
    """All results in their order; an error is raised when everything under way has come to its end."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


def _address(path: Sequence[Node]) -> str:
    """Numbers of the children from the root on; "" for the root."""
    numbers = []
    for parent, child in pairwise(path):
        numbers += [str(number) for number, other in enumerate(parent.children) if other is child]
    return ".".join(numbers)
