"""docs/as_a_library.md: its code runs and prints what it says; what needs TRL is run in tests/library."""

import re

import pytest
from judge_endpoint import judge_endpoint

from .pages import ROOT, blocks

CODE = blocks((ROOT / "docs" / "as_a_library.md").read_text(), "python")


def test_the_code_prints_what_the_page_says(capsys):
    *plain, with_judge, example, with_trl = CODE
    assert "trainer.train()" in with_trl
    assert example == (ROOT / "recipes/examples/trl_fgrpo.py").read_text()
    with judge_endpoint() as server:
        assert with_judge.count("http://host:8000/v1") == 1
        code = "\n".join([*plain, with_judge.replace("http://host:8000/v1", server.url)])
        exec(code, {})
    said = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert len(said) >= 5
    assert capsys.readouterr().out.splitlines() == said


def test_the_rewards_are_those_of_the_table():
    import easyr1_fgrpo as f

    page = (ROOT / "docs" / "as_a_library.md").read_text()
    listed = re.findall(r"^\| `f\.(\w+)", page, re.MULTILINE)
    assert sorted(listed) == sorted(name for name in f.__all__ if name.endswith("_reward") and name != "task_reward")


@pytest.mark.parametrize("name", re.findall(r"`f\.(\w+)`", (ROOT / "docs" / "as_a_library.md").read_text()))
def test_a_name_that_the_page_uses_is_there(name):
    import easyr1_fgrpo as f

    assert getattr(f, name)
