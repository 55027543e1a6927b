import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.mcts.steps import Step
from data_prep.mcts.tree import Node, back_propagate, select, steps_of


def node(name, *, visits=0, total=0, proposals=1, children=(), reward=None):
    step = Step(text=f"{name} <bbox>[0,0,{ord(name)},9]</bbox>", answer="left" if reward is not None else None)
    return Node(step=step, visits=visits, total=total, proposals=proposals, children=list(children), reward=reward)


def test_puct_worked_out_on_paper():
    # a: proposed by 2 of 4 draws, mean 1/2 of 2 visits; b: 1 of 4, mean 0 of 2; c: 1 of 4, mean 1 of 5. sqrt(9) = 3.
    # a: 1/2 + 2 * 1/2 * 3 / 3 = 1.5;  b: 0 + 2 * 1/4 * 3 / 3 = 0.5;  c: 1 + 2 * 1/4 * 3 / 6 = 1.25
    root = Node(children=[node("a", visits=2, total=1, proposals=2), node("b", visits=2), node("c", visits=5, total=5)])
    assert root.priors() == [0.5, 0.25, 0.25]
    assert root.scores(2.0) == [1.5, 0.5, 1.25]
    assert root.scores(0.0) == [0.5, 0.0, 1.0]
    assert select(root, 2.0) == [root, root.children[0]]
    assert select(root, 0.0) == [root, root.children[2]]


def test_selection_follows_the_best_scores_to_a_leaf_and_breaks_ties_by_order():
    # At a: d and e have prior 1/2 and sqrt(2) both; d: 0 + 2 * 1/2 * 1.414 / 2 = 0.707, e: 1 + 0.707.
    deep = node("a", visits=4, total=2, proposals=1, children=[node("d", visits=1), node("e", visits=1, total=1)])
    # At the root both have 1/2 + 2 * 1/2 * sqrt(8) / 5 = 1.066: the first.
    root = Node(children=[deep, node("b", visits=4, total=2)])
    assert select(root, 2.0) == [root, deep, deep.children[1]]
    assert [step.text[0] for step in steps_of(select(root, 2.0))] == ["a", "e"]


def test_answers_and_what_leads_to_answers_only_are_passed_over():
    solved = node("a", visits=3, total=3, children=[node("x", visits=1, total=1, reward=1)])
    half = node("b", visits=3, total=0, children=[node("y", visits=1, reward=0), node("z", visits=2)])
    root = Node(children=[solved, half])
    assert (solved.exhausted, half.exhausted, root.exhausted, Node().exhausted) == (True, False, False, False)
    assert select(root, 2.0) == [root, half, half.children[1]]


def test_back_propagation_counts_along_the_path_only():
    leaf, other = node("b"), node("c")
    middle = node("a", children=[leaf, other])
    root = Node(children=[middle])
    for reward in (1, 0, 1):
        back_propagate([root, middle, leaf], reward)
    back_propagate([root, middle], 0)
    assert [(each.visits, each.total) for each in (root, middle, leaf, other)] == [(4, 2), (4, 2), (3, 2), (0, 0)]
    assert (leaf.value, root.value, other.value) == (2 / 3, 0.5, 0.0)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 3)), min_size=1, max_size=5))
def test_scores_are_eq_7(counts):
    children = [
        node(chr(97 + i), visits=max(visits, total), total=total, proposals=proposals)
        for i, (visits, total, proposals) in enumerate(counts)
    ]
    root = Node(children=children)
    visited = sum(child.visits for child in children)
    proposed = sum(child.proposals for child in children)
    for child, score in zip(children, root.scores(2.0), strict=True):
        mean = child.total / child.visits if child.visits else 0
        assert score == pytest.approx(mean + 2 * child.proposals / proposed * visited**0.5 / (1 + child.visits))


def test_a_tree_survives_its_file():
    root = Node(children=[node("a", visits=1, total=1, children=[node("b", reward=1)])])
    assert Node.model_validate_json(root.model_dump_json()) == root
