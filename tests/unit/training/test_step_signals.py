import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reported import NAMES, absent, measured_only, numbers, scored

from easyr1_fgrpo.rewards import Reason, failed_numbers
from easyr1_fgrpo.training.sentence_tokens import SENTENCE_TOKENS
from easyr1_fgrpo.training.step_signals import RolloutId, metrics_of, read_step


def read(*rows, expected=5):
    """Rows as (key, numbers), the key being group_session_output; a group that starts with "pad" is padding."""
    return read_step(
        1,
        [None if key.startswith("pad") else id_of(key) for key, _ in rows],
        [row for _, row in rows],
        NAMES,
        expected=expected,
    )


def id_of(key):
    group, session, output = key.rsplit("_", 2)
    return RolloutId(group, int(session), int(output))


def test_sentences_are_those_of_last_valid_outputs_and_no_extra_number():
    sentences = {SENTENCE_TOKENS: [(1, 3, 1.0), (4, 5, 0.0)]}
    step = read(
        ("p_0_0", numbers(scored(1.0), boxes=2.0, **sentences)),  # verl copies the last output's numbers to the others
        ("p_0_1", numbers(scored(1.0), boxes=2.0, **sentences)),
        ("p_1_0", numbers(absent(Reason.REWARD_FAILED), boxes=0.0)),
        ("q_0_0", numbers(scored(0.0), boxes=4.0, **{SENTENCE_TOKENS: [(0, 2, 1.0)]})),
        ("pad_0_0", None),
    )
    found = step.sentences
    assert found.rows_S.tolist() == [1, 1, 3]
    assert list(zip(found.starts_S.tolist(), found.ends_S.tolist(), strict=True)) == [(1, 3), (4, 5), (0, 2)]
    assert found.values_S.tolist() == [1.0, 0.0, 1.0]
    assert step.extras == {"boxes": 3.0}
    assert metrics_of(step)["fgrpo/rollouts/credited_sentences"] == 3


def test_plain_rows_keep_their_order_groups_and_scores():
    step = read(
        ("p_0_0", numbers(scored(1.0), scored(0.0), scored(0.25))),
        ("q_0_0", numbers(scored(0.5))),
        ("p_1_0", numbers(scored(0.0), measured_only(1.0), scored(0.75))),
    )
    assert step.task_B.tolist() == [1.0, 0.5, 0.0]
    assert step.valid_B.all()
    assert step.groups_B.tolist() == [0, 1, 0]
    assert step.owner_B.tolist() == [0, 1, 2]
    assert step.masks["consistency"].tolist() == [True, False, False]
    assert step.masks["spatial_grounding"].tolist() == [True, False, True]
    assert step.scores["spatial_grounding"][step.masks["spatial_grounding"]].tolist() == [0.25, 0.75]
    assert step.present == 3
    assert not step.invalid


def test_padding_enters_nothing_whatever_it_carries():
    step = read(
        ("p_0_0", numbers(scored(1.0), scored(1.0))),
        ("padx_0_0", numbers(scored(1.0), scored(1.0))),
        ("padx_1_0", None),
    )
    assert step.valid_B.tolist() == [True, False, False]
    assert step.masks["consistency"].tolist() == [True, False, False]
    assert len(set(step.groups_B.tolist())) == 3
    assert step.owner_B.tolist() == [0, 1, 2]
    assert step.task_B.tolist() == [1.0, 0.0, 0.0]
    assert step.present == 1


def test_only_the_last_output_of_a_session_counts_wherever_it_stands():
    step = read(
        ("p_0_2", numbers(scored(1.0), scored(1.0))),
        ("p_0_0", numbers(scored(0.5), scored(0.0))),
        ("p_1_0", numbers(scored(0.0))),
        ("p_0_10", numbers(scored(0.25), scored(0.5))),  # 10 comes after 2: the index is a number
    )
    assert step.valid_B.tolist() == [False, False, True, True]
    assert step.owner_B.tolist() == [3, 3, 2, 3]
    assert step.task_B.tolist() == [0.0, 0.0, 0.0, 0.25]
    assert step.masks["consistency"].tolist() == [False, False, False, True]
    assert step.present == 2


def test_a_scored_earlier_output_does_not_stand_in_for_an_unscored_last_one():
    step = read(("p_0_0", numbers(scored(1.0))), ("p_0_1", None))
    assert not step.valid_B.any()
    assert step.invalid == {"missing": 1}


def test_lost_rollouts_are_counted_by_reason():
    step = read(
        ("p_0_0", None),
        ("p_1_0", {}),
        ("p_2_0", failed_numbers(Reason.REWARD_FAILED)),
        ("p_3_0", numbers(absent(Reason.TRUNCATED))),
        ("p_4_0", numbers(scored(1.0), scored(1.0), scored(1.0))),
    )
    assert step.invalid == {"missing": 2, "reward_failed": 1, "truncated": 1}
    assert step.valid_B.tolist() == [False] * 4 + [True]
    assert step.task_B.tolist() == [0.0] * 4 + [1.0]
    assert not step.reasons["consistency"]  # reasons are those of valid rows


def test_reasons_of_absent_scores():
    step = read(
        ("p_0_0", numbers(scored(1.0), scored(1.0), absent(Reason.NO_REFERENCE))),
        ("p_1_0", numbers(scored(0.5), absent(Reason.ANSWER_WRONG), absent(Reason.NO_REFERENCE))),
        ("p_2_0", numbers(scored(0.5), measured_only(1.0), scored(0.5))),
        ("p_3_0", numbers(scored(1.0), absent(Reason.JUDGE_DEADLINE), scored(0.5))),
    )
    assert step.reasons["consistency"] == {"answer_wrong": 2, "judge_deadline": 1}
    assert step.reasons["spatial_grounding"] == {"no_reference": 2}


def test_failures_are_what_never_came_or_was_not_scored_truncated_ones_are_none():
    step = read(
        ("p_0_0", numbers(scored(1.0))),
        ("p_1_0", None),
        ("p_2_0", numbers(absent(Reason.TRUNCATED))),
        ("p_3_0", failed_numbers(Reason.REWARD_FAILED)),
        ("padx_0_0", None),
        expected=6,
    )
    # 6 expected: 4 came, of these 1 is scored, 1 truncated on purpose, 2 without score; 2 never came
    assert (step.missing, step.failed) == (2, 4)


def test_metrics_by_hand():
    step = read(
        ("p_0_0", numbers(scored(1.0), scored(1.0), scored(0.25), sentences=4.0)),
        ("p_1_0", numbers(scored(0.5), measured_only(0.0), sentences=1.0)),
        ("q_0_0", numbers(scored(0.0), sentences=1.0)),
        ("q_1_0", failed_numbers(Reason.REWARD_FAILED)),
    )
    assert metrics_of(step) == {
        "fgrpo/rollouts/expected": 5,
        "fgrpo/rollouts/scored": 3,
        "fgrpo/rollouts/missing": 1,
        "fgrpo/rollouts/failed_share": 0.4,
        "fgrpo/rollouts/invalid/reward_failed": 1,
        "fgrpo/signals/task/mean": 0.5,
        "fgrpo/signals/consistency/applicable": 1,
        "fgrpo/signals/consistency/mean": 1.0,
        "fgrpo/signals/consistency/absent/answer_wrong": 2,
        "fgrpo/signals/spatial_grounding/applicable": 1,
        "fgrpo/signals/spatial_grounding/mean": 0.25,
        "fgrpo/signals/spatial_grounding/absent/no_reference": 2,
        "fgrpo/judges/consistency/verdicts": 0.0,
        "fgrpo/judges/grounding/verdicts": 0.0,
        "fgrpo/rollouts/sentences/mean": 2.0,
    }


def test_a_mean_over_nothing_is_left_out():
    metrics = metrics_of(read(("p_0_0", None)))
    assert not [name for name in metrics if name.endswith("/mean")]
    assert metrics["fgrpo/signals/consistency/applicable"] == 0


def test_as_many_numbers_as_keys():
    with pytest.raises(ValueError, match="zip"):
        read_step(1, [RolloutId("p", 0)], [], NAMES, expected=1)


# ---------------------------------------------------------------------- any batch

values = st.floats(0.0, 1.0)
reasons = st.sampled_from([reason for reason in Reason if reason is not Reason.NONE])
tasks = st.one_of(values.map(scored), reasons.map(absent))
signals = st.one_of(values.map(scored), values.map(measured_only), reasons.map(absent))
reported = st.one_of(st.none(), st.builds(numbers, tasks, signals, signals, acc=values, sentences=values))
outputs = st.tuples(st.sampled_from(["0-1", "0-12", "a_b"]), st.integers(0, 2), st.integers(0, 2))
paddings = st.tuples(st.just("pad"), st.integers(0, 99), st.just(0))


@st.composite
def batches(draw):
    parts = draw(st.lists(st.one_of(outputs, paddings), unique=True, max_size=12))
    return [("_".join(map(str, part)), draw(reported)) for part in parts]


@given(batches())
def test_equals_a_slow_obvious_loop(batch):
    step = read(*batch)
    owners, valid, invalid, sessions = [], [], Counter(), set()
    applicable = {name: [] for name in NAMES}
    absences = {name: Counter() for name in NAMES}
    for row, (key, found) in enumerate(batch):
        group, session, _ = id_of(key)
        owner, top = row, -1
        for other, (candidate, _) in enumerate(batch):
            if id_of(candidate)[:2] == (group, session) and id_of(candidate).output > top:
                owner, top = other, id_of(candidate).output
        owners.append(owner)
        counts = group != "pad" and owner == row
        valid.append(counts and found is not None and found["task_valid"] == 1.0)
        if group != "pad":
            sessions.add((group, session))
        if counts and not valid[-1]:
            invalid["missing" if found is None else Reason(int(found["task_reason"])).name.lower()] += 1
        for name in NAMES:
            applicable[name].append(valid[-1] and found[f"{name}_valid"] == 1.0)
            if valid[-1] and not applicable[name][-1]:
                reason = Reason(int(found[f"{name}_reason"]))
                absences[name]["answer_wrong" if reason is Reason.NONE else reason.name.lower()] += 1

    assert step.owner_B.tolist() == owners
    assert step.valid_B.tolist() == valid
    assert step.invalid == invalid
    assert step.present == len(sessions)
    assert step.reasons == absences
    assert step.task_B.tolist() == [row["task"] if use else 0.0 for (_, row), use in zip(batch, valid, strict=True)]
    for name in NAMES:
        assert step.masks[name].tolist() == applicable[name]
        for row in torch.nonzero(step.masks[name]).flatten().tolist():
            assert step.scores[name][row] == batch[row][1][name]
    for row, (key, _) in enumerate(batch):
        for other, (candidate, _) in enumerate(batch):
            together = row == other or (id_of(key).group == id_of(candidate).group != "pad")
            assert (step.groups_B[row] == step.groups_B[other]).item() == together


@given(batches(), st.integers(0, 5))
def test_metrics_are_finite_numbers_and_counts_add_up(batch, never_came):
    step = read(*batch)
    expected = max(1, step.present + never_came)
    metrics = metrics_of(replace(step, expected=expected))
    for name, value in metrics.items():
        assert isinstance(value, int | float), name
        assert math.isfinite(value), name
    lost = sum(value for name, value in metrics.items() if name.startswith("fgrpo/rollouts/invalid/"))
    assert metrics["fgrpo/rollouts/scored"] + lost + metrics["fgrpo/rollouts/missing"] == expected
    assert 0.0 <= metrics["fgrpo/rollouts/failed_share"] <= 1.0
    for name in NAMES:
        gone = sum(value for key, value in metrics.items() if key.startswith(f"fgrpo/signals/{name}/absent/"))
        assert metrics[f"fgrpo/signals/{name}/applicable"] + gone == metrics["fgrpo/rollouts/scored"]
