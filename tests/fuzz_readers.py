"""What reads hostile text, what has to hold whatever it reads, and a fuzzer that looks for text with which it does not.

Its interesting inputs, one for each path through a reader, are kept small in tests/cases/fuzzed.json and read again by
tests/unit/test_fuzzed.py. To look for more (atheris is no dependency of ours: `pip install atheris`):

    python tests/fuzz_readers.py sentences FOLDER/sentences -max_total_time=600 -timeout=5 -max_len=1000
    python tests/fuzz_readers.py --keep FOLDER

The last search, eight to ten minutes a reader from the reported cases on, found nothing that does not hold in 35
million texts.
"""

from __future__ import annotations

import base64
import json
import math
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

FUZZED = Path(__file__).parent / "cases/fuzzed.json"
KEPT, LONGEST = 25, 200
"""Inputs of a reader that are kept at most, and their bytes."""

fuzzing = __name__ == "__main__" and sys.argv[1:2] != ["--keep"]
if fuzzing:
    import atheris

with atheris.instrument_imports(include=["easyr1_fgrpo"]) if fuzzing else nullcontext():
    from pydantic import ValidationError

    from easyr1_fgrpo.judges.prompt import Prompt
    from easyr1_fgrpo.judges.protocol import LABELS, Question
    from easyr1_fgrpo.model_client.replies import ErrorReply, plain, read_reply
    from easyr1_fgrpo.published.record import Malformed
    from easyr1_fgrpo.published.records import read_records
    from easyr1_fgrpo.rewards import parse_response, split_sentences
    from easyr1_fgrpo.rows import Row
    from easyr1_fgrpo.traces import read_traces

PROMPTS = [Prompt.load(question) for question in Question] + [Prompt.load(Question.GROUNDING, per_rollout=True)]


def response(data: bytes) -> None:
    """The grammar of responses."""
    text = data.decode(errors="surrogateescape")
    parsed = parse_response(text)
    assert parsed.trace is None or (parsed.trace in text and parsed.trace.strip() == parsed.trace != "")
    assert parsed.answer is None or parsed.answer.strip() == parsed.answer != ""
    assert parsed.parsable or not parsed.well_formed
    assert len(parsed.boxes) <= parsed.n_boxes
    for x1, y1, x2, y2 in parsed.boxes:
        assert all(map(math.isfinite, (x1, y1, x2, y2)))
        assert x1 <= x2
        assert y1 <= y2


def sentences(data: bytes) -> None:
    """The cutter of sentences: nothing is lost, nothing is there twice."""
    text, end = data.decode(errors="surrogateescape"), 0
    for sentence in split_sentences(text):
        assert text[sentence.start : sentence.end] == sentence.text == sentence.text.strip() != ""
        assert text[end : sentence.start].strip() == ""
        end = sentence.end
    assert text[end:].strip() == ""


def verdict(data: bytes) -> None:
    """The reader of a judge's answer: labels of the question that was asked, as many as were asked for, or none."""
    text = plain(data.decode(errors="surrogateescape"))
    for prompt in PROMPTS:
        for count in (1, 2) if prompt.per_rollout else (1,):
            labels = prompt.parse(text, count)
            assert labels is None or (len(labels) == count and LABELS[prompt.question].issuperset(labels))


def reply(data: bytes) -> None:
    """The reader of a chat completion."""
    with suppress(ErrorReply, ValueError, RecursionError):
        read = read_reply(data)
        assert isinstance(read.text, str)
        assert isinstance(read.whole, str)
        assert min(read.prompt_tokens, read.completion_tokens) >= 0


def traces(data: bytes) -> None:
    """The reader of trace files: a line is a record or is counted as bad."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "train-0.jsonl"
        path.write_bytes(data)
        records, bad = read_traces([path])
    assert len(records) + bad <= data.count(b"\n") + 1


def rows(data: bytes) -> None:
    """The readers of published files and of rows."""
    suffix = (".jsonl", ".json", ".csv", ".tsv")[data[0] % 4 if data else 0]
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(data[1:])
        with suppress(ValueError):
            for record in read_records([path]):
                assert isinstance(record, dict | Malformed)
                with suppress(ValidationError):
                    Row.model_validate(record)


READERS: dict[str, Callable[[bytes], None]] = {
    read.__name__: read for read in (response, sentences, verdict, reply, traces, rows)
}


def kept() -> dict[str, list[bytes]]:
    """The interesting inputs of each reader."""
    return {name: [base64.b64decode(one) for one in inputs] for name, inputs in json.loads(FUZZED.read_text()).items()}


def keep(folder: Path) -> None:
    """Write the richest of the short inputs in each reader's folder, where the fuzzer leaves one for each new path."""
    found = {name: [file.read_bytes() for file in sorted((folder / name).iterdir())] for name in READERS}
    chosen = {
        name: sorted((one for one in inputs if len(one) <= LONGEST), key=lambda one: (len(one), one))[-KEPT:]
        for name, inputs in found.items()
    }
    encoded = {name: [base64.b64encode(one).decode() for one in inputs] for name, inputs in chosen.items()}
    FUZZED.write_text(json.dumps(encoded, indent=1) + "\n")


if __name__ == "__main__":
    if fuzzing:
        atheris.Setup([sys.argv[0], *sys.argv[2:]], READERS[sys.argv[1]])
        atheris.Fuzz()
    else:
        keep(Path(sys.argv[2]))
