"""What a judge that breaks without failing looks like, and what a policy that learns does not."""

import json

import torch

from easyr1_fgrpo.training.sudden import HISTORY, LASTING, SuddenChanges, sudden_changes

N = 100


def rollouts(mean):
    """A signal of 0 and 1 with this mean."""
    values = torch.zeros(N)
    values[: round(mean * N)] = 1.0
    return values


def warned(means, share=1.0, changes=None):
    """The steps, counted from 0, that are warned of."""
    changes = changes or SuddenChanges()
    found = [changes.see("consistency", rollouts(mean), share) for mean in means]
    return [step for step, seen in enumerate(found) if seen.get("sudden") == 1.0]


AROUND_85 = [0.83, 0.86, 0.87, 0.84, 0.85] * 3
AROUND_93 = [0.92, 0.95, 0.93, 0.91, 0.94] * 3


def test_a_judge_that_approves_everything_from_one_step_to_the_next_is_told_once():
    assert warned(AROUND_85 + [1.0] * 30) == [len(AROUND_85) + LASTING - 1]
    assert warned([*AROUND_85, 0.4, 0.3, 0.4, *AROUND_85[:2]]) == [17], "and one that refuses"


def test_one_near_the_top_is_told_when_it_has_stood_still():
    assert warned(AROUND_93 + [1.0] * 30) == [len(AROUND_93) + HISTORY - 1]
    assert warned(AROUND_93 + [1.0] * (HISTORY - 1) + [0.99] * 5) == []


def test_a_policy_that_learns_is_no_sign():
    assert warned([0.8 + 0.01 * min(step, 20) for step in range(60)]) == []
    assert warned([0.93] * 15 + [0.95] * 10 + [0.97] * 10 + [0.99] * 10 + [1.0] * 20) == []
    assert warned([0.5, 0.9] * 20) == [], "what always jumps"
    assert warned([0.99] * 20 + [0.87] + [0.99] * 20) == [], "a step of few rollouts"
    assert warned([0.99] * 20 + [0.87, 0.85, 0.9] + [0.99] * 20) == [], "one of them as good as the usual"


def test_a_step_that_was_not_measured_does_not_count():
    assert warned(AROUND_85 + [1.0] * 30, share=0.9) == []
    changes = SuddenChanges()
    assert warned(AROUND_85, changes=changes) == []
    assert warned([1.0], share=0.9, changes=changes) == []
    assert changes.see("consistency", torch.ones(1), 1.0) == {}
    assert changes.see("consistency", torch.ones(0), None) == {}
    assert warned([1.0] * LASTING, changes=changes) == [LASTING - 1]


def test_a_resumed_run_warns_where_an_uninterrupted_one_does():
    means = AROUND_93 + [1.0] * 12
    for stop in range(len(means)):
        before, after = SuddenChanges(), SuddenChanges()
        first = warned(means[:stop], changes=before)
        after.load_state_dict(json.loads(json.dumps(before.state_dict())))
        assert first + [stop + step for step in warned(means[stop:], changes=after)] == warned(means), stop


def test_the_line_names_both_numbers():
    seen = {"fgrpo/consistency/score": 1.0, "fgrpo/consistency/usual": 0.853, "fgrpo/consistency/sudden": 1.0}
    (line,) = sudden_changes(seen)
    assert line.startswith("consistency is 1.00 where it was 0.85 in the steps before: if no data changed, its judge")
    assert sudden_changes({**seen, "fgrpo/consistency/sudden": 0.0}) == []
