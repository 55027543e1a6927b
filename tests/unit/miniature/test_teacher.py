import numpy as np

from easyr1_fgrpo.miniature import language, teacher
from easyr1_fgrpo.miniature.world import OPPOSITE, Axis, Relation, draw_example
from easyr1_fgrpo.rewards.response import parse_response

COUNT = 3000


def test_the_noise_has_the_stated_rates():
    rng = np.random.default_rng(0)
    flips = {axis: [] for axis in Axis}
    right_after_flip, wrong_boxes, wrong_after_true = [], [], []
    for _ in range(COUNT):
        example = draw_example(rng)
        response = parse_response(teacher.noisy_response(example, rng))
        assert response.well_formed
        flipped = language.conclusion(OPPOSITE[example.answer]) in response.trace
        flips[example.axis].append(flipped)
        (right_after_flip if flipped else wrong_after_true).append((response.answer == example.answer) is flipped)
        wrong_boxes += [
            tuple(map(int, box)) != thing.box for box, thing in zip(response.boxes, example.asked, strict=True)
        ]

    def close(observed, expected):  # five standard deviations
        return abs(np.mean(observed) - expected) < 5 * np.sqrt(expected * (1 - expected) / len(observed))

    for axis, observed in flips.items():
        assert close(observed, teacher.FLIP[axis]), axis
    noise = teacher.ANSWER_NOISE
    assert close(wrong_boxes, teacher.WRONG_BOX)
    assert close(right_after_flip, teacher.RIGHT_AFTER_FLIP * (1 - noise) + (1 - teacher.RIGHT_AFTER_FLIP) * noise)
    assert close(wrong_after_true, noise)


def test_relation_and_conclusion_agree():
    rng = np.random.default_rng(1)
    for _ in range(200):
        example = draw_example(rng)
        trace = parse_response(teacher.noisy_response(example, rng)).trace
        first, second = example.asked
        claimed = next(r for r in Relation if language.conclusion(r) in trace)
        assert language.relation_sentence(first, claimed, second) in trace
