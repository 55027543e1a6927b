import numpy as np

from easyr1_fgrpo.miniature import language, teacher
from easyr1_fgrpo.miniature.scene import OPPOSITE, Axis, Relation
from easyr1_fgrpo.miniature.worlds import one_step
from easyr1_fgrpo.miniature.worlds.one_step import draw_example
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
        assert close(observed, one_step.FLIP[axis]), axis
    noise, rate = one_step.OneStep.noise.answer, one_step.OneStep.noise.right_after_wrong
    assert close(wrong_boxes, one_step.OneStep.noise.wrong_box)
    assert close(right_after_flip, rate * (1 - noise) + (1 - rate) * noise)
    assert close(wrong_after_true, noise)


def test_relation_and_conclusion_agree():
    rng = np.random.default_rng(1)
    for _ in range(200):
        example = draw_example(rng)
        trace = parse_response(teacher.noisy_response(example, rng)).trace
        first, second = example.asked
        claimed = next(r for r in Relation if language.conclusion(r) in trace)
        assert language.relation_sentence(first, claimed, second) in trace
