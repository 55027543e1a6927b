"""What the pages for users say is tried: their code runs, their keys exist, their files are there."""

import json
import re
import sys

import pytest
from omegaconf import OmegaConf
from PIL import Image

from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.config.schema import CONSTRAINABLE
from easyr1_fgrpo.judges.local import load_judge
from easyr1_fgrpo.judges.prompt import Prompt
from easyr1_fgrpo.judges.protocol import JudgeRequest, Label, Question
from easyr1_fgrpo.rewards.custom_signal import load_signal
from easyr1_fgrpo.rows import check_rows, read_rows

from .pages import ROOT, blocks

OWN = (ROOT / "docs" / "your_own.md").read_text()
EASYR1 = (ROOT / "docs" / "easyr1.md").read_text()


def rl_groups(recipe):
    (groups,) = re.findall(r'^run_recipe (.*) "\$@"$', (ROOT / recipe).read_text(), re.MULTILINE)
    return groups.split()


@pytest.fixture
def desk(tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (120, 100), "brown").save(tmp_path / "pictures" / "desk.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_of_a_data_set_is_one(desk):
    exec(blocks(OWN, "python")[0], {})
    assert check_rows(["train.parquet", "val.parquet"]) == []
    (row,) = read_rows("train.parquet")
    assert row.extra_info.boxes == ((12, 30, 60, 90),)
    assert row.prompt[1].content.startswith("<image>Where is the cup?\nA. left of the book\n")
    assert row.extra_info.split == "train"


def test_the_example_of_a_prompt_is_taken(tmp_path):
    (template,) = blocks(OWN, "jinja")
    path = tmp_path / "grounding.jinja"
    path.write_text(template)
    prompt = Prompt.load(Question.GROUNDING, template=path)
    assert "medical images" in prompt.rules
    request = JudgeRequest(Question.GROUNDING, "Where?", (Image.new("RGB", (9, 9)),), context="A.", claim="A cup.")
    case = prompt.messages([request], lambda image: "data:")[1]["content"][-1]["text"]
    assert json.loads(case)["latest_sentence"] == "A cup."


async def test_the_example_of_a_judge_judges(tmp_path, monkeypatch):
    (tmp_path / "my_judge.py").write_text(blocks(OWN, "python")[1])
    monkeypatch.syspath_prepend(tmp_path)
    settings = read_settings(load_config(blocks(OWN, "text")[1].splitlines()))
    judge = settings.judges["consistency"]
    built = load_judge(judge.target, judge.options)
    asked = [
        await built.ask(JudgeRequest(Question.CONSISTENCY, "Where?", context=f"It is {side}.", answer="Left"))
        for side in ("left", "right")
    ]
    assert [verdict.label for verdict in asked] == [Label.YES, Label.NO]
    refused = await built.ask(JudgeRequest(Question.GROUNDING, "Where?", claim="A cup."))
    assert refused.label is None
    sys.modules.pop("my_judge")


def test_the_example_of_a_constraint_acts_as_it_is_copied(tmp_path, monkeypatch):
    """The page's two blocks in files of the user's; the page has the examples' files word for word."""
    code, arm = blocks(OWN, "python")[2], blocks(OWN, "yaml")[0]
    assert code == (ROOT / "recipes/examples/length_budget.py").read_text()
    assert arm == (ROOT / "recipes/examples/arm/length_budget.yaml").read_text()
    monkeypatch.chdir(tmp_path)
    for name, text in {"recipes/examples/length_budget.py": code, "groups/arm/short.yaml": arm}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("FGRPO_CONFIG_DIR", "groups")
    config = load_config(["arm=short"])
    settings = read_settings(config)
    assert config.trainer.experiment_name == "short_tiny_cpu"
    assert settings.constraint_keys == [*CONSTRAINABLE, "length_budget"]
    assert settings.constraints["length_budget"].threshold == 0.9
    assert callable(load_signal(settings.signals["length_budget"]))


@pytest.mark.parametrize("overrides", [block.splitlines() for block in blocks(OWN, "text")], ids=lambda o: o[0])
def test_the_overrides_are_taken(overrides):
    settings = read_settings(load_config(overrides))
    assert set(settings.judges) == {"consistency", "grounding"}


def test_the_example_of_a_run_composes(desk):
    exec(blocks(OWN, "python")[0], {})
    (line,) = [line for line in blocks(OWN, "bash")[1].splitlines() if "--plan" not in line]
    recipe, *overrides = line.split()[1:]
    assert (ROOT / recipe).is_file()
    config = load_config([*rl_groups(recipe), *overrides])
    assert (config.data.train_files, config.data.val_files) == ("train.parquet", "val.parquet")


def ours(text):
    """The keys in the second column of the table of settings; `a.{b,c}.d` is a.b.d and a.c.d."""
    table = text.partition("## Settings")[2]
    cells = [line.split("|")[2] for line in table.splitlines() if line.startswith("| `")]
    for name in re.findall(r"`(\+?[a-z_0-9]+(?:\.[\w{},]+)+)", " ".join(cells)):
        before, _, choices, after = re.fullmatch(r"([^{]*)(\{(.*)\})?(.*?)", name).groups()
        yield from (before + choice + after for choice in (choices or "").split(","))


def test_every_key_in_the_table_for_easyr1_exists():
    config = load_config(["dataset=fgrpo", "backbone=qwen2_5_vl_7b", "scale=gpus_8", "judge=qwen3_vl_30b"])
    missing = object()
    keys = set(ours(EASYR1))
    assert len(keys) > 40
    absent = {key for key in keys if OmegaConf.select(config, key.lstrip("+"), default=missing) is missing}
    assert absent == {key for key in keys if key.startswith("+")}  # which verl's classes have and its YAML does not
    from verl.workers.config import RolloutConfig

    assert absent == {"+actor_rollout_ref.rollout.limit_images"}
    assert "limit_images" in RolloutConfig.__dataclass_fields__


def test_the_papers_numbers_in_the_table_are_the_configs():
    config = load_config(["dataset=fgrpo", "backbone=qwen2_5_vl_7b", "scale=gpus_8", "judge=qwen3_vl_30b"])
    said = {
        "data.max_prompt_length": 8192,
        "data.max_response_length": 1024,
        "data.train_batch_size": 128,
        "actor_rollout_ref.actor.ppo_mini_batch_size": 64,
        "actor_rollout_ref.actor.kl_loss_coef": 0.01,
        "actor_rollout_ref.actor.grad_clip": 1.0,
        "actor_rollout_ref.actor.clip_ratio_low": 0.28,
        "actor_rollout_ref.rollout.n": 5,
        "actor_rollout_ref.actor.freeze_vision_tower": True,
        "fgrpo.images.max_pixels": 4194304,
        "seed": 0,
    }
    assert {key: OmegaConf.select(config, key) for key in said} == said


def rows(text, section):
    """The lines of the first table of a section, by their first cell."""
    part = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in part.splitlines() if line.startswith("|")]
    return {first.strip("`").removeprefix("arm="): rest for first, *rest in cells[2:]}


def test_the_readmes_numbers_are_the_studys():
    study = (ROOT / "recipes" / "results" / "miniature.md").read_text()
    greedy, sampled = rows(study, "Arms, greedy"), rows(study, "Arms, sampled")
    follow = rows(study, "Does the answer follow the trace?")
    shown = rows((ROOT / "README.md").read_text(), "What constraints change")
    assert {"warm start", "grpo_t", "fgrpo"} < set(shown)
    for name, numbers in shown.items():
        assert numbers == [*greedy[name][1:3], sampled[name][3], follow[name][0]], name
