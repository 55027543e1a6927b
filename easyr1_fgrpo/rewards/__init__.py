"""A response becomes named signals: rules and judges' verdicts, no network and no trainer."""

from easyr1_fgrpo.normal_form import normalize_answer
from easyr1_fgrpo.rewards.accuracy import answer_matches
from easyr1_fgrpo.rewards.response import MAX_BOXES, Box, ParsedResponse, parse_response
from easyr1_fgrpo.rewards.rollout import (
    CORRECT_ONLY,
    JUDGE_COUNTS,
    SIGNALS,
    TASK,
    RolloutScore,
    Sample,
    SentenceVerdict,
    failed_numbers,
)
from easyr1_fgrpo.rewards.sentences import Sentence, is_trivial, split_sentences
from easyr1_fgrpo.rewards.signal import Reason, Signal
from easyr1_fgrpo.rewards.spatial import ciou, match_score, spatial_score
from easyr1_fgrpo.rewards.suite import score_rollout
from easyr1_fgrpo.rewards.task import task_reward

__all__ = [
    "CORRECT_ONLY",
    "JUDGE_COUNTS",
    "MAX_BOXES",
    "SIGNALS",
    "TASK",
    "Box",
    "ParsedResponse",
    "Reason",
    "RolloutScore",
    "Sample",
    "Sentence",
    "SentenceVerdict",
    "Signal",
    "answer_matches",
    "ciou",
    "failed_numbers",
    "is_trivial",
    "match_score",
    "normalize_answer",
    "parse_response",
    "score_rollout",
    "spatial_score",
    "split_sentences",
    "task_reward",
]
