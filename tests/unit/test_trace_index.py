"""The index knows what the files hold: the last record of each key, where it lies, and the lines that are none."""

import json
import random

import pytest

from easyr1_fgrpo import trace_index
from easyr1_fgrpo.trace_index import (
    RIGHT_BUT_INCONSISTENT,
    RIGHT_BUT_UNGROUNDED,
    WRONG_BUT_CONSISTENT,
    index_traces,
)
from easyr1_fgrpo.traces import SentenceRecord, SignalRecord, TraceRecord, VerdictRecord, read_traces


def record(step=0, index=0, session=0, split="train", right=True, label="YES", claims=("CORRECT",), **signals):
    values = {"accuracy": SignalRecord(value=float(right))} | {
        name: SignalRecord(value=value) if isinstance(value, float) else SignalRecord(value=None, reason=value)
        for name, value in signals.items()
    }
    sentences = tuple(
        SentenceRecord(text="a", start=0, end=1, trivial=False, verdict=VerdictRecord(judge="j", label=claim))
        for claim in claims
    )
    return TraceRecord(
        split=split, step=step, index=index, session=session, question="?", choices=(), ground_truth="a", response="b",
        trace="a", answer="a", signals=values, consistency=label and VerdictRecord(judge="j", label=label),
        sentences=sentences,
    )  # fmt: skip


@pytest.fixture
def files(tmp_path):
    """Two workers' files: repeated keys, some written earlier in a later file, torn and foreign lines."""
    rng = random.Random(0)
    lines: list[list[bytes]] = [[], []]
    for number in range(200):
        one = record(rng.randrange(4), rng.randrange(10), rng.randrange(3), rng.choice(["train", "val"]))
        stamped = one.model_copy(update={"written_at": float(rng.randrange(5)), "response": str(number)})
        lines[rng.randrange(2)].append(stamped.model_dump_json().encode())
    lines[0][3:3] = [b'{"torn', b'{"step": 1}', b""]
    paths = [tmp_path / "train-0.jsonl", tmp_path / "train-1.jsonl"]
    for path, part in zip(paths, lines, strict=True):
        path.write_bytes(b"\n".join(part) + b"\n")
    return paths


@pytest.mark.parametrize("chunk", [1, 7, 10_000])
def test_the_index_gives_what_reading_everything_gives(files, chunk, monkeypatch):
    monkeypatch.setattr(trace_index, "CHUNK", chunk)
    index = index_traces(files)
    expected, bad = read_traces(files)
    assert list(index.records()) == expected
    assert bad == 2
    left_out = "left out are 1 torn lines and 1 records of another schema, first in line 5: split: Field required"
    assert index.problems == (f"{files[0]}: {left_out}",)
    some = index.rows[::3][::-1]
    assert list(index.records(some)) == expected[::3][::-1]


def test_what_cannot_be_read_is_a_line_and_the_rest_goes_on(files, tmp_path):
    index = index_traces([tmp_path / "absent.jsonl", *files])
    assert index.paths == tuple(files)
    assert index.problems[0] == f"{tmp_path}/absent.jsonl: cannot be read (No such file or directory)"
    assert len(index.rows) == len(read_traces(files)[0])
    assert len(index_traces([]).rows) == 0


def test_numbers_that_no_run_has_are_another_schema(tmp_path):
    huge = json.loads(record().model_dump_json()) | {"index": 10**30}
    (tmp_path / "train-0.jsonl").write_text(json.dumps(huge) + "\n")
    index = index_traces([tmp_path / "train-0.jsonl"])
    assert len(index.rows) == 0
    assert "1 records of another schema, first in line 1: step, index, session: too large" in index.problems[0]


def test_what_a_record_tells(tmp_path):
    cases = [
        (record(), 0),
        (record(label="NO"), RIGHT_BUT_INCONSISTENT),
        (record(label=None), 0),
        (record(claims=("CORRECT", "INCORRECT")), RIGHT_BUT_UNGROUNDED),
        (record(label="UNCERTAIN", claims=("INCORRECT",)), RIGHT_BUT_INCONSISTENT | RIGHT_BUT_UNGROUNDED),
        (record(right=False), WRONG_BUT_CONSISTENT | 1 << 3),  # accuracy is the first signal, and low
        (record(right=False, label="NO", claims=("INCORRECT",)), 1 << 3),
        (record(budget=0.2), 1 << 5),
        (record(budget="JUDGE_DEADLINE"), 1 << 6),
        (record(budget="ANSWER_WRONG"), 0),
    ]
    path = tmp_path / "train-0.jsonl"
    lines = [one.model_copy(update={"index": number}).model_dump_json() for number, (one, _) in enumerate(cases)]
    path.write_text("\n".join(lines))
    assert index_traces([path]).rows["tells"].tolist() == [tells for _, tells in cases]
