"""A judge that reads without looking: whether what a trace concludes in the end is the answer."""

from __future__ import annotations

import re

from easyr1_fgrpo.judges.protocol import Failure, JudgeRequest, Label, Question, Verdict
from easyr1_fgrpo.rewards.accuracy import answer_matches

_CONCLUSION = re.compile(r"\banswer is:? (?P<said>[^\n]{1,300}?)(?=[.!]?\s*(?:\n|$)|[.!]\s)", re.IGNORECASE)
_OPTION = re.compile(r"^[A-Z]\. (?P<text>.+)$", re.MULTILINE)


class ConclusionJudge:
    """Consistency by a rule, for traces that end as `own/traces.py` writes them, on "So the answer is blue".

    YES when what the trace last calls the answer is the answer, by text or by an option's letter; NO when it is
    another; UNCERTAIN when it calls nothing the answer. The picture is not looked at, so it judges no grounding, and
    a trace that argues for one thing and concludes another is consistent to it: no substitute for a model as judge.
    """

    name = "conclusion"

    async def ask(self, request: JudgeRequest) -> Verdict:
        """Judge one request; any text gets a verdict."""
        if request.kind is not Question.CONSISTENCY:
            return Verdict(None, self.name, Failure.INVALID, cause="it does not look at pictures: consistency only")
        label = judge_consistency(request.question, request.context, request.answer)
        return Verdict(label, self.name, text=label.value)


def judge_consistency(question: str, trace: str, answer: str) -> Label:
    """See `ConclusionJudge`; the question has its options as lines `A. text`."""
    said = [match["said"] for match in _CONCLUSION.finditer(trace)]
    if not said:
        return Label.UNCERTAIN
    choices = [match["text"] for match in _OPTION.finditer(question)]
    # The answer may be an option's letter: what it names is what the conclusion has to name.
    named = next((choice for choice in choices if answer_matches(answer, choice, choices)), answer)
    return Label.YES if answer_matches(said[-1], named, choices) else Label.NO
