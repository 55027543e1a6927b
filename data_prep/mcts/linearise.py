"""From a tree to traces: the shortest right ways to the answer, and a few that turn back from a wrong one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from data_prep.mcts.coordinates import Frame
from data_prep.mcts.questions import Question
from data_prep.mcts.steps import BadReply, Step, map_boxes
from data_prep.mcts.tree import Node
from easyr1_fgrpo.rewards.response import parse_response

CUE = "Wait, this seems off. Let's try something else."
"""Where a corrected chain turns back (FGRPO section A.4)."""

DIRECT, CORRECTED = 8, 2
"""Most chains of each kind for one question."""

MAX_RESPONSE = 8000
"""Characters of a chain; it has to fit into the sequence length of supervised training."""

Kind = Literal["direct", "corrected"]
Way = tuple[Step, ...]
"""Steps from the root to an answer."""


@dataclass(frozen=True)
class Chain:
    """A candidate for a trace.

    Attributes:
        kind: straight to the answer, or by way of a mistake.
        response: as the policy is to write it.
        problem: why it is no good; "" when it is.
    """

    kind: Kind
    response: str
    problem: str = ""


@dataclass
class Chains:
    """All candidates of a tree.

    Attributes:
        chosen: direct ones first, each kind from short to long.
        rejected: no good, or beyond `DIRECT` and `CORRECTED`.
    """

    chosen: list[Chain] = field(default_factory=list)
    rejected: list[Chain] = field(default_factory=list)

    def sort_in(self, chain: Chain, most: int) -> None:
        """Choose or reject the next candidate of its kind."""
        if chain.problem:
            self.rejected.append(chain)
        elif sum(other.kind == chain.kind for other in self.chosen) < most:
            self.chosen.append(chain)
        else:
            self.rejected.append(replace(chain, problem="not among the shortest"))


def linearise(root: Node, question: Question, frame: Frame) -> Chains:
    """The chains of a tree; the same tree gives the same chains.

    A direct candidate is a way from the root to a right answer, through nodes and rollouts; of ways with the same words
    there is one. A corrected candidate is a wrong way, the cue, and what a right way says from the step on where the
    two part: per wrong way the shortest continuation that belongs to a good direct chain. Short means few steps, then
    few characters.

    Args:
        root: of the tree.
        question: that it answers.
        frame: how the policy writes boxes.
    """
    chains = Chains()
    right: dict[str, Way] = {}
    wrong: dict[str, Way] = {}
    for way in sorted(_ways(root), key=_length):
        (right if question.right(str(way[-1].answer)) else wrong).setdefault(_words(way), way)
    good = []
    for way in right.values():
        chain = _chain("direct", [way], [_words(way)], question, frame)
        chains.sort_in(chain, DIRECT)
        if not chain.problem:
            good.append(way)
    corrections = [pair for mistake in wrong.values() if (pair := _shortest_correction(mistake, good))]
    for mistake, way, parting in sorted(corrections, key=lambda pair: _length(pair[0] + pair[1][pair[2] :])):
        words = [_words(mistake), CUE, _words(way[parting:])]
        chains.sort_in(_chain("corrected", [mistake, way], words, question, frame), CORRECTED)
    return chains


def _ways(node: Node, before: Way = ()) -> Iterator[Way]:
    """Every way to an answer, through nodes and rollouts."""
    steps = before if node.step is None else (*before, node.step)
    if node.terminal:
        yield steps
    for rollout in node.rollouts:
        if not rollout.broke_off:
            yield (*steps, *rollout.steps)
    for child in node.children:
        yield from _ways(child, steps)


def _shortest_correction(mistake: Way, good: Sequence[Way]) -> tuple[Way, Way, int] | None:
    """The mistake, the right way to go on with, and the number of steps that they share.

    None when no right way says anything after the step where it parts from a mistake that does.
    """
    pairs = []
    for way in good:
        pairs_of_steps = enumerate(zip(mistake, way, strict=False))
        parting = next((index for index, (one, other) in pairs_of_steps if one != other), 0)
        if _words(mistake[parting:]) and _words(way[parting:]):
            pairs.append((mistake, way, parting))
    return min(pairs, key=lambda pair: _length(pair[1][pair[2] :]), default=None)


def _chain(kind: Kind, ways: Sequence[Way], words: Sequence[str], question: Question, frame: Frame) -> Chain:
    """A candidate with boxes as the policy writes them, and the answer in the words of the ground truth."""
    text = " ".join(words)
    try:
        trace, problem = map_boxes(text, frame.written), ""
    except BadReply as error:
        trace, problem = text, str(error)
    response = f"<think>{trace}</think><answer>{question.row.reward_model.ground_truth}</answer>"
    return Chain(kind, response, problem or _problem(response, ways, question))


def _problem(response: str, ways: Sequence[Way], question: Question) -> str:
    """What speaks against a chain."""
    if len(response) > MAX_RESPONSE:
        return "too long"
    for way in ways:
        looked_at = [step.identity for step in way[:-1]]
        if len(set(looked_at)) < len(looked_at):
            return "repeats a step"
    parsed = parse_response(response)
    if not parsed.well_formed:
        return "breaks the response grammar"
    if not parsed.boxes or len(parsed.boxes) < parsed.n_boxes:
        return "holds no box" if not parsed.n_boxes else "holds a box that is none"
    if not question.right(str(parsed.answer)):
        return "its answer is not the right one"
    return ""


def _words(way: Way) -> str:
    return " ".join(step.text for step in way if step.text)


def _length(way: Way) -> tuple[int, int, str]:
    """Few steps first, then few characters; the words themselves make the order total."""
    words = _words(way)
    return len(way), len(words), words
