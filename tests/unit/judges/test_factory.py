from easyr1_fgrpo.config.schema import JudgeConfig
from easyr1_fgrpo.judges.factory import build_judges
from easyr1_fgrpo.judges.protocol import JudgeRequest, Label, Question, Verdict
from easyr1_fgrpo.judges.served import ServedJudge


class Yes:
    name = "yes"

    async def ask(self, request: JudgeRequest) -> Verdict:
        return Verdict(Label.YES, judge=self.name)


def test_each_question_gets_the_judge_its_config_names():
    judges = build_judges(
        {
            "consistency": JudgeConfig(kind="local", target=f"{__name__}:Yes"),
            "grounding": JudgeConfig(kind="server", server="oracle"),
        },
        namespace="fgrpo-run",
    )
    assert isinstance(judges[Question.CONSISTENCY], Yes)
    served = judges[Question.GROUNDING]
    assert isinstance(served, ServedJudge)
    assert (served.name, served.namespace) == ("oracle", "fgrpo-run")


def test_a_question_without_a_config_has_no_judge():
    assert build_judges({}, namespace="fgrpo-run") == {}
