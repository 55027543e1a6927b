"""Small items, answers and sources for tests."""

from PIL import Image

from easyr1_fgrpo.config.schema import RewardSettings
from easyr1_fgrpo.evaluation.benchmarks import Item
from easyr1_fgrpo.evaluation.run_items import Task, run_items
from easyr1_fgrpo.evaluation.scoring.judges import NoJudge
from easyr1_fgrpo.evaluation.scoring.score import Scoring
from easyr1_fgrpo.evaluation.styles import STYLES
from easyr1_fgrpo.judges.protocol import Question

STYLE = STYLES["bare"]
UNJUDGED = Scoring(dict.fromkeys(Question, NoJudge()), {}, RewardSettings(judge_scope="all"))


def picture(number=0, size=(28, 28)):
    return Image.new("RGB", size, (number % 256, 10, 20))


def item(number, **changes):
    values = {
        "id": f"q{number}",
        "benchmark": "made",
        "load_images": lambda: [picture(number)],
        "question": f"Is thing {number} left or right?",
        "choices": ("left", "right"),
        "answer": "left",
        "category": f"kind {number % 2}",
    }
    return Item(**values | changes)


def response(answer="left", trace="The cup is red. So it is left."):
    return f"<think>{trace}</think><answer>{answer}</answer>"


def judged_by(judge, **more):
    return Scoring(dict.fromkeys(Question, judge), {"judge": judge.name}, RewardSettings(judge_scope="all"), **more)


async def run(out, rows, respond, scoring=UNJUDGED, concurrency=4):
    task = Task("m", STYLE, "made", iter(rows), lambda item: f"key of {item.id}", respond)
    return await run_items(task, scoring, out, concurrency)
