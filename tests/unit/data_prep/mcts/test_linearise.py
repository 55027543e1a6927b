from pathlib import Path

import pytest

from data_prep.mcts.coordinates import Convention, Frame, PixelBudget
from data_prep.mcts.linearise import CUE, MAX_RESPONSE, linearise
from data_prep.mcts.questions import read_questions
from data_prep.mcts.steps import Step
from data_prep.mcts.tree import Node, Rollout
from easyr1_fgrpo.rewards.response import parse_response

from .scripted_teacher import World


@pytest.fixture(scope="module")
def question(tmp_path_factory):
    """Of an 84 x 84 picture."""
    path = Path(tmp_path_factory.mktemp("world")) / "rows.parquet"
    World(path, 1)
    return next(read_questions(path))[1]


@pytest.fixture(scope="module")
def truth(question):
    return question.row.reward_model.ground_truth


def frame(convention=Convention.PIXELS):
    return Frame((84, 84), (168, 168), convention)


def look(name, box="0,0,10,10"):
    return Step(text=f"{name} <bbox>[{box}]</bbox>.")


def end(answer, text="So."):
    return Step(text=text, answer=answer)


def at(step, *children, rollouts=(), reward=None):
    return Node(step=step, children=list(children), rollouts=list(rollouts), reward=reward)


def traces(chains):
    return [chain.response.removeprefix("<think>").partition("</think>")[0] for chain in chains.chosen]


A, B, C, D = (look(name, f"{x},0,{x + 10},10") for x, name in enumerate("ABCD"))
A2, B2, C2, D2 = (f"{name} <bbox>[{2 * x},0,{2 * x + 20},20]</bbox>." for x, name in enumerate("ABCD"))


def test_direct_and_corrected_chains_by_hand(question, truth):
    # Right: A, So | A B, So.  Wrong: A C, Hm | D, Hm.
    tree = at(
        None,
        at(A, at(end(truth), reward=1), at(B, rollouts=[Rollout(steps=[end(truth)], reward=1)]), at(C)),
        at(
            D,
            rollouts=[
                Rollout(steps=[end("nonsense", "Hm.")], reward=0),
                Rollout(steps=[A], reward=0, broke_off="empty"),
            ],
        ),
    )
    tree.children[0].children[2].rollouts = [Rollout(steps=[end("nonsense", "Hm.")], reward=0)]
    chains = linearise(tree, question, frame())
    # D parts at the root: the shortest right way follows whole. A C parts after A, which is not said twice.
    assert traces(chains) == [
        f"{A2} So.",
        f"{A2} {B2} So.",
        f"{A2} {C2} Hm. {CUE} So.",
        f"{D2} Hm. {CUE} {A2} So.",
    ]
    assert [chain.kind for chain in chains.chosen] == ["direct", "direct", "corrected", "corrected"]
    assert all(chain.response.endswith(f"</think><answer>{truth}</answer>") for chain in chains.chosen)
    assert chains.rejected == []


def test_the_shortest_eight_and_two(question, truth):
    right = [at(look("R", f"0,0,{i},9"), at(end(truth), reward=1)) for i in range(1, 13)]
    wrong = [at(look("W", f"0,9,{i},19"), at(end("nonsense"), reward=0)) for i in range(1, 6)]
    long = at(look("L", "1,1,2,2"), at(look("L", "1,1,3,3"), rollouts=[Rollout(steps=[end(truth)], reward=1)]))
    chains = linearise(at(None, long, *right, *wrong), question, frame(Convention.THOUSAND))
    assert [chain.kind for chain in chains.chosen] == ["direct"] * 8 + ["corrected"] * 2
    assert {chain.problem for chain in chains.rejected} == {"not among the shortest"}
    assert [chain.kind for chain in chains.rejected] == ["direct"] * (13 - 8) + ["corrected"] * (5 - 2)
    assert not any("L " in trace for trace in traces(chains))
    lengths = [len(trace) for trace in traces(chains)]
    assert lengths[:8] == sorted(lengths[:8])
    assert len({chain.response for chain in chains.chosen}) == 10


def test_the_answer_is_written_as_the_ground_truth_and_boxes_as_the_policy_writes_them(question, truth):
    letter = "AB"[question.row.extra_info.choices.index(truth)]
    tree = at(None, at(look("A", "21,0,42,84"), at(end(f"({letter}) {truth.upper()}!"), reward=1)))
    (chain,) = linearise(tree, question, frame(Convention.THOUSAND)).chosen
    assert chain.response == f"<think>A <bbox>[250,0,500,1000]</bbox>. So.</think><answer>{truth}</answer>"
    assert parse_response(chain.response).well_formed


def test_ways_with_the_same_words_are_one(question, truth):
    twice = [Rollout(steps=[end(truth)], reward=1)] * 2
    assert len(linearise(at(None, at(A, at(end(truth), reward=1), rollouts=twice)), question, frame()).chosen) == 1


def test_a_correction_needs_words_on_both_sides(question, truth):
    silent = at(None, at(A, at(end(truth, ""), reward=1), at(end("nonsense", ""), reward=0)))
    assert [chain.kind for chain in linearise(silent, question, frame()).chosen] == ["direct"]
    wrong_only = at(None, at(A, at(end("nonsense"), reward=0)))
    assert linearise(wrong_only, question, frame()).chosen == []


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ([A, B, look("Once more", "0,0,10,10")], "repeats a step"),
        ([], "holds no box"),
        ([look("x" * 1990, f"0,0,{i},9") for i in range(1, 6)], "too long"),
        ([look("Tiny", "1.01,2,1.24,30")], "holds a box without area"),
    ],
)
def test_what_is_no_good_is_rejected_with_its_reason(question, truth, steps, problem):
    tree = at(None, rollouts=[Rollout(steps=[*steps, end(truth)], reward=1)])
    chains = linearise(tree, question, frame())
    assert [(chain.kind, chain.problem) for chain in chains.rejected] == [("direct", problem)]
    assert chains.chosen == []


def test_a_way_that_is_no_good_corrects_nothing(question, truth):
    tree = at(
        None,
        at(A, rollouts=[Rollout(steps=[A, end(truth)], reward=1)]),
        at(B, rollouts=[Rollout(steps=[end("nonsense")], reward=0)]),
    )
    chains = linearise(tree, question, frame())
    assert chains.chosen == []
    assert [chain.kind for chain in chains.rejected] == ["direct"]


def test_a_ground_truth_that_breaks_the_grammar_is_found(question):
    info = question.row.extra_info.model_copy(update={"choices": ()})
    reward = question.row.reward_model.model_copy(update={"ground_truth": "<answer>"})
    broken = type(question)("x-1", question.row.model_copy(update={"extra_info": info, "reward_model": reward}), "")
    chains = linearise(at(None, at(A, at(end("<answer>"), reward=1))), broken, frame())
    assert [chain.problem for chain in chains.rejected] == ["breaks the response grammar"]


def test_no_chain_is_longer_than_it_may_be():
    assert MAX_RESPONSE < 8192  # a token is a character at the least: it fits into the sequence of the warm start
    assert PixelBudget().most == 4_194_304  # config fgrpo.images
