import asyncio
import random

import pytest

from data_prep.mcts.search import search
from data_prep.mcts.steps import BadReply, Step
from data_prep.mcts.tree import Rollout, SearchSettings


class Script:
    """Answers by address; notes what is asked."""

    def __init__(self, replies, otherwise=None):
        self.replies, self.otherwise, self.asked, self.left = replies, otherwise, [], {}

    async def __call__(self, address, steps, left):
        self.asked.append(address)
        self.left[address] = (len(steps), left)
        # Later draws answer first: the tree must not depend on it.
        await asyncio.sleep(0.002 if address.endswith("0") else 0.0)
        reply = self.replies.get(address, self.otherwise)
        if isinstance(reply, Exception):
            raise reply
        return reply(address) if callable(reply) else reply


def look(x, words="Look at"):
    return Step(text=f"{words} <bbox>[0,0,{x},9]</bbox>.")


LEFT, RIGHT = Step(text="So left.", answer="left"), Step(text="So right.", answer="right")


def is_left(answer):
    return answer == "left"


def visits(node):
    return (node.visits, node.total)


async def test_two_simulations_worked_out_on_paper():
    ask = Script({"+0": look(1), "+1": RIGHT, "0~0.0": LEFT, "0+0": look(1, "Again"), "0+1": LEFT})
    root = await search(ask, is_left, SearchSettings(simulations=9, branching=2, rollouts=1))
    # 1: the root gets a (rollout: 1) and the wrong answer w (0).
    # 2: w is passed over; a gets one child, the right answer t (1), as the other draw repeats a's box.
    # All ways have their answers.
    a, w = root.children
    (t,) = a.children
    assert [visits(node) for node in (root, a, w, t)] == [(3, 2), (2, 2), (1, 0), (1, 1)]
    assert (w.reward, t.reward, a.reward) == (0, 1, None)
    assert a.dropped == ["repeats an earlier step"]
    assert a.rollouts == [Rollout(steps=[LEFT], reward=1)]
    assert (root.draws, a.draws) == (2, 2)
    assert sorted(ask.asked) == ["+0", "+1", "0+0", "0+1", "0~0.0"]


async def test_draws_of_the_same_step_are_one_child_with_a_larger_prior():
    ask = Script({"+0": look(1), "+1": look(2), "+2": look(1, "Or")}, LEFT)
    root = await search(ask, is_left, SearchSettings(simulations=1))
    assert [child.step.text for child in root.children] == [look(1).text, look(2).text]
    assert root.priors() == [2 / 3, 1 / 3]
    assert [len(child.rollouts) for child in root.children] == [2, 2]
    assert visits(root) == (4, 4)


async def test_where_no_draw_is_usable_the_leaf_is_tried_and_expanded_again_by_new_draws():
    bad = BadReply("holds no box")
    ask = Script(
        {"+0": bad, "+1": bad, "~0.0": LEFT, "~1.0": RIGHT, "+2": look(1), "+3": bad, "0~0.0": LEFT, "0~1.0": bad}
    )
    root = await search(ask, is_left, SearchSettings(simulations=2, branching=2))
    assert root.dropped == ["holds no box"] * 3
    assert [rollout.reward for rollout in root.rollouts] == [1, 0]
    assert visits(root) == (4, 2)
    assert [rollout.broke_off for rollout in root.children[0].rollouts] == ["", "holds no box"]


async def test_the_depth_limit():
    ask = Script({}, lambda address: look(1 + sum(map(ord, address)) + len(address) * 1000))
    settings = SearchSettings(simulations=6, branching=1, rollouts=1, max_depth=3)
    root = await search(ask, is_left, settings)
    chain = [root]
    while chain[-1].children:
        chain.append(chain[-1].children[0])
    assert len(chain) == 4
    assert all(steps + left == 3 for steps, left in ask.left.values())
    # The last node is tried in each of the simulations 3 to 6, by rollouts that had to answer at once.
    assert [rollout.broke_off for rollout in chain[-1].rollouts] == ["no answer at the depth limit"] * 4
    assert "0.0.0+0" not in ask.asked
    assert visits(root) == (6, 0)


async def test_a_rollout_that_goes_on():
    ask = Script({"+0": look(1), "0~0.0": look(2), "0~0.1": look(3), "0~0.2": LEFT})
    root = await search(ask, is_left, SearchSettings(simulations=1, branching=1, rollouts=1))
    assert root.children[0].rollouts == [Rollout(steps=[look(2), look(3), LEFT], reward=1)]
    assert ask.left == {"+0": (0, 10), "0~0.0": (1, 9), "0~0.1": (2, 8), "0~0.2": (3, 7)}


async def test_what_goes_wrong_with_the_teacher_ends_the_search_after_the_calls_under_way():
    ask = Script({"+0": look(1), "+1": ConnectionError("gone"), "+2": look(2)})
    with pytest.raises(ConnectionError, match="gone"):
        await search(ask, is_left, SearchSettings())
    assert ask.asked == ["+0", "+1", "+2"]


def at_random(address):
    draw = random.Random(address)
    kind = draw.random()
    if kind < 0.1:
        return BadReply("empty")
    return look(draw.randint(1, 50)) if kind < 0.6 else draw.choice([LEFT, RIGHT])


class RandomScript(Script):
    async def __call__(self, address, steps, left):
        self.replies[address] = at_random(address)
        return await super().__call__(address, steps, left)


async def test_a_large_search_keeps_its_books():
    ask, settings = RandomScript({}), SearchSettings(simulations=30)
    root = await search(ask, is_left, settings)
    assert len(set(ask.asked)) == len(ask.asked) > 100

    def check(node, depth):
        assert depth <= settings.max_depth
        assert node.draws == sum(child.proposals for child in node.children) + len(node.dropped)
        assert len({child.step.identity for child in node.children}) == len(node.children)
        below = sum(child.visits for child in node.children)
        if node.terminal:
            assert (node.visits, node.total) == (1, node.reward)
        else:
            assert node.visits == below + len(node.rollouts)
            assert node.total == sum(child.total for child in node.children) + sum(r.reward for r in node.rollouts)
        for child in node.children:
            check(child, depth + 1)

    check(root, 0)
