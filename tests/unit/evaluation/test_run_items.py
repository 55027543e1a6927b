import asyncio
import json
from dataclasses import replace

import pytest

from easyr1_fgrpo.evaluation.answers.asking import Answer, Rejected
from easyr1_fgrpo.evaluation.benchmarks import Reject
from easyr1_fgrpo.evaluation.results.metrics import measure
from easyr1_fgrpo.evaluation.run_items import finished_outcomes
from easyr1_fgrpo.evaluation.scoring.judges import NoJudge
from easyr1_fgrpo.judges.protocol import Failure, Label, Question, Verdict
from easyr1_fgrpo.model_client.chat import CallFailed
from easyr1_fgrpo.traces import read_traces

from .judges import TextJudge
from .made_items import UNJUDGED, item, judged_by, picture, response, run


class Told:
    """Answers as told by item id, and counts; an exception is raised."""

    def __init__(self, **by_id):
        self.by_id, self.asked = by_id, []

    async def __call__(self, item, pictures):
        self.asked.append(item.id)
        await asyncio.sleep(0.001 * (hash(item.id) % 3))
        said = self.by_id.get(item.id, response())
        if isinstance(said, Exception):
            raise said
        return (said if isinstance(said, Answer) else Answer(said, tokens=5)).scored


def trace_file(out):
    return out / "traces" / "m-made.jsonl"


async def test_every_item_is_a_record_in_the_benchmarks_order(tmp_path):
    told = Told(q1=response("right"), q2="no tags at all")
    tally = await run(tmp_path, [item(n) for n in range(6)], told)
    assert [outcome.item for outcome in tally.outcomes] == [f"q{n}" for n in range(6)]
    assert [outcome.accurate for outcome in tally.outcomes] == [True, False, False, True, True, True]
    assert [outcome.parsable for outcome in tally.outcomes] == [True, True, False, True, True, True]
    assert {outcome.tokens for outcome in tally.outcomes} == {5}
    records, bad = read_traces([trace_file(tmp_path)])
    assert (len(records), bad) == (6, 0)
    record = next(record for record in records if record.evaluation.item == "q1")
    assert (record.split, record.index, record.evaluation.category) == ("made", 1, "kind 1")
    assert (tmp_path / "images" / f"{record.images[0]}.png").exists()


async def test_every_trouble_is_a_named_reject_and_the_rest_goes_on(tmp_path):
    def missing():
        raise FileNotFoundError("no 7.jpg in the archive")

    def damaged():
        raise OSError("image file is truncated (5 bytes not processed)")

    rows = [
        item(0),
        Reject("made", "row 1", "the answer 'up' is none of the choices"),
        item(2, load_images=missing),
        item(3),
        item(4),
        item(5),
        item(6, load_images=damaged),
        item(7, boxes=((3.0, 3.0, 1.0, 1.0),)),
        Reject("made", "row 8", "unreadable"),
    ]
    told = Told(q3=CallFailed("http://h answered 413: too large", again=False), q4=" ", q5="x" * 200_000)
    tally = await run(tmp_path, rows, told)
    reasons = {reject.row: (reject.stage, reject.reason) for reject in tally.rejects}
    assert {row: stage for row, (stage, _) in reasons.items()} == {
        **dict.fromkeys(("row 1", "row 8"), "load"),
        **dict.fromkeys(("q2", "q3", "q6", "q7"), "answer"),
    }
    assert "no 7.jpg" in reasons["q2"][1]
    assert "413" in reasons["q3"][1]
    assert "ground-truth box" in reasons["q7"][1]
    outcomes = {outcome.item: outcome for outcome in tally.outcomes}
    assert outcomes.keys() == {"q0", "q4", "q5"}
    assert (outcomes["q4"].empty, outcomes["q4"].accurate) == (True, False)  # left out, it would do no harm
    assert (outcomes["q5"].truncated, outcomes["q5"].accurate) == (True, False)
    assert (len(tally.items), tally.rejected("load"), tally.rejected("answer")) == (7, 2, 4)


async def test_finished_items_are_kept_and_rejected_ones_are_tried_again(tmp_path):
    rows = [item(n) for n in range(5)]
    first = await run(tmp_path, rows, Told(q3=Rejected("as told")))
    again = Told()
    second = await run(tmp_path, rows, again)
    assert again.asked == ["q3"]
    assert [outcome.item for outcome in second.outcomes] == [f"q{n}" for n in range(5)]
    assert [o for o in second.outcomes if o.item != "q3"] == first.outcomes
    third = Told()
    assert (await run(tmp_path, rows, third)).outcomes == second.outcomes
    assert third.asked == []


async def test_another_judge_scores_anew_and_old_records_go(tmp_path):
    rows = [item(n) for n in range(4)]
    await run(tmp_path, rows, Told())
    tally = await run(tmp_path, rows, Told(), judged_by(TextJudge()))
    assert {outcome.consistency for outcome in tally.outcomes} == {Label.NO}
    assert len(trace_file(tmp_path).read_bytes().splitlines()) == 4
    assert len(finished_outcomes(trace_file(tmp_path))) == 4


async def test_torn_lines_are_made_again_and_dropped(tmp_path):
    rows = [item(n) for n in range(3)]
    await run(tmp_path, rows, Told())
    path = trace_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    told = Told()
    tally = await run(tmp_path, rows, told)
    assert (len(told.asked), len(tally.outcomes)) == (1, 3)
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


async def test_images_of_items_under_way_only_are_held(tmp_path):
    alive, most = set(), 0

    def load(number):
        def images():
            nonlocal most
            alive.add(number)
            most = max(most, len(alive))
            return [picture(number)]

        return images

    async def respond(item, pictures):
        await asyncio.sleep(0.002)
        alive.discard(int(item.id[1:]))
        return Answer(response())

    rows = (item(n, load_images=load(n)) for n in range(60))
    tally = await run(tmp_path, rows, respond, concurrency=5)
    assert len(tally.outcomes) == 60
    assert 2 <= most <= 5


async def test_so_many_items_are_under_way_at_a_time(tmp_path):
    at_once = most = 0

    async def respond(item, pictures):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.02)
        at_once -= 1
        return Answer(response())

    await run(tmp_path, (item(n) for n in range(40)), respond, concurrency=7)
    assert most == 7


async def test_one_id_twice_and_a_source_that_breaks_are_errors(tmp_path):
    def rows():
        yield item(0)
        raise ValueError("test.zip: truncated")

    with pytest.raises(ValueError, match="made: two rows have the id 'q1'"):
        await run(tmp_path, [item(1), item(1)], Told())
    with pytest.raises(ValueError, match=r"test\.zip: truncated"):
        await run(tmp_path, rows(), Told())


async def test_a_broken_program_is_not_taken_for_a_reject(tmp_path):
    with pytest.raises(ZeroDivisionError):
        await run(tmp_path, [item(0)], Told(q0=ZeroDivisionError()))


async def test_without_a_judge_nothing_is_judged(tmp_path):
    tally = await run(tmp_path, [item(0)], Told(), UNJUDGED)
    assert tally.outcomes[0].consistency is None
    assert tally.outcomes[0].semantic_grounding is None


async def test_grounding_that_nobody_judges_leaves_faithful_answers_unknown(tmp_path):
    judges = {Question.CONSISTENCY: TextJudge(), Question.GROUNDING: NoJudge()}
    tally = await run(tmp_path, [item(0)], Told(), replace(UNJUDGED, judges=judges))
    (outcome,) = tally.outcomes
    assert outcome.consistency is not None
    assert (outcome.semantic_reason, outcome.faithful) == ("NO_JUDGE", None)
    assert measure(tally.outcomes)["grounding_unjudged"].value == 1.0


async def test_a_judge_that_was_away_is_asked_again_and_its_word_replaces_the_failure(tmp_path):
    class Away(TextJudge):
        async def ask(self, request):
            return Verdict(None, self.name, Failure.UNREACHABLE, cause="as told")

    class Vague(TextJudge):
        async def ask(self, request):
            return Verdict(None, self.name, Failure.INVALID, cause="as told")

    rows = [item(n) for n in range(3)]
    away = await run(tmp_path, rows, Told(), judged_by(Away()))
    assert {outcome.consistency for outcome in away.outcomes} == {None}
    back = await run(tmp_path, rows, Told(), judged_by(TextJudge()))
    assert {outcome.consistency for outcome in back.outcomes} == {Label.NO}
    assert len(trace_file(tmp_path).read_bytes().splitlines()) == 3

    await run(tmp_path / "vague", rows, Told(), judged_by(Vague()))
    told = Told()
    await run(tmp_path / "vague", rows, told, judged_by(Vague()))
    assert told.asked == []
