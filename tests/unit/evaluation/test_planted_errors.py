"""Of 200 miniature traces with known flips and known false sentences, the reported rates are exact with the oracle."""

import asyncio
import json
import random

import numpy as np
import pytest

from easyr1_fgrpo.config.schema import RewardSettings
from easyr1_fgrpo.evaluation.audit import Audit, audit
from easyr1_fgrpo.evaluation.scoring.score import Scoring
from easyr1_fgrpo.evaluation.styles import STYLES
from easyr1_fgrpo.judges.protocol import Question
from easyr1_fgrpo.miniature import language
from easyr1_fgrpo.miniature.oracle import OracleJudge
from easyr1_fgrpo.miniature.render import fingerprint, render
from easyr1_fgrpo.miniature.scene import OPPOSITE, RELATIONS, SIDE
from easyr1_fgrpo.miniature.teacher import clean_trace
from easyr1_fgrpo.miniature.worlds.one_step import draw_example

N = 200
FLIPPED, UNPARSABLE, WRONG_BOXES, WRONG_ANSWERS = 37, 11, 53, 29


def planted(folder, seed=0):
    """Trace file, scenes, and what must come out: by line number from 0, sets of flips, false boxes, and so on."""
    rng, plan = np.random.default_rng(seed), random.Random(seed)
    sets = {
        name: set(plan.sample(range(N), size))
        for name, size in (("flipped", FLIPPED), ("bare", UNPARSABLE), ("box", WRONG_BOXES), ("wrong", WRONG_ANSWERS))
    }
    sets["flipped"] -= sets["bare"]
    (folder / "pictures").mkdir()
    with (folder / "scenes.jsonl").open("w") as scenes, (folder / "theirs.jsonl").open("w") as traces:
        for number in range(N):
            example = draw_example(rng)
            picture = render(example.scene, rng)
            picture.save(folder / "pictures" / f"{number}.png")
            things = [{"colour": t.colour, "shape": t.shape, "box": t.box} for t in example.scene]
            scenes.write(json.dumps({"picture": fingerprint(picture), "things": things}) + "\n")
            # A wrong answer argues wrongly, so it is consistent; a flip argues for the other answer than it gives.
            answer = OPPOSITE[example.answer] if number in sets["wrong"] else example.answer
            argued = OPPOSITE[answer] if number in sets["flipped"] else answer
            first, second = example.asked
            sentences = clean_trace(example)
            sentences[2:] = [language.relation_sentence(first, argued, second), language.conclusion(argued)]
            if number in sets["box"]:
                x1, y1, x2, y2 = first.box
                away = 56 if x1 < SIDE // 2 else -56
                sentences[0] = language.box_sentence(first, (x1 + away, y1, x2 + away, y2))
            said = language.direct(answer) if number in sets["bare"] else language.response(sentences, answer)
            line = {
                "uid": number,
                "output": said,
                "q": example.question,
                "gold": str(example.answer),
                "options": [str(r) for r in RELATIONS[example.axis]],
                "picture": f"{number}.png",
            }
            traces.write(json.dumps(line) + "\n")
    return sets


@pytest.mark.parametrize("seed", [0, 1])
def test_reported_rates_are_exact(tmp_path, seed):
    sets = planted(tmp_path, seed)
    oracle = dict.fromkeys(Question, OracleJudge(tmp_path / "scenes.jsonl"))
    names = {
        "id": "uid",
        "response": "output",
        "question": "q",
        "ground_truth": "gold",
        "choices": "options",
        "images": "picture",
    }
    job = Audit(tmp_path / "theirs.jsonl", "theirs", STYLES["ours"], tmp_path / "pictures", tmp_path / "out", names)
    scoring = Scoring(oracle, {"judge": "oracle"}, RewardSettings(judge_scope="all"))
    evaluation, rejects = asyncio.run(audit(job, scoring))

    (result,) = evaluation.results
    judged = N - UNPARSABLE
    assert not rejects
    assert (result.totals.judged, result.totals.unparsable, result.totals.unjudged) == (judged, UNPARSABLE, 0)
    assert result.metrics["accuracy"].value == (N - WRONG_ANSWERS) / N
    assert result.metrics["inconsistency"].value == len(sets["flipped"]) / judged
    assert result.metrics["inconsistency_at_least"].value == len(sets["flipped"]) / N
    assert result.metrics["inconsistency_at_most"].value == (len(sets["flipped"]) + UNPARSABLE) / N
    false_relation = sets["flipped"] ^ sets["wrong"]
    for outcome in result.outcomes:
        number = int(outcome.item)
        if number in sets["bare"]:
            assert outcome.semantic_grounding is None
        else:
            false = (number in sets["box"]) + (number in false_relation)
            assert outcome.semantic_grounding == pytest.approx(1 - false / 3)  # three claims; the conclusion is skipped
    traces = [set(range(N)) - sets["bare"]][0]
    total = sum(1 - ((n in sets["box"]) + (n in false_relation)) / 3 for n in traces)
    assert result.metrics["semantic_grounding"].value == pytest.approx(total / judged)
