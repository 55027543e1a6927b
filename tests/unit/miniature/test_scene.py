import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from easyr1_fgrpo.miniature.scene import (
    CELL,
    OPPOSITE,
    RELATIONS,
    SIDE,
    STEP,
    Axis,
    Relation,
    Thing,
    holds,
)
from easyr1_fgrpo.miniature.worlds.one_step import draw_example

seeds = st.integers(0, 2**32 - 1)


@given(seeds)
def test_objects_lie_on_the_grid_in_cells_of_their_own(seed):
    scene = draw_example(np.random.default_rng(seed)).scene
    cells = set()
    for thing in scene:
        x1, y1, x2, y2 = thing.box
        assert 0 <= x1 < x2 <= SIDE
        assert 0 <= y1 < y2 <= SIDE
        assert all(coordinate % STEP == 0 for coordinate in thing.box)
        assert x1 // CELL == (x2 - 1) // CELL
        assert y1 // CELL == (y2 - 1) // CELL
        cells.add((x1 // CELL, y1 // CELL))
    assert len(cells) == len({thing.colour for thing in scene}) == 3


@given(seeds)
def test_the_answer_holds_and_its_opposite_does_not(seed):
    example = draw_example(np.random.default_rng(seed))
    first, second = example.asked
    assert example.answer in RELATIONS[example.axis]
    assert holds(first, example.answer, second)
    assert not holds(first, OPPOSITE[example.answer], second)
    assert holds(second, OPPOSITE[example.answer], first)


def test_relations_by_hand():
    for relation, truth in [
        (Relation.LEFT, True),  # centres (14, 14) and (42, 70): x grows to the right, y downwards
        (Relation.RIGHT, False),
        (Relation.ABOVE, True),
        (Relation.BELOW, False),
        (Relation.NEARER, True),  # 28 px against 14 px: bigger reads as nearer
        (Relation.FARTHER, False),
    ]:
        red, blue = Thing("red", "circle", (0, 0, 28, 28)), Thing("blue", "square", (35, 63, 49, 77))
        assert holds(red, relation, blue) is truth, relation


def test_equal_things_stand_in_no_relation():
    thing = Thing("red", "circle", (0, 0, 14, 14))
    assert not any(holds(thing, relation, thing) for relation in Relation)


def test_every_question_and_answer_is_drawn():
    rng = np.random.default_rng(0)
    drawn = [draw_example(rng) for _ in range(600)]
    share = {relation: sum(example.answer is relation for example in drawn) / 600 for relation in Relation}
    # Three axes equally often except that unclear scenes are drawn again; each answer is expected at 1/6 +- .03.
    assert all(0.1 < value < 0.24 for value in share.values()), share
    assert {example.axis for example in drawn} == set(Axis)
