"""The search over many questions at once: finished trees are used again, a tree that was cut off goes on."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from tqdm import tqdm

from data_prep.mcts.coordinates import Convention, Frame, PixelBudget
from data_prep.mcts.export import FAILED, tree_path
from data_prep.mcts.journal import Entry, Journal
from data_prep.mcts.questions import Question, data_url, messages, read_questions
from data_prep.mcts.search import search
from data_prep.mcts.steps import MAX_REPLY, BadReply, Step, read_step
from data_prep.mcts.teacher import Stopped, Teacher, TeacherConfig, TeacherFailed
from data_prep.mcts.tree import Node, SearchSettings, Tree
from easyr1_fgrpo.files import begin, write_json
from easyr1_fgrpo.terminal import progress_bar


class Settings(BaseModel):
    """What trees depend on, beside their rows; kept in `<out>/settings.json`.

    Attributes:
        model, temperature, reply_tokens: of the teacher.
        coordinates: how it writes boxes.
        min_pixels, max_pixels: within which it is sent pictures.
        search: FGRPO Table 7.
        seed: of all samples.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    temperature: float
    reply_tokens: int
    coordinates: Convention
    min_pixels: int
    max_pixels: int
    search: SearchSettings
    seed: int

    @classmethod
    def of(
        cls, teacher: TeacherConfig, coordinates: Convention, budget: PixelBudget, search: SearchSettings, seed: int
    ) -> Settings:
        """Of a teacher that writes boxes in `coordinates` and is sent pictures within the budget."""
        return cls(
            model=teacher.model,
            temperature=teacher.temperature,
            reply_tokens=teacher.reply_tokens,
            coordinates=coordinates,
            min_pixels=budget.least,
            max_pixels=budget.most,
            search=search,
            seed=seed,
        )

    @property
    def budget(self) -> PixelBudget:
        """Of the pictures sent."""
        return PixelBudget(self.min_pixels, self.max_pixels)


@dataclass
class Outcome:
    """How a run went.

    Attributes:
        finished: trees there are, earlier runs included.
        unsearched: questions that were tried and have no tree, and why.
        calls, tokens: of this run.
        stopped: why it ended before its time; None when it did not.
    """

    finished: int = 0
    unsearched: dict[str, str] = field(default_factory=dict)
    calls: int = 0
    tokens: int = 0
    stopped: Stopped | None = None


async def run(rows: Path, out: Path, names: Sequence[str], config: TeacherConfig, settings: Settings) -> Outcome:
    """Search all questions that have no tree yet.

    As many questions are under way as calls may be, so that there is always something to ask.

    Args:
        rows: file or folder of shards.
        out: for trees and, while a question is under way, its replies.
        names: of all questions.
        config: of the teacher.
        settings: of the trees.

    Raises:
        ValueError: when `out` holds trees that are made with other settings.
        TeacherFailed: when the API key is missing.
    """
    begin(out, settings.model_dump(mode="json"))
    for folder in ("trees", "unfinished"):
        (out / folder).mkdir(exist_ok=True)
    for path in (out / "unfinished").iterdir():
        if tree_path(out, path.stem.rpartition("-")[0]).exists():
            path.unlink()  # killed between writing the tree and removing this
    done = sum(tree_path(out, name).exists() for name in names)
    outcome = Outcome(finished=done)
    teacher = Teacher(config)
    bar: tqdm[Any] = progress_bar(total=len(names), initial=done, desc="Searching", unit="question", smoothing=0.05)
    runner = _Runner(out, teacher, settings, outcome, bar)
    try:
        teacher.connect()
        waiting = _unsearched(rows, out)
        await asyncio.gather(*(runner.work(waiting) for _ in range(config.concurrency)))
    finally:
        bar.close()
        await teacher.close()
        outcome.calls, outcome.tokens = teacher.calls, teacher.tokens
    outcome.stopped = teacher.stopped
    return outcome


def _unsearched(rows: Path, out: Path) -> Iterator[Question]:
    """Questions without a tree, in the rows' order; rows that are none are left to the export."""
    for name, question in read_questions(rows):
        if isinstance(question, Question) and not tree_path(out, name).exists():
            yield question


class _Runner:
    """Searches questions one after the other; several do so side by side."""

    def __init__(self, out: Path, teacher: Teacher, settings: Settings, outcome: Outcome, bar: tqdm[Any]) -> None:
        self._out, self._teacher, self._settings = out, teacher, settings
        self._outcome, self._bar = outcome, bar
        self._solved = self._searched = 0

    async def work(self, waiting: Iterator[Question]) -> None:
        """Take questions as long as there are any and the teacher is asked."""
        while self._teacher.stopped is None and (question := next(waiting, None)) is not None:
            try:
                root = await self._search(question)
            except Stopped:
                return
            except TeacherFailed as error:
                self._outcome.unsearched[question.name] = f"{FAILED}: {error}"
            except ValueError as error:
                self._outcome.unsearched[question.name] = f"bad row: {error}"
            else:
                self._searched += 1
                self._solved += root.total > 0
                self._outcome.finished += 1
                self._bar.update()
            self._show()

    async def _search(self, question: Question) -> Node:
        """The tree of one question, written when it is finished."""
        frame = question.frame(self._settings.coordinates, self._settings.budget)
        urls = await asyncio.to_thread(lambda: [data_url(picture, frame) for picture in question.pictures()])
        journal = Journal(self._out / "unfinished" / f"{question.name}-{question.digest}.jsonl")
        try:
            asking = _Asking(question, frame, urls, self._teacher, journal, self._settings.seed, self._show)
            root = await search(asking.ask, question.right, self._settings.search)
        except BaseException:
            journal.close()
            raise
        path = tree_path(self._out, question.name)
        write_json(path, _tree(question, root, journal).model_dump(mode="json"))
        journal.remove()
        return root

    def _show(self) -> None:
        self._bar.set_postfix(
            {
                "calls": self._teacher.calls,
                "tokens": self._teacher.tokens,
                "solved": f"{self._solved / self._searched:.0%}" if self._searched else "-",
                "failed": len(self._outcome.unsearched),
            },
            refresh=False,
        )
        self._bar.update(0)


@dataclass(frozen=True)
class _Asking:
    """How the search of one question gets its steps: from the journal, else from the teacher."""

    question: Question
    frame: Frame
    urls: Sequence[str]
    teacher: Teacher
    journal: Journal
    seed: int
    asked: Callable[[], None]

    async def ask(self, address: str, steps: Sequence[Step], left: int) -> Step:
        """See `search.Ask`."""
        entry = self.journal.entries.get(address)
        if entry is None:
            chat = messages(self.question, self.frame, self.urls, steps, left)
            reply = await self.teacher.ask(chat, _seed(self.seed, self.question.name, address))
            text = self.teacher.without_key(reply.text)[: MAX_REPLY + 1]
            entry = Entry(
                address=address,
                text=text.encode("utf-8", "replace").decode(),
                cut=reply.finish_reason == "length",
                prompt_tokens=reply.prompt_tokens,
                completion_tokens=reply.completion_tokens,
            )
            self.journal.add(entry)
            self.asked()
        if entry.cut:
            raise BadReply("cut off at the token limit")
        return read_step(entry.text, self.frame)


def _seed(seed: int, name: str, address: str) -> int:
    """Of one sample, below 2^31: the same for the same node of the same question's tree."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}/{address}".encode()).digest()[:4]) >> 1


def _tree(question: Question, root: Node, journal: Journal) -> Tree:
    info, entries = question.row.extra_info, journal.entries.values()
    return Tree(
        name=question.name,
        row=question.digest,
        question=info.question,
        choices=info.choices,
        ground_truth=question.row.reward_model.ground_truth,
        width=info.width,
        height=info.height,
        calls=len(entries),
        prompt_tokens=sum(entry.prompt_tokens for entry in entries),
        completion_tokens=sum(entry.completion_tokens for entry in entries),
        root=root,
    )
