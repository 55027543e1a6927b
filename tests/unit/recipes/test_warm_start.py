"""The LLaMA-Factory recipes against the argument classes of the pinned version, which are read, not imported."""

import ast
import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from transformers import Seq2SeqTrainingArguments

from data_prep.mcts.coordinates import PixelBudget
from data_prep.mcts.export import DATASET_INFO
from easyr1_fgrpo.config.load import load_config, read_settings
from easyr1_fgrpo.verl_plugin.preflight.budget import BUDGET_FILE, start_problems
from easyr1_fgrpo.verl_plugin.preflight.warm_start import unfinished_problems

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "recipes" / "warm_start"
SCRIPT = ROOT / "recipes" / "run_warm_start_llamafactory.sh"
LLAMAFACTORY = ROOT / ".venv" / "llamafactory"
VERSION = "0.9.5"
SEVEN_B = ["backbone=qwen2_5_vl_7b", "dataset=fgrpo", "judge=qwen3_vl_30b", "scale=gpus_4"]

# FGRPO section A.2 and Table 5; the 4 GPUs are NPROC_PER_NODE of the script.
PAPER = {
    "num_train_epochs": 3.0,
    "learning_rate": 1e-6,
    "weight_decay": 0.01,
    "warmup_ratio": 0.03,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "lr_scheduler_type": "cosine",
    "bf16": True,
    "flash_attn": "fa2",
    "freeze_vision_tower": True,
    "freeze_multi_modal_projector": False,
    "freeze_language_model": False,
    "cutoff_len": 8192,
    "finetuning_type": "full",
    "stage": "sft",
}


@pytest.fixture(params=["7b", "3b"])
def size(request):
    return request.param


def recipe(size):
    return yaml.safe_load((FOLDER / f"llamafactory_qwen25vl_{size}.yaml").read_text())


@pytest.fixture(scope="module")
def hparams():
    """The modules with the argument classes of `llamafactory-cli train`."""
    if not (LLAMAFACTORY / f"llamafactory-{VERSION}.dist-info").is_dir():
        pytest.skip(f"llamafactory {VERSION} is not in {LLAMAFACTORY}: tests/run.sh puts it there")
    names = ("model_args", "data_args", "training_args", "finetuning_args", "generating_args")
    return [ast.parse((LLAMAFACTORY / "llamafactory" / "hparams" / f"{name}.py").read_text()) for name in names]


def fields(modules):
    """Every argument with its allowed values, None where they are not listed; those that only code sets left out."""
    found = dict.fromkeys(field.name for field in dataclasses.fields(Seq2SeqTrainingArguments) if field.init)
    for module in modules:
        for node in (item for cls in module.body if isinstance(cls, ast.ClassDef) for item in cls.body):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                keywords = {word.arg: word.value for word in getattr(node.value, "keywords", [])}
                if "init" in keywords and ast.literal_eval(keywords["init"]) is False:
                    continue
                listed = re.fullmatch(r"Literal\[(.*)\]", ast.unparse(node.annotation))
                found[node.target.id] = ast.literal_eval(f"({listed[1]},)") if listed else None
    return found


def wrong_arguments(values, known):
    wrong = [key for key in values if key not in known]
    return wrong + [f"{key}={value}" for key, value in values.items() if known.get(key) and value not in known[key]]


def test_every_key_is_an_argument_of_the_pinned_version(size, hparams):
    known = fields(hparams)
    assert len(known) > 300
    assert wrong_arguments(recipe(size), known) == []


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("freeze_vision_towers", True, "freeze_vision_towers"),
        ("image_resolution", 512, "image_resolution"),  # of an older version
        ("compute_dtype", "bf16", "compute_dtype"),  # set by code only
        ("stage", "rlhf", "stage=rlhf"),
        ("n_shot", 5, "n_shot"),  # an argument of evaluation
    ],
)
def test_a_wrong_key_or_value_is_found(hparams, key, value, problem):
    assert wrong_arguments(recipe("7b") | {key: value}, fields(hparams)) == [problem]


def test_the_numbers_are_the_papers(size):
    values = recipe(size)
    assert {key: values[key] for key in PAPER} == PAPER


def test_the_sizes_differ_in_model_and_folder_only():
    large, small = recipe("7b"), recipe("3b")
    assert {key for key in large | small if large.get(key) != small.get(key)} == {"model_name_or_path", "output_dir"}


def test_images_are_as_large_as_in_rl(size):
    images = read_settings(load_config([f"backbone=qwen2_5_vl_{size}", "dataset=fgrpo", "judge=qwen3_vl_30b"])).images
    values = recipe(size)
    assert (values["image_min_pixels"], values["image_max_pixels"]) == (images.min_pixels, images.max_pixels)
    # An image of the largest size and a trace have to fit: a token is 28 x 28 pixels.
    assert values["image_max_pixels"] / 28**2 + 1024 < values["cutoff_len"]


def test_boxes_of_traces_are_written_for_images_of_that_size(size):
    values, budget = recipe(size), PixelBudget()
    assert (values["image_min_pixels"], values["image_max_pixels"]) == (budget.least, budget.most)


def test_data_and_output_are_where_the_other_recipes_have_them(size):
    values = recipe(size)
    assert [values["dataset"]] == list(DATASET_INFO)
    stages = load_config([f"backbone=qwen2_5_vl_{size}", "dataset=fgrpo"]).stages
    assert values["dataset_dir"] == str(Path(stages.sft_file).parent)
    assert values["output_dir"] == stages.warm_start
    assert values["model_name_or_path"] == stages.backbone


def test_the_template_is_one_of_the_pinned_version(size, hparams):
    source = (LLAMAFACTORY / "llamafactory" / "data" / "template.py").read_text()
    assert f'name="{recipe(size)["template"]}"' in source


def test_the_default_pixel_budget_would_have_moved_boxes(hparams):
    """Why both keys are in the recipes."""
    source = (LLAMAFACTORY / "llamafactory" / "hparams" / "model_args.py").read_text()
    assert re.search(r"image_max_pixels: int = field\(\s*default=768 \* 768", source)


def test_zero_stage_three(size):
    assert recipe(size)["deepspeed"] == "recipes/warm_start/ds_z3.json"
    config = json.loads((FOLDER / "ds_z3.json").read_text())
    zero = config["zero_optimization"]
    assert zero["stage"] == 3
    assert zero["stage3_gather_16bit_weights_on_model_save"] is True
    # Sizes and precision stand only in the recipe.
    assert {config[key] for key in config if key.endswith(("batch_size", "_steps", "clipping"))} == {"auto"}


def test_pins(hparams):
    pins = dict(line.split("==") for line in (FOLDER / "requirements.txt").read_text().splitlines() if "==" in line)
    assert pins["llamafactory"] == VERSION
    metadata = (LLAMAFACTORY / f"llamafactory-{VERSION}.dist-info" / "METADATA").read_text()
    assert f"Version: {VERSION}\n" in metadata


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {}, "usage: bash recipes/run_warm_start_llamafactory.sh 7b|3b DATA"),
        (["13b", "."], {}, "size 13b: there is no recipes/warm_start/llamafactory_qwen25vl_13b.yaml"),
        (["7b", "."], {}, ".: no dataset_info.json there"),
        (["7b", "DATA"], {"GPUS": "3"}, "GPUS=3: take 1, 2, 4 or 8"),
    ],
)
def test_the_script_refuses_bad_input_before_it_installs_anything(tmp_path, arguments, environment, message):
    (tmp_path / "dataset_info.json").write_text(json.dumps(DATASET_INFO))
    arguments = [str(tmp_path) if argument == "DATA" else argument for argument in arguments]
    done = subprocess.run(
        ["bash", str(SCRIPT), *arguments],
        env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


@pytest.fixture
def factory(tmp_path):
    """A checkout whose LLaMA-Factory writes a checkpoint at once; runs the script on traces that are made as noted."""
    for name in ("recipes/run_warm_start_llamafactory.sh", "recipes/warm_start"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    commands = tmp_path / ".venv-llamafactory/bin"
    commands.mkdir(parents=True)
    shutil.copy(FOLDER / "requirements.txt", commands.parent / ".installed")
    stubs = {
        "python": f'exec {sys.executable} "$@"',
        "llamafactory-cli": (
            'for a in "$@"; do case $a in output_dir=*) out=${a#*=} ;; fail=*) fail=yes ;; esac; done\n'
            'mkdir -p "$out"; touch "$out/trainer_log.jsonl"; [ -z "${fail:-}" ]'
        ),
    }
    for name, line in stubs.items():
        (commands / name).write_text(f"#!/bin/bash\n{line}\n")
        (commands / name).chmod(0o755)

    def run(noted, *arguments):
        data = tmp_path / "traces"
        data.mkdir(exist_ok=True)
        (data / "dataset_info.json").write_text(json.dumps(DATASET_INFO))
        (data / "summary.json").write_text(json.dumps({"policy": noted}))
        return subprocess.run(
            ["bash", str(tmp_path / "recipes/run_warm_start_llamafactory.sh"), "7b", str(data), *arguments],
            capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip

    return run


def test_the_checkpoint_says_how_it_writes_boxes_and_rl_refuses_to_differ(factory, tmp_path):
    done = factory({"coordinates": "thousand"}, f"output_dir={tmp_path}/warm")
    assert (done.returncode, done.stderr) == (0, "")
    marker = json.loads((tmp_path / "warm" / BUDGET_FILE).read_text())
    assert marker == {"min_pixels": 3136, "max_pixels": 4194304, "coordinates": "thousand"}
    config = load_config([*SEVEN_B, f"actor_rollout_ref.model.path={tmp_path}/warm"])
    (problem,) = start_problems(config)
    assert problem.startswith(
        f"fgrpo.images.coordinates=pixels: the warm start {tmp_path}/warm writes boxes in thousand"
    )
    assert factory({}, f"output_dir={tmp_path}/pixels").returncode == 0
    assert list(start_problems(load_config([*SEVEN_B, f"actor_rollout_ref.model.path={tmp_path}/pixels"]))) == []


def test_a_training_that_was_stopped_has_no_marker_of_an_earlier_one(factory, tmp_path):
    warm = f"output_dir={tmp_path}/warm"
    assert factory({}, warm).returncode == 0
    assert factory({}, warm, "fail=here").returncode == 1
    config = load_config([*SEVEN_B, f"stages.warm_start={tmp_path}/warm"])
    assert "LLaMA-Factory was stopped there before its end" in next(unfinished_problems(config))


def test_traces_for_images_of_another_size_are_refused_before_hours_are_spent(factory, tmp_path):
    done = factory({"coordinates": "pixels", "max_pixels": 1003520}, f"output_dir={tmp_path}/warm")
    assert done.returncode == 1
    assert done.stderr.startswith("error: image_max_pixels=4194304: boxes of ")
    assert "max_pixels=1003520: take that" in done.stderr
    assert not (tmp_path / "warm").exists()
    assert (
        factory(
            {"coordinates": "pixels", "max_pixels": 1003520}, f"output_dir={tmp_path}/warm", "image_max_pixels=1003520"
        ).returncode
        == 0
    )
