# Each judge with an address of its own answers one question before anything starts.

import pytest
from judge_endpoint import Script, judge_endpoint

from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.judges.protocol import Question
from easyr1_fgrpo.miniature.build import build
from easyr1_fgrpo.preflight.first_question import _another_answer
from easyr1_fgrpo.rewards import Sample
from easyr1_fgrpo.verl_plugin.preflight.first_question import first_question_problems


@pytest.fixture
def asked(tmp_path, monkeypatch, capsys):
    """Problems and what the terminal shows, with the judge at an address."""
    build(tmp_path / "world", seed=0, train=3, val=2, test=1, sft=1, sft_val=1)

    def asked(url, *more):
        judge = ("judge=openai_compatible", "judge_endpoint.model=a-judge", f"judge_endpoint.base_urls=[{url}]")
        config = load_config([f"stages.world={tmp_path}/world", "fgrpo.reward.deadline_s=2", *judge, *more])
        return first_question_problems(config, read_settings(config)), capsys.readouterr().out

    return asked


def test_a_judge_that_answers_is_shown_with_its_answers(asked):
    def right(case):
        if case.kind is Question.GROUNDING:
            return "CORRECT"
        return "YES" if case.fields["final_answer"] in case.fields["reasoning"] else "NO"

    with judge_endpoint(Script(answer=right)) as endpoint:
        problems, out = asked(endpoint.url)
        assert (problems, endpoint.calls) == ([], 3)
    assert f"judge of consistency, a-judge at {endpoint.url}: YES to a trace that says its answer, " in out
    assert f"judge of consistency, a-judge at {endpoint.url}: NO to a trace that says another answer, " in out
    assert f"judge of grounding, a-judge at {endpoint.url}: CORRECT to a claim that says the right answer, " in out


def test_a_judge_that_says_the_same_to_everything_is_told(asked):
    with judge_endpoint(Script()) as endpoint:
        problems, out = asked(endpoint.url)
    assert problems == []
    assert "YES to a trace that says another answer, which is wrong; see `fgrpo judge validate`, " in out
    with judge_endpoint(Script(answer=lambda case: {"consistency": "NO"}.get(case.kind, "SKIP"))) as endpoint:
        problems, out = asked(endpoint.url)
    assert problems == []
    assert "NO to a trace that says its answer, which is wrong; see `fgrpo judge validate`, " in out
    assert "SKIP to a claim that says the right answer, 0" in out


def test_a_judge_without_a_verdict_is_refused_with_the_cause(asked, monkeypatch):
    with judge_endpoint(Script(answer=lambda case: "I would rather not say")) as endpoint:
        problems, _ = asked(endpoint.url)
        assert [line.partition(":")[0] for line in problems] == ["fgrpo.judges.consistency", "fgrpo.judges.grounding"]
        assert all("gave no verdict on a first question (invalid: " in line for line in problems)
        url = endpoint.url
    problems, _ = asked(url)  # nobody is there any more
    assert len(problems) == 2
    for line in problems:
        assert f"a-judge at {url} gave no verdict on a first question (unreachable: {url} is not there (" in line
        assert line.endswith("); start it, or name another: judge_endpoint.base_urls=[URL] judge_endpoint.model=NAME")
    # A hosted judge has no server to start.
    monkeypatch.setenv("A_KEY", "wrong")
    problems, _ = asked(url, *(f"++fgrpo.judges.{name}.api_key_env=A_KEY" for name in ("consistency", "grounding")))
    assert all("; export A_KEY=KEY with one that it takes, or name another: " in line for line in problems)
    (problem, _), _ = asked(url, f"fgrpo.judges.consistency.base_urls=[{url}/there]")
    assert problem.endswith(
        "; start it, or name another: fgrpo.judges.consistency.base_urls=[URL] fgrpo.judges.consistency.model=NAME"
    )


def test_rows_of_free_answers_lend_each_other_one():
    first = Sample("What?", (), "A cup")
    assert _another_answer(first, ("A cup", "a cup.", "a book")) == "a book"
    assert _another_answer(first, ("A cup", "a cup.")) is None


def test_judges_on_the_cluster_are_left_to_their_launch():
    config = load_config(["judge=oracle"])
    assert first_question_problems(config, read_settings(config)) == []


JUDGE = """
class Mine:
    name = "mine"

    async def ask(self, request):
        raise RuntimeError("no weights")

    async def close(self):
        pass
"""
SIGNALS = {
    "def f(sample, score): return 0.5": "",
    "def f(sample, score): return None": "",
    "def f(sample): return 0.5": "TypeError: f() takes 1 positional argument but 2 were given",
    "async def f(sample, score): return 0.5": "ValueError: fgrpo.signals.mine gave <coroutine object f",
    "def f(sample, score): return float('nan')": "ValueError: fgrpo.signals.mine gave nan: a signal lies in [0, 1]",
    "def f(sample, score): return 'high'": "ValueError: fgrpo.signals.mine gave 'high'",
    "def f(sample, score): raise KeyError('a\\nb')": "KeyError: ",
}


@pytest.mark.filterwarnings("ignore:coroutine 'f' was never awaited")
def test_a_signal_that_fails_on_the_first_row_is_refused(tmp_path):
    build(tmp_path / "world", seed=0, train=3, val=2, test=1, sft=1, sft_val=1)
    for number, (code, said) in enumerate(SIGNALS.items()):
        path = tmp_path / f"mine_{number}.py"
        path.write_text(code)
        mine = f"fgrpo.constraints.mine={{signal:'{path}:f',threshold:0.9}}"
        config = load_config([f"stages.world={tmp_path}/world", mine])
        problems = first_question_problems(config, read_settings(config))
        if said:
            (problem,) = problems
            assert problem.startswith(f"fgrpo.signals.mine={path}:f: fails on a trace that says the right answer"), code
            assert said in problem, code
            assert "\n" not in problem
        else:
            assert problems == [], code


def test_a_judge_of_a_reward_worker_is_asked_too(tmp_path, monkeypatch):
    build(tmp_path / "world", seed=0, train=3, val=2, test=1, sft=1, sft_val=1)
    (tmp_path / "judge_without_weights.py").write_text(JUDGE)
    monkeypatch.syspath_prepend(tmp_path)
    mine = "fgrpo.judges.grounding={kind:local,target:'judge_without_weights:Mine'}"
    config = load_config([f"stages.world={tmp_path}/world", "judge=conclusion", "+" + mine])
    (problem,) = first_question_problems(config, read_settings(config))
    assert problem.startswith("fgrpo.judges.grounding: mine gave no verdict on a first question (unreachable: RuntimeE")


def test_rows_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "train.parquet").touch()
    config = load_config(["judge=conclusion", f"data.train_files={tmp_path}/train.parquet"])
    (problem,) = first_question_problems(config, read_settings(config))
    assert problem.startswith(f"data.train_files={tmp_path}/train.parquet: cannot be read (")
