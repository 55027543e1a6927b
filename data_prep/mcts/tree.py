"""The search tree and its arithmetic: PUCT (FGRPO Eq. 7) and back-propagation. No network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import itemgetter
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from data_prep.mcts.steps import Step

Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Rollout(_Part):
    """One way on from a node, to an answer or to where it broke off.

    Attributes:
        steps: after the node's own; the last one has the answer unless it broke off.
        reward: 1 for the right answer, else 0.
        broke_off: why there is no answer; "" when there is one.
    """

    steps: list[Step]
    reward: Annotated[int, Field(ge=0, le=1)]
    broke_off: str = ""


class Node(_Part):
    """A state: the steps from the root to here.

    Attributes:
        step: the action that led here; None at the root.
        reward: of a terminal node, 1 or 0; None where the reasoning goes on.
        proposals: how many of the parent's draws were this step.
        draws: how many steps were sampled for children.
        dropped: why some of them became none.
        visits: N(s, a) of Eq. 7: rewards that came through here.
        total: their sum; Q(s, a) is their mean.
        rollouts: that started here.
        children: distinct next steps, in the order of their draws.
    """

    step: Step | None = None
    reward: Annotated[int, Field(ge=0, le=1)] | None = None
    proposals: Count = 0
    draws: Count = 0
    dropped: list[str] = []
    visits: Count = 0
    total: Count = 0
    rollouts: list[Rollout] = []
    children: list[Node] = []

    @property
    def terminal(self) -> bool:
        """Whether the step gave an answer."""
        return self.reward is not None

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing new below: an answer, or a node all of whose children are exhausted."""
        return self.terminal or (bool(self.children) and all(child.exhausted for child in self.children))

    @property
    def value(self) -> float:
        """Q(s, a): the mean reward that came through here; 0 before the first."""
        return self.total / self.visits if self.visits else 0.0

    def priors(self) -> list[float]:
        """P(s, a) of each child: the share of the usable draws that proposed it.

        The paper leaves P open. The draws are samples of the teacher, so their shares estimate its policy, which P is
        in PUCT; they need no log-probabilities, which favour short steps and which many endpoints withhold. With
        distinct draws the prior is uniform.
        """
        proposals = sum(child.proposals for child in self.children)
        return [child.proposals / proposals for child in self.children]

    def scores(self, c_puct: float) -> list[float]:
        """PUCT of each child, Eq. 7: Q(s, a) + c_puct P(s, a) sqrt(sum_b N(s, b)) / (1 + N(s, a))."""
        explored = math.sqrt(sum(child.visits for child in self.children))
        return [
            child.value + c_puct * prior * explored / (1 + child.visits)
            for child, prior in zip(self.children, self.priors(), strict=True)
        ]


def select(root: Node, c_puct: float) -> list[Node]:
    """The way from the root to a leaf along the best scores; of equal ones the first.

    Exhausted nodes are passed over: a right answer would draw most of the few simulations to itself again and again,
    and the search is for many different ways, not for one best move. The root must not be exhausted.
    """
    path = [root]
    while path[-1].children:
        scored = zip(path[-1].children, path[-1].scores(c_puct), strict=True)
        path.append(max(((child, score) for child, score in scored if not child.exhausted), key=itemgetter(1))[0])
    return path


def back_propagate(path: Sequence[Node], reward: int) -> None:
    """Count a reward at every node of the path."""
    for node in path:
        node.visits += 1
        node.total += reward


def steps_of(path: Sequence[Node]) -> list[Step]:
    """The steps along a path from the root."""
    return [node.step for node in path if node.step is not None]


class SearchSettings(BaseModel):
    """FGRPO Table 7; rollouts and draws are sampled at the teacher's temperature.

    Attributes:
        simulations: per question.
        branching: steps drawn for an expansion; repeated and unusable ones are dropped, so it gives at most so many
            children.
        rollouts: per new node.
        max_depth: steps of a path; a node there is not expanded and its rollouts must answer.
        c_puct: weight of exploration.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    simulations: Annotated[int, Field(ge=1)] = 8
    branching: Annotated[int, Field(ge=1)] = 3
    rollouts: Annotated[int, Field(ge=1)] = 2
    max_depth: Annotated[int, Field(ge=1)] = 10
    c_puct: Annotated[float, Field(ge=0)] = 2.0


class Tree(_Part):
    """A finished search, as written to `trees/<name>.json`.

    Attributes:
        name: of the question.
        row: `Question.digest` of the row that it is made from.
        question, choices, ground_truth: of that row.
        width, height: of its pictures, raw pixels; boxes are in them.
        calls, prompt_tokens, completion_tokens: of the replies in it, without repetitions of failed calls.
        root: of the tree.
    """

    name: str
    row: str
    question: str
    choices: tuple[str, ...]
    ground_truth: str
    width: int
    height: int
    calls: Count
    prompt_tokens: Count
    completion_tokens: Count
    root: Node
