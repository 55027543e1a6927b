"""Traces that somebody already has, scored like ours: no model is called but the judges (and the scorer)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from PIL import Image
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from easyr1_fgrpo.checkpoints import file_sha256
from easyr1_fgrpo.evaluation.answers.asking import Answer, content_hash
from easyr1_fgrpo.evaluation.answers.models import ModelSpec
from easyr1_fgrpo.evaluation.answers.pictures import Picture
from easyr1_fgrpo.evaluation.benchmarks import NAME, Item, Reject
from easyr1_fgrpo.evaluation.evaluate import Asked, result_of, write
from easyr1_fgrpo.evaluation.plan import Plan, connection
from easyr1_fgrpo.evaluation.result_files import named_records, ours_of
from easyr1_fgrpo.evaluation.results.results import Evaluation, RejectRecord
from easyr1_fgrpo.evaluation.run_items import Task, run_items
from easyr1_fgrpo.evaluation.scoring.score import Scoring
from easyr1_fgrpo.evaluation.scoring.scorer import AnswerScorer, ScorerSpec
from easyr1_fgrpo.evaluation.styles import Style
from easyr1_fgrpo.judges.factory import close
from easyr1_fgrpo.normal_form import named_by_text
from easyr1_fgrpo.pictures import decode
from easyr1_fgrpo.published.option_fields import by_letter, is_letter, unlettered
from easyr1_fgrpo.published.options import split_options
from easyr1_fgrpo.published.pictures import spellings, written_picture
from easyr1_fgrpo.rewards import Box
from easyr1_fgrpo.rewards.accuracy import named_by_letter

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank")
    return text


def _listed(value: Any) -> Any:
    return () if value is None else (value,) if isinstance(value, str) else value


class Line(BaseModel):
    """A line of a trace file under our names."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)

    question: Annotated[str, AfterValidator(_not_blank)]
    response: str
    ground_truth: Annotated[str, AfterValidator(_not_blank)]
    images: Annotated[tuple[str, ...], BeforeValidator(_listed)]
    choices: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    id: str = ""
    category: str = ""
    group: str = ""
    benchmark: str = ""
    boxes: Annotated[tuple[Box, ...], BeforeValidator(_listed)] = ()
    truncated: bool = False


@dataclass(frozen=True)
class Audit:
    """What is scored.

    Attributes:
        traces: the file, see `result_files.named_records`.
        name: of whoever wrote the traces, in tables and files.
        style: the grammar of the responses.
        images: folder that image names are relative to; nothing outside of it is read.
        out: folder to write into; finished items in it are used again.
        names: their field for ours, see `result_files.theirs`.
        scorer: the answer scorer; None for none.
        concurrency: traces under way at a time.
    """

    traces: Path
    name: str
    style: Style
    images: Path
    out: Path
    names: Mapping[str, str] = field(default_factory=dict)
    scorer: ScorerSpec | None = None
    concurrency: int = 64


async def audit(job: Audit, scoring: Scoring) -> tuple[Evaluation, list[RejectRecord]]:
    """Score every trace; files as `evaluate` writes them.

    Raises:
        ModelGone: when the scorer cannot be asked any more; what is finished stays.
        ValueError, OSError: when the file cannot be read or names a benchmark that cannot be one.
    """
    plan = Plan([], [], job.out, concurrency=job.concurrency)
    spec = ModelSpec(job.name, job.style, None, None)
    results, rejects = [], []
    try:
        async with AsyncExitStack() as stack:
            if job.scorer:
                client = await stack.enter_async_context(connection(job.scorer.address, plan))
                scoring = replace(scoring, scorer=AnswerScorer(client, await client.served_name(), job.scorer))
            for benchmark in benchmarks_of(job):
                lines: dict[str, Line] = {}

                async def respond(item: Item, pictures: Sequence[Picture], lines: dict[str, Line] = lines) -> Answer:
                    line = lines.pop(item.id)
                    return Answer(line.response, line.truncated).scored

                def answer_key(item: Item, lines: dict[str, Line] = lines) -> str:
                    return content_hash(job.style.name, item.id, lines[item.id].model_dump(mode="json"))

                task = Task(job.name, job.style, benchmark, _source(job, benchmark, lines), answer_key, respond)
                tally = await run_items(task, scoring, job.out, job.concurrency)
                asked = Asked(spec, file_sha256(job.traces), benchmark, str(job.traces))
                results.append(result_of(asked, tally, scorer=scoring.scorer is not None))
                rejects += tally.rejects
    finally:
        await close(scoring.judges.values())
    settings = {
        "traces": str(job.traces),
        "fields": dict(job.names),
        "scorer": scoring.scorer.name if scoring.scorer else "",
        "judges": {question: judge.name for question, judge in scoring.judges.items()},
    }
    evaluation = Evaluation(settings=settings, results=tuple(results))
    write(evaluation, rejects, job.out)
    return evaluation, rejects


def benchmarks_of(job: Audit) -> list[str]:
    """The benchmarks that the lines name, in order; lines that name none, or are none, belong to the first.

    Raises:
        ValueError: for a name that cannot be one of a file, or an empty file.
    """
    found = dict.fromkeys(row.benchmark for _, row in _lines(job) if isinstance(row, Line) and row.benchmark)
    if wrong := [name for name in found if not NAME.fullmatch(name)]:
        raise ValueError(f"{job.traces}: benchmark {wrong[0]!r}: use letters, digits and . _ + - only")
    if not found and next(_lines(job), None) is None:
        raise ValueError(f"{job.traces}: no traces in it")
    return list(found) or ["traces"]


def _source(job: Audit, benchmark: str, lines: dict[str, Line]) -> Iterator[Item | Reject]:
    """The lines of a benchmark as items; each is left in `lines` under its item's id until it is asked for."""
    first = benchmarks_of(job)[0]
    seen: Counter[str] = Counter()
    for name, row in _lines(job):
        if isinstance(row, str):
            if benchmark == first:
                yield Reject(benchmark, name, row)
        elif (row.benchmark or first) == benchmark:
            if problem := _problem(row):
                yield Reject(benchmark, name, problem)
                continue
            identity = row.id or name
            seen[identity] += 1
            item = _item(job, row, benchmark, identity if seen[identity] == 1 else f"{identity} #{seen[identity]}")
            lines[item.id] = row
            yield item


def _lines(job: Audit) -> Iterator[tuple[str, Line | str]]:
    """Names of records ("line 3") with the line, or what is wrong with it."""
    for name, record in named_records(job.traces):
        if isinstance(record, str):
            yield name, record
            continue
        try:
            yield name, _read(Line.model_validate(ours_of(record, job.names)))
        except ValidationError as error:
            yield name, "; ".join(_said(job, item) for item in error.errors())
        except ValueError as error:
            yield name, str(error)


def _read(line: Line) -> Line:
    """The line with options that stand in its question, and the text of the answer that a letter names."""
    question, choices = (line.question, line.choices) if line.choices else split_options(line.question)
    choices = unlettered(choices)
    answer = line.ground_truth
    text, letter = named_by_text(answer, choices), named_by_letter(answer, choices)
    if text and letter and text != letter:
        raise ValueError(f"ground_truth {answer!r} is the letter of an option and the text of another")
    if choices and not text:
        try:
            answer = by_letter(answer, choices)
        except ValueError:  # options that are not the answer's are none; those of a field are named as wrong
            question, choices = line.question, unlettered(line.choices)
    return line.model_copy(update={"question": question, "choices": choices, "ground_truth": answer})


def _said(job: Audit, item: Any) -> str:
    name = str(item["loc"][0])
    theirs = job.names.get(name, name)
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "missing":
        return f"no field {theirs}: name yours by --field {name}=THEIRS"
    return f"{theirs}: {message}"


def _problem(line: Line) -> str:
    """Why a line cannot be scored; "" when nothing speaks against it."""
    if not line.images:
        return "no image: grounding cannot be judged without"
    if not line.choices and is_letter(line.ground_truth):
        return f"ground_truth {line.ground_truth!r} is a letter without options: name them by --field choices=THEIRS"
    if line.choices and not named_by_text(line.ground_truth, line.choices):
        return f"ground_truth {line.ground_truth!r} is none of the choices {list(line.choices)}"[:300]
    return ""


def _item(job: Audit, line: Line, benchmark: str, identity: str) -> Item:
    return Item(
        id=identity,
        benchmark=benchmark,
        load_images=lambda: [_open(job.images, name) for name in line.images],
        question=line.question,
        choices=line.choices,
        answer=line.ground_truth,
        category=line.category,
        group=line.group,
        boxes=line.boxes,
    )


def _open(folder: Path, name: str) -> Image.Image:
    """An image below the folder, by file name or without its suffix (our own traces name them by hash), or a data URL.

    Raises:
        ValueError: when it is not there, not below the folder, or none.
    """
    if (file := written_picture(name)) is not None:
        return decode(file)
    root = folder.resolve()
    paths = [(root / f"{one}{suffix}").resolve() for one in spellings(name) for suffix in ("", *SUFFIXES)]
    found = next((path for path in paths if path.is_relative_to(root) and path.is_file()), None)
    if found is None:
        raise ValueError(f"{name!r} is not in {folder}")
    return decode(found.read_bytes())
