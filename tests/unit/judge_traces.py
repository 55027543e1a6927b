"""Miniature traces with the oracle's verdicts, and judges whose errors are known."""

import asyncio
import json
import random
import re
from collections import Counter

import numpy as np

from easyr1_fgrpo.config.schema import RewardSettings
from easyr1_fgrpo.judges.protocol import LABELS, Failure, Label, Question, Verdict
from easyr1_fgrpo.miniature.oracle import OracleJudge
from easyr1_fgrpo.miniature.render import fingerprint, render
from easyr1_fgrpo.miniature.scene import RELATIONS
from easyr1_fgrpo.miniature.teacher import noisy_response
from easyr1_fgrpo.miniature.worlds.one_step import draw_example
from easyr1_fgrpo.rewards import Sample, score_rollout
from easyr1_fgrpo.traces import SentenceRecord, TraceRecord, TraceWriter, VerdictRecord, save_images

RECORDS = 240

TRUE = {Question.CONSISTENCY: Label.YES, Question.GROUNDING: Label.CORRECT}


class RecordingJudge:
    """Approves of everything and records what it was asked."""

    name = "recording"

    def __init__(self):
        self.requests = []

    def label(self, request):
        return TRUE[request.kind]

    async def ask(self, request):
        self.requests.append(request)
        return Verdict(self.label(request), self.name)


class AllAtOnceJudge(RecordingJudge):
    """Answers a rollout's claims together; `answers` says how many verdicts it gives for n claims."""

    per_rollout = True

    def __init__(self, answers=lambda n: n):
        super().__init__()
        self.answers, self.rollouts = answers, []

    async def ask_all(self, requests):
        self.rollouts.append([request.claim for request in requests])
        return [Verdict(self.label(request), self.name) for request in requests][: self.answers(len(requests))]


class RaisingJudge(RecordingJudge):
    async def ask(self, request):
        raise RuntimeError("broken")


class SilentJudge(RecordingJudge):
    async def ask(self, request):
        await asyncio.Event().wait()


def both(judge):
    return dict.fromkeys(Question, judge)


def write_run(folder, n, seed=0):
    """A run directory with n scored rollouts and the world's scene file; returns the trace file and the scene file."""
    rng = np.random.default_rng(seed)
    examples = [draw_example(rng) for _ in range(n)]
    pictures = [render(example.scene, rng) for example in examples]
    folder.mkdir(parents=True, exist_ok=True)
    scenes = folder / "scenes.jsonl"
    with scenes.open("w") as file:
        for example, picture in zip(examples, pictures, strict=True):
            things = [{"colour": thing.colour, "shape": thing.shape, "box": thing.box} for thing in example.scene]
            file.write(json.dumps({"picture": fingerprint(picture), "things": things}) + "\n")
    asyncio.run(_write(folder, examples, pictures, [noisy_response(example, rng) for example in examples], scenes))
    return folder / "traces" / "test-0.jsonl", scenes


async def _write(folder, examples, pictures, responses, scenes):
    oracle = both(OracleJudge(scenes))
    with TraceWriter(folder, "test") as writer:
        for index, (example, picture, response) in enumerate(zip(examples, pictures, responses, strict=True)):
            choices = tuple(map(str, RELATIONS[example.axis]))
            question = f"Is red {choices[0]} or {choices[1]} of blue?"
            sample = Sample(question, choices, str(example.answer), (picture,), index=index, split="test")
            score = await score_rollout(sample, response, oracle, RewardSettings(judge_scope="all"))
            images = save_images(sample.images, folder)
            writer.write(TraceRecord.from_score(sample, score, images=images, response=response, step=1, session=0))


def verdict(label=None, failure=None):
    """Of a human."""
    return VerdictRecord(judge="human", label=label, failure=failure)


def record(index, **changes):
    """A judged rollout of four sentences: true, trivial, unjudged, never asked about."""
    trace = "The dog is left of it. Let me think. A cat sits. A cow stands."
    labels = (verdict(Label.CORRECT), None, verdict(failure=Failure.DEADLINE), None)
    sentences = []
    for text, given in zip(re.findall(r"[^.]+\.", trace), labels, strict=True):
        start = trace.index(text.strip())
        trivial = text.strip().startswith("Let")
        sentences.append(
            SentenceRecord(
                text=text.strip(), start=start, end=start + len(text.strip()), trivial=trivial, verdict=given
            )
        )
    fields = {
        "split": "val",
        "step": 0,
        "index": index,
        "session": 0,
        "question": "Where?",
        "choices": ("left", "right"),
        "ground_truth": "left",
        "images": (),
        "response": "",
        "trace": trace,
        "answer": "left",
        "signals": {},
        "consistency": verdict(Label.YES),
        "sentences": tuple(sentences),
    }
    return TraceRecord(**(fields | changes))


class WrongAtTimes(OracleJudge):
    """The oracle, whose label is another one in a share of the answers; a flaky one draws anew when asked again."""

    name = "wrong-at-times"

    def __init__(self, scenes, rate, *, flaky=False):
        super().__init__(scenes)
        self.rate, self.flaky, self.times = rate, flaky, Counter()

    async def ask(self, request):
        verdict = await super().ask(request)
        pictures = [fingerprint(picture) for picture in request.images]
        key = f"{request.context}|{request.claim}|{request.answer}|{pictures}"
        rng = random.Random(f"{key}|{self.times[key]}")  # questions come in any order, so each has its own draws
        self.times[key] += self.flaky
        if rng.random() >= self.rate:
            return verdict
        return Verdict(rng.choice(sorted(LABELS[request.kind] - {verdict.label})), self.name)


class MeetingJudge(RecordingJudge):
    """Lets nobody go before `parties` questions are under way at once."""

    def __init__(self, parties):
        super().__init__()
        self.parties, self.now, self.most, self.met = parties, 0, 0, asyncio.Event()

    async def ask(self, request):
        self.now += 1
        self.most = max(self.most, self.now)
        if self.now == self.parties:
            self.met.set()
        await self.met.wait()
        await asyncio.sleep(0.02)  # time for one too many to come
        self.now -= 1
        return await super().ask(request)


class Approving(RecordingJudge):
    """Says YES and CORRECT to everything; the command line can build it."""

    name = "Qwen/Qwen3-VL-30B-A3B-Instruct"


class Rejecting(RecordingJudge):
    def label(self, request):
        return Label.NO if request.kind is Question.CONSISTENCY else Label.INCORRECT


class Failing(RecordingJudge):
    """Two of three answers are no label: none at all, and one of the other question."""

    async def ask(self, request):
        self.requests.append(request)
        if len(self.requests) % 3 == 0:
            return Verdict(None, self.name, Failure.DEADLINE, cause="too late")
        if len(self.requests) % 3 == 1:
            return Verdict(Label.YES if request.kind is Question.GROUNDING else Label.SKIP, self.name)
        return Verdict(self.label(request), self.name)
