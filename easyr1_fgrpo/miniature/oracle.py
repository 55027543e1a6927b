"""A judge that knows the miniature world: it finds the scene by the picture it is shown and reads the text.

It answers both questions as a perfect model judge would, so training on it shows the method and not a judge's noise;
with an error rate it is wrong as often as a model judge might be.
"""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from easyr1_fgrpo.judges.protocol import Failure, JudgeRequest, Label, Question, Verdict
from easyr1_fgrpo.miniature.language import BOX_SENTENCE, CONCLUSION, RELATION_SENTENCE, VISUAL, said
from easyr1_fgrpo.miniature.render import fingerprint
from easyr1_fgrpo.miniature.scene import Box, Scene, Thing, holds
from easyr1_fgrpo.miniature.scene_file import read_scenes
from easyr1_fgrpo.miniature.worlds import world_of
from easyr1_fgrpo.normal_form import normalize_answer

SAME_BOX = 0.5
"""A box bounds its object when their intersection over union is at least this."""

WRONG = MappingProxyType(
    {
        Label.YES: Label.NO,
        Label.NO: Label.YES,
        Label.CORRECT: Label.INCORRECT,
        Label.INCORRECT: Label.CORRECT,
    }
)
"""What an error makes of a label; it makes nothing of the others."""

ERRORS = MappingProxyType(
    {
        "both": frozenset(WRONG),
        "false_negatives": frozenset({Label.YES, Label.CORRECT}),
        "false_positives": frozenset({Label.NO, Label.INCORRECT}),
    }
)
"""By the name of a kind of errors, the right labels that they strike."""


class OracleJudge:
    """Implements `easyr1_fgrpo.judges.protocol.Judge` for the miniature.

    Consistency, from question, trace and answer: as the world that the question is about defines it (`worlds/`).

    Grounding of the latest sentence, "the answer is ..." (deduction) left out of it: a box sentence is CORRECT when an
    object of that name exists and the box overlaps it (IoU >= `SAME_BOX`); a relation sentence when both objects exist
    and the relation holds; otherwise they are INCORRECT. SKIP is for a repetition and for a sentence without any visual
    word. A sentence with visual words that cannot be read claims something that is nowhere to be seen: INCORRECT, so
    that gibberish is no way out.

    Args:
        scenes: the `scenes.jsonl` that was written with the pictures.
        error_rate: share of requests that get the opposite label (see `WRONG`), in [0, 1]. It is the request's content
            that decides, so the same request is always answered alike.
        errors: which requests the share is of: "false_negatives" strike only what deserves YES or CORRECT,
            "false_positives" only what deserves NO or INCORRECT, "both" or None either.

    Raises:
        ValueError: when a line of the file is no scene, with file and line, and as `check_options`.
    """

    name = "oracle"

    def __init__(self, scenes: str | Path, error_rate: float = 0.0, errors: str | None = None) -> None:
        self.check_options(scenes, error_rate, errors)
        self._scenes = dict(read_scenes(Path(scenes)))
        self._error_rate = error_rate
        self._struck = ERRORS[errors or "both"]

    @staticmethod
    def check_options(scenes: str | Path, error_rate: float = 0.0, errors: str | None = None) -> None:
        """Refuse options before the scenes are there.

        Raises:
            ValueError: for an error rate outside of [0, 1], for errors of another name, and for errors without a rate.
        """
        if type(error_rate) not in (int, float) or not 0.0 <= error_rate <= 1.0:
            raise ValueError(f"error_rate={error_rate}: give a share of requests, between 0 and 1")
        if errors is not None and errors not in ERRORS:
            raise ValueError(f"errors={errors}: there are {', '.join(ERRORS)}")
        if errors is not None and error_rate == 0.0:
            raise ValueError(f"errors={errors}: nothing errs without an error_rate; give one, or leave this out")

    async def ask(self, request: JudgeRequest) -> Verdict:
        """Judge one request; any text gets a verdict, an unknown picture gets none."""
        if request.kind is Question.CONSISTENCY:
            return self._verdict(judge_consistency(request.question, request.context, request.answer), request)
        if len(request.images) != 1:
            return self._failure(f"the oracle judges one picture, got {len(request.images)}")
        picture = fingerprint(request.images[0])
        scene = self._scenes.get(picture)
        if scene is None:
            return self._failure(
                f"no scene has the picture {picture}: it was resized, or the scene file is another world's"
            )
        return self._verdict(judge_grounding(scene, request.context, request.claim), request, picture)

    def _verdict(self, label: Label, request: JudgeRequest, picture: str = "") -> Verdict:
        if label in self._struck and _draw(request, picture) < self._error_rate:
            label = WRONG[label]
        return Verdict(label, judge=self.name, text=label.value)

    def _failure(self, cause: str) -> Verdict:
        return Verdict(None, judge=self.name, failure=Failure.INVALID, cause=cause)


def judge_consistency(question: str, trace: str, answer: str) -> Label:
    """Whether the trace argues to the answer; see `OracleJudge`."""
    asked = _single_spaced(question)
    return world_of(asked).judge_consistency(asked, _single_spaced(trace), normalize_answer(answer))


def judge_grounding(scene: Scene, context: str, claim: str) -> Label:
    """Whether the latest sentence is true of the scene; see `OracleJudge`."""
    sentence = _single_spaced(claim)
    repeated = sentence in _single_spaced(context)
    claimed = CONCLUSION.sub("", sentence).strip(" ,.;")
    if repeated or not VISUAL.search(claimed):
        return Label.SKIP
    if box := BOX_SENTENCE.fullmatch(claimed):
        return _label(_box_true(scene, box))
    if relation := RELATION_SENTENCE.fullmatch(claimed):
        return _label(_relation_true(scene, relation))
    return Label.INCORRECT


def _draw(request: JudgeRequest, picture: str) -> float:
    """A number in [0, 1), even over requests, that comes from the request's content alone."""
    content = (request.kind, request.question, picture, request.context, request.claim, request.answer)
    return int.from_bytes(sha256(repr(content).encode()).digest()[:8], "big") / 2**64


def _label(true: bool) -> Label:
    return Label.CORRECT if true else Label.INCORRECT


def _box_true(scene: Scene, box: re.Match[str]) -> bool:
    thing = _find(scene, box["name"])
    x1, y1, x2, y2 = (float(box[corner]) for corner in ("x1", "y1", "x2", "y2"))
    return thing is not None and _iou(thing.box, (x1, y1, x2, y2)) >= SAME_BOX


def _relation_true(scene: Scene, sentence: re.Match[str]) -> bool:
    claim = said(sentence)
    if claim is None:
        return False
    first, second = _find(scene, claim.first), _find(scene, claim.second)
    return first is not None and second is not None and holds(first, claim.relation, second)


def _find(scene: Scene, name: str) -> Thing | None:
    return next((thing for thing in scene if thing.name == name.lower()), None)


def _iou(first: Box, second: tuple[float, float, float, float]) -> float:
    """Intersection over union; 0 for a reversed box."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = first, second
    width, height = min(ax2, bx2) - max(ax1, bx1), min(ay2, by2) - max(ay1, by1)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - width * height)


def _single_spaced(text: str) -> str:
    return " ".join(text.split())
