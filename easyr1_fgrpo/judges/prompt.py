"""What a model judge is told and asked, and how its answer is read.

A template is a Jinja file with two blocks: `rules`, the system message, is the same for all cases; `case` holds the
data of one. `rules` knows the variables `coordinates` and `repetition`; `case` also knows, each a JSON literal already:

- consistency: `question`, `trace`, `answer`;
- grounding: `image_sizes`, `question`, `context`, `claim`;
- grounding of a whole rollout: `image_sizes`, `question`, `trace` (to the end of the last claim) and `claims`, a list.

Ours stand in `prompts/`; another one may `{% include %}` them. A server's prefix cache serves the sentences of a trace,
and the rollouts of a prompt, as far as their requests begin alike: rules, images, question, reasoning, latest sentence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import jinja2
from PIL import Image

from easyr1_fgrpo.config.judges import Convention
from easyr1_fgrpo.judges.boxes import plain_boxes
from easyr1_fgrpo.judges.fence import fence
from easyr1_fgrpo.judges.protocol import LABELS, JudgeRequest, Label, Question

MAX_QUESTION = 8_000
MAX_TRACE = 26_000
MAX_CLAIM = 8_000
MAX_ANSWER = 4_000
"""Characters of each text in a request, its escapes included: hostile text cannot overflow the judge's context."""

_OURS = files("easyr1_fgrpo.judges") / "prompts"
_JUDGED = {"trace", "claim", "claims", "answer"}


@dataclass(frozen=True)
class Prompt:
    """The prompt of one judge; make it with `load`.

    Attributes:
        question: which question it asks.
        version: short hash of all that decides the wording; part of a cached verdict's key.
        rules: the system message.
        coordinates: how boxes are written.
        per_rollout: whether it asks about all claims of a rollout at once.
    """

    question: Question
    version: str
    rules: str = field(repr=False)
    coordinates: Convention
    per_rollout: bool
    _template: jinja2.Template = field(repr=False, compare=False)

    @classmethod
    def load(
        cls,
        question: Question,
        *,
        template: str | Path = "",
        coordinates: Convention = "pixels",
        repetition: Literal["skip", "incorrect"] = "skip",
        per_rollout: bool = False,
    ) -> Prompt:
        """Read a template and try it on a specimen.

        Args:
            question: which question it asks.
            template: a custom file; empty for ours.
            coordinates: how the judge's model writes boxes.
            repetition: what a claim that only repeats an earlier one is.
            per_rollout: ask about all claims of a rollout at once; grounding only.

        Raises:
            ValueError: when the file cannot be read or is no template for this question; it says what to fix.
        """
        if per_rollout and question is not Question.GROUNDING:
            raise ValueError(f"per_rollout=True: a rollout has one {question} question, set it for grounding only")
        name = str(template) or f"{question}{'_rollout' if per_rollout else ''}.jinja"
        try:
            source = Path(template).read_text(encoding="utf-8") if template else _ours(name)
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"prompt template {name}: cannot be read ({error}): give a UTF-8 text file") from error
        values = _values(_specimen(question), coordinates, per_rollout)
        try:
            compiled = _compile(source, coordinates=coordinates, repetition=repetition)
            rules = _render(compiled, "rules", {})
            case = _render(compiled, "case", values)
        except Exception as error:
            # A template is code: whatever it raises is to be fixed there.
            line = f", line {error.lineno}" if isinstance(error, jinja2.TemplateSyntaxError) else ""
            known = f"; rules knows coordinates and repetition, case also {', '.join(values)}"
            fix = known if isinstance(error, jinja2.UndefinedError) else ""
            raise ValueError(f"prompt template {name}{line}: {error}{fix}") from error
        if hidden := [key for key in values if key in _JUDGED and not _shown(values[key], case)]:
            raise ValueError(
                f"prompt template {name}: case does not show {hidden[0]}: write {{{{ {hidden[0]} }}}} there"
            )
        version = hashlib.sha256("\0".join([source, rules, case]).encode("utf-8", "surrogatepass")).hexdigest()[:12]
        return cls(question, version, rules, coordinates, per_rollout, compiled)

    def messages(
        self, requests: Sequence[JudgeRequest], image_url: Callable[[Image.Image], str]
    ) -> list[dict[str, Any]]:
        """The chat messages of one call.

        Args:
            requests: the question; with `per_rollout` all grounding questions of one rollout, in order.
            image_url: gives an image as a URL, data: as a rule.

        Raises:
            ValueError: for a number or kind of requests that this prompt does not ask.
        """
        kinds = {request.kind for request in requests}
        if kinds != {self.question} or (len(requests) > 1 and not self.per_rollout):
            most = "one rollout's requests" if self.per_rollout else "one request"
            raise ValueError(f"{len(requests)} requests of {sorted(kinds)}: this prompt asks {most} of {self.question}")
        images = requests[0].images if self.question is Question.GROUNDING else ()
        case = _render(self._template, "case", _values(requests, self.coordinates, self.per_rollout))
        content: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": image_url(image)}} for image in images
        ]
        content.append({"type": "text", "text": case})
        return [{"role": "system", "content": self.rules}, {"role": "user", "content": content}]

    def parse(self, text: str, count: int) -> list[Label] | None:
        """Read a judge's answer, strictly: nothing but the label, or with `per_rollout` a JSON array of them.

        Args:
            text: the answer. Case, surrounding white space and one final full stop of a label do not matter.
            count: number of requests.

        Returns:
            A label per request; None when the answer is anything else.
        """
        words: Any = [text]
        if self.per_rollout:
            try:
                words = json.loads(text)
            except (ValueError, RecursionError):
                return None
        if not isinstance(words, list) or len(words) != count:
            return None
        labels = [label for word in words if (label := self._label(word)) is not None]
        return labels if len(labels) == count else None

    def structure(self, count: int) -> dict[str, Any]:
        """What vLLM's `structured_outputs` has to be for an answer to `count` requests."""
        labels = [label.value for label in Label if label in LABELS[self.question]]
        if not self.per_rollout:
            return {"choice": labels}
        items = {"type": "string", "enum": labels}
        return {"json": {"type": "array", "items": items, "minItems": count, "maxItems": count}}

    def _label(self, word: object) -> Label | None:
        # Upper case turns some letters outside of ASCII into ASCII ones, hence isascii.
        if not isinstance(word, str) or not word.isascii():
            return None
        name = word.strip().removesuffix(".").upper()
        return next((label for label in LABELS[self.question] if label.value == name), None)


def _values(requests: Sequence[JudgeRequest], coordinates: Convention, per_rollout: bool) -> dict[str, Any]:
    """The variables of `case`: text fenced, boxes in the judge's convention."""
    last = requests[-1]
    size = last.images[0].size if last.images and coordinates == "thousand" else None

    def quoted(text: str, limit: int) -> str:
        return fence(plain_boxes(text, size), limit)

    values: dict[str, Any] = {"question": quoted(last.question, MAX_QUESTION)}
    if last.kind is Question.CONSISTENCY:
        return values | {"trace": quoted(last.context, MAX_TRACE), "answer": quoted(last.answer, MAX_ANSWER)}
    values["image_sizes"] = json.dumps([image.size for image in last.images])
    if per_rollout:
        claims = [quoted(request.claim, MAX_CLAIM) for request in requests]
        return values | {"trace": quoted(last.context + last.claim, MAX_TRACE), "claims": claims}
    return values | {"context": quoted(last.context, MAX_TRACE), "claim": quoted(last.claim, MAX_CLAIM)}


def _compile(source: str, **settings: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_ours),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    compiled = environment.from_string(source, globals=settings)
    for block in ("rules", "case"):
        if block not in compiled.blocks:
            raise ValueError(f"no block {block}: write {{% block {block} %}}...{{% endblock %}}")
    return compiled


def _render(template: jinja2.Template, block: str, values: dict[str, Any]) -> str:
    return "".join(template.blocks[block](template.new_context(values))).strip()


def _ours(name: str) -> str:
    return (_OURS / name).read_text(encoding="utf-8")


def _shown(value: str | list[str], case: str) -> bool:
    return all(literal in case for literal in ([value] if isinstance(value, str) else value))


def _specimen(question: Question) -> list[JudgeRequest]:
    """Requests that show how texts are fenced, cut and how boxes are written, so that the version depends on it."""
    hard = ' <|im_end|> [INST] "\u200b" <bbox>[10,20,30,40]</bbox>. '
    long = hard + "word " * MAX_TRACE
    if question is Question.CONSISTENCY:
        return [JudgeRequest(question, "question" + long, context="trace" + long, answer="answer" + long)]
    images = (Image.new("RGB", (200, 100)),)
    return [
        JudgeRequest(question, "question" + long, images, context="context" + long, claim=f"claim {number}" + long)
        for number in (1, 2)
    ]
