import pytest

from easyr1_fgrpo.judges.local import load_judge
from easyr1_fgrpo.judges.protocol import JudgeRequest, Label, Question, Verdict


class Fixed:
    name = "fixed"

    def __init__(self, label: str) -> None:
        self.label = Label(label)

    async def ask(self, request: JudgeRequest) -> Verdict:
        return Verdict(self.label, judge=self.name)


class Nameless:
    async def ask(self, request: JudgeRequest) -> Verdict:
        return Verdict(Label.YES, judge="?")


class Broken:
    name = "broken"

    def __init__(self) -> None:
        raise TypeError("my own mistake")

    async def ask(self, request: JudgeRequest) -> Verdict: ...


NOT_CALLABLE = 3


async def test_a_judge_is_built_from_its_target_and_options():
    judge = load_judge(f"{__name__}:Fixed", {"label": "NO"})
    verdict = await judge.ask(JudgeRequest(Question.CONSISTENCY, question="?"))
    assert verdict == Verdict(Label.NO, judge="fixed")


def test_what_is_no_judge_is_refused_by_name(subtests):
    for target, options, message in [
        ("", {}, "target '' cannot be imported"),
        ("json", {}, "target 'json' cannot be imported"),
        (":Fixed", {}, "cannot be imported .*: write package.module:Class"),
        ("no.such.module:Judge", {}, "No module named 'no'"),
        (f"{__name__}:Absent", {}, "has no attribute 'Absent'"),
        (f"{__name__}:NOT_CALLABLE", {}, "is not a callable object"),
        (f"{__name__}:Nameless", {}, "has no `name` and `ask`: it is no judge"),
        (f"{__name__}:Fixed", {}, r"options \{\}: missing a required argument: 'label'"),
        (f"{__name__}:Fixed", {"label": "NO", "x": 1}, "unexpected keyword argument 'x'"),
    ]:
        with subtests.test(target=target, options=options, message=message), pytest.raises(ValueError, match=message):
            load_judge(target, options)


def test_a_judge_that_cannot_be_built_says_why_itself():
    with pytest.raises(TypeError, match="my own mistake"):
        load_judge(f"{__name__}:Broken", {})
