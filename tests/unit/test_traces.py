import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from easyr1_fgrpo.config.schema import RewardSettings
from easyr1_fgrpo.judges.protocol import Failure, Label, Question, Verdict
from easyr1_fgrpo.pictures import image_sha256
from easyr1_fgrpo.rewards import Sample, score_rollout
from easyr1_fgrpo.traces import SignalRecord, TraceRecord, TraceWriter, read_traces, save_images

PICTURE = Image.new("RGB", (8, 4), "red")
SAMPLE = Sample("Left or right?", ("left", "right"), "left", (PICTURE,), ((1.0, 1.0, 3.0, 3.0),), index=5)
RESPONSE = "<think>Wait. The cup at <bbox>[1,1,3,3]</bbox> is red.</think><answer>left</answer>"


class EchoJudge:
    """Repeats the claim in its text and fails on consistency."""

    name = "echo"

    async def ask(self, request):
        if request.kind is Question.CONSISTENCY:
            return Verdict(None, self.name, Failure.INVALID, cause="as told", text=request.context)
        return Verdict(Label.CORRECT, self.name, text=request.claim)


def record_of(response=RESPONSE, step=2, session=1, sample=SAMPLE):
    judges = dict.fromkeys(Question, EchoJudge())
    score = asyncio.run(score_rollout(sample, response, judges, RewardSettings(judge_scope="all")))
    images = (image_sha256(PICTURE),)
    return TraceRecord.from_score(sample, score, images=images, response=response, step=step, session=session)


def unstamped(record):
    return record.model_copy(update={"written_at": 0.0})


def test_a_record_holds_the_rollout():
    record = record_of()
    assert record.key == ("train", 2, 5, 1)
    assert record.images == (image_sha256(PICTURE),)
    assert (record.trace, record.answer) == ("Wait. The cup at <bbox>[1,1,3,3]</bbox> is red.", "left")
    assert record.boxes == record.reference_boxes == ((1.0, 1.0, 3.0, 3.0),)
    assert record.signals["spatial_grounding"] == SignalRecord(value=1.0)
    assert record.signals["consistency"] == SignalRecord(value=None, reason="JUDGE_INVALID")
    assert (record.consistency.failure, record.consistency.cause) == (Failure.INVALID, "as told")
    planning, claim = record.sentences
    assert (planning.trivial, planning.verdict) == (True, None)
    assert (claim.verdict.label, claim.verdict.judge) == (Label.CORRECT, "echo")
    assert record.trace[claim.start : claim.end] == claim.text


def test_write_and_read(tmp_path):
    records = [record_of(session=i) for i in range(3)]
    with TraceWriter(tmp_path, "train", 4) as writer:
        for record in records:
            writer.write(record)
    assert writer.path == tmp_path / "traces" / "train-4.jsonl"
    read, n_bad = read_traces([writer.path])
    assert ([unstamped(record) for record in read], n_bad) == (records, 0)
    assert all(record.written_at > 0 for record in read)


def test_each_record_is_on_disk_at_once(tmp_path):
    writer = TraceWriter(tmp_path, "val")
    writer.write(record_of())
    assert len(read_traces([writer.path])[0]) == 1
    writer.close()


@pytest.mark.parametrize("torn_at", [1, 50, -2])
def test_a_torn_line_costs_one_record(tmp_path, torn_at):
    with TraceWriter(tmp_path, "train") as writer:
        writer.write(record_of(session=0))
        whole = writer.path.stat().st_size
        writer.write(record_of(session=1))
    data = writer.path.read_bytes()
    writer.path.write_bytes(data[:whole] + data[whole:][:torn_at])
    read, n_bad = read_traces([writer.path])
    assert ([record.session for record in read], n_bad) == ([0], 1)

    with TraceWriter(tmp_path, "train") as writer:
        writer.write(record_of(session=2))
    read, n_bad = read_traces([writer.path])
    assert ([record.session for record in read], n_bad) == ([0, 2], 1)


def test_a_whole_last_line_without_its_end_is_kept(tmp_path):
    with TraceWriter(tmp_path, "train") as writer:
        writer.write(record_of(session=0))
    writer.path.write_bytes(writer.path.read_bytes().rstrip(b"\n"))
    with TraceWriter(tmp_path, "train") as writer:
        writer.write(record_of(session=1))
    read, n_bad = read_traces([writer.path])
    assert ([record.session for record in read], n_bad) == ([0, 1], 0)


def test_a_full_file_is_followed_by_the_next(tmp_path, monkeypatch):
    with TraceWriter(tmp_path, "train") as writer:
        writer.write(record_of(session=0))
        monkeypatch.setattr("easyr1_fgrpo.traces.MOST_BYTES", writer.path.stat().st_size * 3 // 2)
        for session in range(1, 5):
            writer.write(record_of(session=session))
    (writer.path.parent / "train-0.copy.jsonl").write_text("somebody's\n")
    with TraceWriter(tmp_path, "train") as writer:  # resumed
        writer.write(record_of(session=5))
    names = ["train-0.jsonl", "train-0.1.jsonl", "train-0.2.jsonl"]
    sessions = [[record.session for record in read_traces([writer.path.parent / name])[0]] for name in names]
    assert sessions == [[0, 1], [2, 3], [4, 5]]


def test_damaged_lines_are_counted(tmp_path):
    good = record_of().model_dump_json().encode()
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(b"\n".join([b"\x00\x00", b"\xff\xfe{", b"[]", b"", good, b'{"split": "train"}', b"{" * 1000]))
    read, n_bad = read_traces([path])
    assert (len(read), n_bad) == (1, 5)


def test_the_last_record_of_a_key_wins_in_one_file(tmp_path):
    with TraceWriter(tmp_path, "train") as writer:
        for text in ("first", "second"):
            writer.write(record_of(response=text))
        writer.write(record_of(response="other", step=3))
    read, _ = read_traces([writer.path])
    assert [record.response for record in read] == ["second", "other"]


def test_the_last_record_of_a_key_wins_across_workers(tmp_path, monkeypatch):
    clock = iter([100.0, 200.0])
    monkeypatch.setattr("easyr1_fgrpo.traces.time.time", lambda: next(clock))
    with TraceWriter(tmp_path, "train", 1) as before, TraceWriter(tmp_path, "train", 0) as after:
        before.write(record_of(response="before the crash"))
        after.write(record_of(response="after the resume"))
    for paths in ([before.path, after.path], [after.path, before.path]):
        assert [record.response for record in read_traces(paths)[0]] == ["after the resume"]


def test_lone_surrogates_become_replacement_characters(tmp_path):
    sample = Sample("q\udc00", ("a\ud800", "b"), "b")
    with TraceWriter(tmp_path, "train") as writer:
        writer.write(record_of(response="<think>The \ud800 cup.</think><answer>\udfff</answer>", sample=sample))
    (record,), n_bad = read_traces([writer.path])
    assert n_bad == 0
    assert (record.question, record.choices, record.answer) == ("q\ufffd", ("a\ufffd", "b"), "\ufffd")
    assert record.trace[record.sentences[0].start : record.sentences[0].end] == "The \ufffd cup."


@settings(max_examples=100)
@given(text=st.text(st.characters(exclude_categories=[])), junk=st.binary(max_size=80))
def test_any_response_is_one_ascii_line(tmp_path_factory, text, junk):
    response = f"<think>{text}</think><answer>{junk.decode(errors='replace')}</answer>"
    with TraceWriter(tmp_path_factory.mktemp("run"), "train") as writer:
        writer.write(record_of(response=response))
    data = writer.path.read_bytes()
    assert data.isascii()
    assert data.count(b"\n") == 1
    (record,), n_bad = read_traces([writer.path])
    assert (len(record.response), n_bad) == (len(response), 0)
    json.loads(data)


def test_a_signal_is_a_value_or_a_reason(subtests):
    for fields in [
        {"value": None},
        {"value": 0.5, "reason": "NO_CLAIM"},
        {"value": 1.5},
        {"value": float("nan")},
        {"value": None, "reason": "BECAUSE"},
    ]:
        with subtests.test(fields=fields), pytest.raises(ValidationError):
            SignalRecord(**fields)


def test_unknown_fields_are_refused():
    with pytest.raises(ValidationError, match="colour"):
        TraceRecord.model_validate({**record_of().model_dump(), "colour": 1})


def test_the_image_hash_is_of_size_and_pixels():
    assert image_sha256(PICTURE) == image_sha256(PICTURE.convert("RGBA")) == image_sha256(PICTURE.convert("P"))
    assert image_sha256(PICTURE) != image_sha256(Image.new("RGB", (4, 8), "red"))
    assert image_sha256(PICTURE) != image_sha256(Image.new("RGB", (8, 4), "blue"))


def test_an_image_is_saved_once_and_whole(tmp_path):
    (digest,) = save_images([PICTURE], tmp_path)
    path = tmp_path / "images" / f"{digest}.png"
    first = path.stat().st_mtime_ns
    assert save_images([PICTURE.copy(), PICTURE], tmp_path) == (digest, digest)
    assert path.stat().st_mtime_ns == first
    assert list(path.parent.iterdir()) == [path]
    with Image.open(path) as saved:
        assert image_sha256(saved) == digest


def test_a_failed_save_leaves_nothing(tmp_path, monkeypatch):
    def torn(image, path, **options):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", torn)
    with pytest.raises(OSError, match="disk full"):
        save_images([PICTURE], tmp_path)
    assert list((tmp_path / "images").iterdir()) == []
